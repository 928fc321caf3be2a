//! Sessions of people: how they begin, what they may, how they end (contract section 6;
//! guarantees E2, E3, E11).

use std::time::Duration;

use serde_json::{Value, json};
use test_support::Engine;
use tokio::time::{sleep, timeout};
use web::WebConfig;

use crate::people::{PASSWORD, Person, cookie_of, filled, value};
use crate::world::{Answer, Events, TASKS, World, of_task, send};

crate::on_both_engines! {
    a_password_signs_in
    a_link_signs_in_once
    every_sign_in_has_its_own_cookie
    a_cookie_is_a_person_for_programs_too
    sessions_end
    guessing_is_slowed_by_address
    hashing_is_bounded
}

const EMAIL: &str = "owner@example.org";
const STREAM: &str = "/api/mission-control/activity/stream";
const SETTINGS: &str = "/api/mission-control/settings";

/// A sign-in from an address of its own.
async fn sign_in(world: &World, from: &str, email: &str, password: &str) -> Answer {
    let request = world
        .browse("", "POST", "/sign-in")
        .header("x-forwarded-for", from);
    send(filled(request, &[("email", email), ("password", password)])).await
}

async fn a_password_signs_in(world: &World) {
    world.user(world.account, EMAIL, Some(PASSWORD)).await;
    world.user(world.account, "none@example.org", None).await;
    for email in [EMAIL, "Owner@Example.ORG", " owner@example.org "] {
        let answer = sign_in(world, "10.0.0.1", email, PASSWORD).await;
        assert_eq!(answer.leads(), "/board");
        world.page(&cookie_of(&answer), "/board").await.shows(200);
    }
    let mut answers = Vec::new();
    for (email, password) in [
        ("nobody@example.org", PASSWORD),
        (EMAIL, "wrong horse battery"),
        (EMAIL, "Correct horse battery"),
        (EMAIL, ""),
        ("none@example.org", PASSWORD),
        ("none@example.org", ""),
        ("", ""),
    ] {
        let answer = sign_in(world, "10.0.0.2", email, password).await;
        assert_eq!(answer.header("set-cookie"), "", "{email}");
        let page = answer.shows(401);
        assert!(page.contains("E-mail or password is wrong"), "{email}");
        assert!(password.is_empty() || !page.contains(password), "{email}");
        let typed = format!("required value=\"{email}\"");
        assert!(page.contains(&typed), "what was typed is kept");
        answers.push(page.replace(&typed, ""));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "nobody learns which of the two was wrong");
}

async fn by_link(world: &World, token: &str) -> Answer {
    world.form("", "/sign-in/link", &[("token", token)]).await
}

async fn a_link_signs_in_once(world: &World) {
    let user = world.user(world.account, EMAIL, None).await;
    let token = world.link(world.account, user).await;
    // whatever merely follows the link does not use it up
    world
        .page("", &format!("/sign-in?token={token}"))
        .await
        .shows(200);
    assert_eq!(
        send(world.browse("", "GET", "/sign-in/link")).await.status,
        405
    );
    let answer = by_link(world, &token).await;
    assert_eq!(answer.leads(), "/board");
    world.page(&cookie_of(&answer), "/board").await.shows(200);
    let repeated = by_link(world, &token).await;
    assert!(repeated.shows(401).contains("was used already"));
    assert_eq!(repeated.header("set-cookie"), "");
    for garbage in [
        "",
        "#",
        "0",
        &"0".repeat(64),
        &"x".repeat(10_000),
        "' or 1=1 --",
    ] {
        by_link(world, garbage).await.shows(401);
    }
    by_link(world, &"x".repeat(17_000)).await.shows(413);
    let token = world.link(world.account, user).await;
    let whole = format!(" http://127.0.0.1:8080/sign-in#{token}\r\n");
    by_link(world, &whole).await.leads();
    let token = world.link(world.account, user).await;
    let both = tokio::join!(by_link(world, &token), by_link(world, &token));
    let mut both = [both.0.status, both.1.status];
    both.sort_unstable();
    assert_eq!(both, [303, 401], "one of two at the same time");
    let token = world.link(world.account, user).await;
    for (next, led) in [
        ("/tasks/new", "/tasks/new"),
        ("//evil.example", "/board"),
        ("https://evil.example", "/board"),
        ("/\\evil.example", "/board"),
        ("javascript:alert(1)", "/board"),
        ("/\t/evil.example", "/board"),
    ] {
        let page = world
            .page(
                "",
                &format!(
                    "/sign-in?next={}",
                    next.replace('\\', "%5C").replace('\t', "%09")
                ),
            )
            .await;
        let form = page.shows(200);
        assert!(
            form.contains(&format!("name=\"next\" value=\"{led}\"")),
            "{next}"
        );
        let token = world.link(world.account, user).await;
        let fields = [("token", token.as_str()), ("next", next)];
        assert_eq!(world.form("", "/sign-in/link", &fields).await.leads(), led);
    }
    by_link(world, &token).await.leads();
}

async fn every_sign_in_has_its_own_cookie(world: &World) {
    let person = world.person(EMAIL).await;
    let user = world.link(world.account, person.user).await;
    // one that was planted before is not taken over
    let planted = format!("countersign-session={}", "a".repeat(64));
    for brought in [&planted, &person.cookie] {
        let token = world.link(world.account, person.user).await;
        let answer = world
            .form(brought, "/sign-in/link", &[("token", &token)])
            .await;
        assert_ne!(&cookie_of(&answer), brought);
    }
    assert!(
        world
            .page(&planted, "/board")
            .await
            .leads()
            .starts_with("/sign-in")
    );
    let answer = by_link(world, &user).await;
    let set = answer.header("set-cookie");
    let (pair, attributes) = set.split_once("; ").expect("attributes");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax"
    );
    let text = pair.strip_prefix("countersign-session=").expect("the name");
    assert!(text.len() == 64 && !text.eq(&user), "256 bits of its own");

    let two = format!("{}; {pair}", person.cookie);
    assert!(
        world
            .page(&two, "/board")
            .await
            .leads()
            .starts_with("/sign-in"),
        "two cookies"
    );
    let twice = format!("{pair}; {pair}");
    world.page(&twice, "/board").await.shows(200);
    let bad = world
        .browse(pair, "GET", TASKS)
        .header("x-api-key", "nonsense");
    send(bad).await.problem(401, "unauthenticated");
    let bad = world.browse(pair, "GET", TASKS).bearer_auth("csk_human_1");
    send(bad).await.problem(401, "unauthenticated");
    for elsewhere in [
        format!("/api/mission-control/tasks?session={text}"),
        format!("{TASKS}?{pair}"),
    ] {
        send(world.request("", "GET", &elsewhere))
            .await
            .problem(401, "unauthenticated");
    }
    let as_key = world.request(text, "GET", TASKS);
    send(as_key).await.problem(401, "unauthenticated");
    // opening a page keeps the cookie for another 30 days
    let page = world.page(pair, "/board").await;
    assert_eq!(page.header("set-cookie"), set);
    assert!(!page.text().contains(text), "no page shows the cookie");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_https_the_cookie_is_bound_to_host_and_tls() {
    let config = WebConfig {
        public_url: Some("https://gate.example".to_owned()),
        ..WebConfig::default()
    };
    let world = World::with(Engine::Sqlite, config)
        .await
        .expect("SQLite is always there");
    let user = world.user(world.account, EMAIL, None).await;
    let token = world.link(world.account, user).await;
    let request = world.request("", "POST", "/sign-in/link");
    let request = request
        .header("host", "gate.example")
        .header("origin", "https://gate.example");
    let answer = send(filled(request, &[("token", &token)])).await;
    let set = answer.header("set-cookie");
    let (pair, attributes) = set.split_once("; ").expect("attributes");
    assert!(pair.starts_with("__Host-countersign-session="), "{pair}");
    assert_eq!(
        attributes,
        "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"
    );
    world.page(pair, "/board").await.shows(200);
    let bare = pair.trim_start_matches("__Host-");
    assert!(
        world
            .page(bare, "/board")
            .await
            .leads()
            .starts_with("/sign-in")
    );
    let out = world.form(pair, "/sign-out", &[]).await;
    assert!(
        out.header("set-cookie")
            .starts_with("__Host-countersign-session=; Path=/; Max-Age=0")
    );
    world.end().await;
}

/// A REST call of a person.
async fn call(world: &World, person: &Person, method: &str, path: &str, body: Value) -> Answer {
    send(world.browse(&person.cookie, method, path).json(&body)).await
}

async fn a_cookie_is_a_person_for_programs_too(world: &World) {
    let person = world.person(EMAIL).await;
    let other = world.again(&person).await;
    let (desktop, agent) = world.desktop().await;
    let body = json!({"type": "command", "content": "true", "desktopId": desktop, "requiresApproval": true});
    let task = call(world, &person, "POST", TASKS, body.clone())
        .await
        .is(201);
    let identity = json!({"kind": "human", "id": person.user.to_string(), "name": EMAIL});
    assert_eq!(task["createdBy"], identity);
    let id = task["id"].as_str().expect("an id");
    world.work(&desktop, &agent, id).await;
    let decision = json!({"decision": "approve"});
    let decided = call(
        world,
        &other,
        "POST",
        &of_task(id, "review"),
        decision.clone(),
    )
    .await
    .is(200);
    assert_eq!(decided["review"]["decidedBy"], identity);
    let spoofed = json!({"decision": "approve", "decidedBy": "user_x"});
    call(world, &person, "POST", &of_task(id, "review"), spoofed)
        .await
        .problem(400, "invalid-body");
    for (method, path, body) in [
        ("PATCH", SETTINGS, json!({"requireEvidence": false})),
        ("GET", "/api/auth/api-keys", json!({})),
    ] {
        call(world, &person, method, path, body).await.is(200);
    }
    let key = json!({"name": "minted", "kind": "human"});
    call(world, &person, "POST", "/api/auth/api-keys", key)
        .await
        .is(201);
    let claim = format!("/api/desktops/{desktop}/claim");
    call(world, &person, "POST", &claim, json!({}))
        .await
        .problem(403, "forbidden");
    // whichever browser sends it again
    let keyed = |person: &Person, body: &Value| {
        let request = world
            .browse(&person.cookie, "POST", TASKS)
            .header("idempotency-key", "one");
        send(request.json(body))
    };
    let first = keyed(&person, &body).await.is(201);
    let again = keyed(&other, &body).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.is(201)["id"], first["id"]);
    let colleague = world.person("colleague@example.org").await;
    assert_ne!(keyed(&colleague, &body).await.is(201)["id"], first["id"]);
}

/// Somebody's second browser, with its streams open here and on another process.
struct Second {
    person: Person,
    streams: Vec<(Events, bool)>,
}

async fn stream(
    world: &World,
    server: std::net::SocketAddr,
    person: &Person,
    path: &str,
) -> Events {
    let request = world
        .request_to(server, "", "GET", path)
        .header("cookie", &person.cookie);
    let response = request.timeout(Duration::from_mins(1)).send().await;
    Events::new(response.expect("an answer"))
}

impl Second {
    async fn open(world: &World, person: &Person, servers: &[std::net::SocketAddr]) -> Self {
        let person = world.again(person).await;
        let mut streams = Vec::new();
        for server in servers {
            streams.push((stream(world, *server, &person, STREAM).await, false));
            streams.push((stream(world, *server, &person, "/live").await, true));
        }
        Self { person, streams }
    }

    /// Nothing is possible any more.
    async fn ends_everywhere(self, world: &World, servers: &[std::net::SocketAddr], how: &str) {
        let before = world.head().await;
        for server in servers {
            let command = world.request_to(*server, "", "PATCH", SETTINGS);
            let command = command
                .header("cookie", &self.person.cookie)
                .header("sec-fetch-site", "same-origin");
            let command = send(command.json(&json!({"taskApprovalMode": true}))).await;
            assert_eq!(command.status, 401, "{how}: {}", command.text());
        }
        sleep(Duration::from_secs(1)).await;
        for server in servers {
            let read = world
                .request_to(*server, "", "GET", TASKS)
                .header("cookie", &self.person.cookie);
            assert_eq!(send(read).await.status, 401, "{how}");
        }
        for (mut events, is_page) in self.streams {
            let end = async {
                let mut last = None;
                while let Some(event) = events.next().await {
                    last = Some(event.name);
                }
                last
            };
            let last = timeout(Duration::from_secs(4), end).await;
            let last = last.unwrap_or_else(|_| panic!("{how}: the stream goes on"));
            assert_eq!(last.as_deref() == Some("ended"), is_page, "{how}: {last:?}");
        }
        assert_eq!(world.head().await, before, "{how}");
    }
}

async fn sessions_end(world: &World) {
    let is_shared = world.db.url().starts_with("postgres");
    let replica = if is_shared {
        Some(world.replica().await)
    } else {
        None
    };
    let mut servers = vec![world.address()];
    servers.extend(replica.as_ref().map(|replica| replica.address));
    let person = world.person(EMAIL).await;

    let second = Second::open(world, &person, &servers).await;
    let out = world.form(&second.person.cookie, "/sign-out", &[]).await;
    assert_eq!(out.leads(), "/sign-in");
    let removed = out.header("set-cookie");
    assert!(
        removed.starts_with("countersign-session=; Path=/; Max-Age=0;"),
        "{removed}"
    );
    second.ends_everywhere(world, &servers, "sign out").await;
    world.page(&person.cookie, "/board").await.shows(200);

    let second = Second::open(world, &person, &servers).await;
    let page = world
        .page(&person.cookie, "/settings/account")
        .await
        .shows(200);
    let (_, session) = page
        .split_once("action=\"/settings/account/sessions/")
        .expect("another one");
    let end = session.split('"').next().expect("an address");
    let end = format!("/settings/account/sessions/{end}");
    let colleague = world.person("colleague@example.org").await;
    // of somebody else: as if there were none
    let refused = world.form(&colleague.cookie, &end, &[]).await;
    assert!(refused.shows(404).contains("There is nothing here"));
    world.page(&second.person.cookie, "/board").await.shows(200);
    let key = value(session, "idempotencyKey");
    for press in ["first", "second"] {
        let fields = [("idempotencyKey", key.as_str())];
        let answer = world.form(&person.cookie, &end, &fields).await;
        assert_eq!(answer.leads(), "/settings/account?done=ended", "{press}");
    }
    world.form(&person.cookie, &end, &[]).await.shows(404);
    second
        .ends_everywhere(world, &servers, "ended by another")
        .await;

    let second = Second::open(world, &person, &servers).await;
    let short = world
        .form(
            &person.cookie,
            "/settings/account/password",
            &[("password", "short")],
        )
        .await;
    short.shows(422);
    let set = [("password", PASSWORD)];
    world
        .form(&person.cookie, "/settings/account/password", &set)
        .await
        .leads();
    second
        .ends_everywhere(world, &servers, "a new password")
        .await;
    world.page(&person.cookie, "/board").await.shows(200);
    let wrong = [
        ("current", "wrong horse battery"),
        ("password", "another horse battery"),
    ];
    let wrong = world
        .form(&person.cookie, "/settings/account/password", &wrong)
        .await;
    assert!(wrong.shows(422).contains("The current password is wrong"));
    sign_in(world, "10.0.0.3", EMAIL, PASSWORD).await.leads();

    let second = Second::open(world, &person, &servers).await;
    world
        .form(&person.cookie, "/sign-out/everywhere", &[])
        .await
        .leads();
    second
        .ends_everywhere(world, &servers, "sign out everywhere")
        .await;
    assert!(
        world
            .page(&person.cookie, "/board")
            .await
            .leads()
            .starts_with("/sign-in")
    );
    world.page(&colleague.cookie, "/board").await.shows(200);
    if let Some(replica) = replica {
        replica.end().await;
    }
}

async fn guessing_is_slowed_by_address(world: &World) {
    world.user(world.account, EMAIL, Some(PASSWORD)).await;
    for _ in 0..10 {
        sign_in(world, "10.1.0.1", EMAIL, "wrong horse battery")
            .await
            .shows(401);
    }
    // the eleventh is counted, all further ones are not even hashed
    for password in ["wrong horse battery", "wrong horse battery", PASSWORD] {
        let slow = sign_in(world, "10.1.0.1", EMAIL, password).await;
        let wait: u64 = slow.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(slow.shows(429).contains("Too many attempts"));
        assert_eq!(slow.header("set-cookie"), "");
    }
    sign_in(world, "10.1.0.2", EMAIL, PASSWORD).await.leads();
    // nor is a session that was stolen an unlimited guess at the password
    let stolen = sign_in(world, "10.1.0.3", EMAIL, PASSWORD).await;
    let stolen = cookie_of(&stolen);
    let guess = [("current", "wrong horse battery"), ("password", PASSWORD)];
    for expected in [[422; 10].as_slice(), &[429, 429]].concat() {
        let form = world.browse(&stolen, "POST", "/settings/account/password");
        let form = form.header("x-forwarded-for", "10.1.0.3");
        assert_eq!(send(filled(form, &guess)).await.status, expected);
    }
    // the true owner is not locked out, by key, by cookie or by link
    let here =
        |request: reqwest::RequestBuilder| send(request.header("x-forwarded-for", "10.1.0.1"));
    here(world.request(&world.owner, "GET", TASKS))
        .await
        .is(200);
    let person = world.person("other@example.org").await;
    here(world.browse(&person.cookie, "GET", "/board"))
        .await
        .shows(200);
    let token = world.link(world.account, person.user).await;
    here(filled(
        world.browse("", "POST", "/sign-in/link"),
        &[("token", &token)],
    ))
    .await
    .leads();
}

async fn hashing_is_bounded(world: &World) {
    world.user(world.account, EMAIL, Some(PASSWORD)).await;
    let attempts = (0..40).map(|n| {
        let from = format!("10.2.0.{n}");
        async move { sign_in(world, &from, EMAIL, PASSWORD).await }
    });
    let mut counts = std::collections::BTreeMap::new();
    for answer in futures_util::future::join_all(attempts).await {
        if answer.status == 503 {
            assert!(!answer.header("retry-after").is_empty());
        }
        *counts.entry(answer.status).or_insert(0) += 1;
    }
    // some wait for their turn, and whoever finds the queue full is told so
    let statuses: Vec<u16> = counts.keys().copied().collect();
    assert_eq!(statuses, [303, 503], "{counts:?}");
    // afterwards all is as before
    sign_in(world, "10.2.1.1", EMAIL, PASSWORD).await.leads();
}
