//! Sessions that are bound to the origin that opened them: the cookie alone, which a browser sends
//! to every port of the host, changes nothing (ADR 20).

use approval_core::Digest;
use reqwest::RequestBuilder;
use serde_json::json;
use web::{Access, PAGES, ROUTES, Route, Surface, Verb};

use crate::people::{PASSWORD, Person, cookie_of, filled, value};
use crate::world::{Answer, TASKS, World, of_task, send};

crate::on_both_engines! {
    the_cookie_alone_changes_nothing
    every_call_demands_the_secret
    either_way_of_signing_in_binds
    a_session_without_script_works_as_ever
    no_handler_page_or_row_has_the_secret
    a_cookie_alone_reads
    a_human_key_is_made_that_never_decides
}

const EMAIL: &str = "owner@example.org";
const HEADER: &str = "x-countersign-origin";
const FIELD: &str = "originSecret";
const NOTHING: &str = "00000000000000000000000000";
const SETTINGS: &str = "/api/mission-control/settings";

/// The secret that a browser would have made, from one digit.
fn secret(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The person at a browser with script, which keeps this secret.
async fn bound(world: &World, person: &Person, secret: &str) -> Person {
    let token = world.link(person.account, person.user).await;
    let fields = [("token", token.as_str()), (FIELD, secret)];
    let answer = world.form("", "/sign-in/link", &fields).await;
    Person {
        cookie: cookie_of(&answer),
        ..person.clone()
    }
}

/// What whoever has the cookie can add to a request without knowing the secret. A page may also
/// get fields.
fn guesses(digest_of_secret: &str) -> Vec<(&'static str, String)> {
    vec![
        ("", String::new()),
        (HEADER, String::new()),
        (HEADER, secret('b')),
        (HEADER, "null".to_owned()),
        (HEADER, digest_of_secret.to_owned()),
        ("origin-secret", secret('a')),
        ("cookie", format!("{FIELD}={}", secret('a'))),
    ]
}

fn with(request: RequestBuilder, (name, text): &(&'static str, String)) -> RequestBuilder {
    if name.is_empty() {
        request
    } else {
        request.header(*name, text)
    }
}

/// Refused for the missing secret, and not for something else.
#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    let text = answer.text();
    assert_eq!(answer.status, 403, "{what}: {text}");
    let says = if answer.header("content-type").starts_with("text/html") {
        "Sign in again"
    } else {
        "sign in again in this browser"
    };
    assert!(text.contains(says), "{what}: {text}");
}

async fn the_cookie_alone_changes_nothing(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id").to_owned();
    let unbound = world.person(EMAIL).await;
    let person = bound(world, &unbound, &secret('a')).await;
    let elsewhere = bound(world, &unbound, &secret('b')).await;
    let keys = world.get("/api/auth/api-keys").await.is(200);
    let key = keys[0]["id"].as_str().expect("an id").to_owned();
    let before = world.head().await;
    let decide = format!("/tasks/{task}/decide");
    let forms: Vec<(String, Vec<(&str, &str)>)> = vec![
        (decide.clone(), vec![("decision", "approve")]),
        (decide.clone(), vec![("decision", "reject")]),
        (format!("/tasks/{task}/cancel"), vec![]),
        (
            "/settings/mission-control".to_owned(),
            vec![("taskApprovalMode", "on")],
        ),
        (
            "/settings/api-keys".to_owned(),
            vec![("name", "stolen"), ("kind", "human")],
        ),
        (format!("/settings/api-keys/{key}/revoke"), vec![]),
        (
            "/settings/account/password".to_owned(),
            vec![("password", "a password of theirs")],
        ),
        ("/desktops".to_owned(), vec![("name", "theirs")]),
        (format!("/desktops/{desktop}/remove"), vec![]),
        (
            "/tasks/new".to_owned(),
            vec![
                ("type", "command"),
                ("content", "true"),
                ("desktopId", &desktop),
            ],
        ),
        ("/sign-out".to_owned(), vec![]),
        ("/sign-out/everywhere".to_owned(), vec![]),
    ];
    let calls = [
        (
            "POST",
            of_task(&task, "review"),
            json!({"decision": "approve"}),
        ),
        (
            "PATCH",
            SETTINGS.to_owned(),
            json!({"taskApprovalMode": true}),
        ),
        (
            "POST",
            "/api/auth/api-keys".to_owned(),
            json!({"name": "stolen", "kind": "human"}),
        ),
        ("DELETE", format!("/api/desktops/{desktop}"), json!({})),
        ("DELETE", format!("/api/auth/api-keys/{key}"), json!({})),
    ];
    let kept = Digest::of(secret('a').as_bytes()).to_string();
    for guess in guesses(&kept) {
        for (path, fields) in &forms {
            let plain = filled(world.browse(&person.cookie, "POST", path), fields);
            is_refused(&send(with(plain, &guess)).await, path);
            let part = filled(world.browse(&person.cookie, "POST", path), fields);
            let part = with(part, &guess).header("hx-request", "true");
            is_refused(&send(part).await, path);
        }
        for (method, path, body) in &calls {
            let call = world.browse(&person.cookie, method, path).json(body);
            let answer = send(with(call, &guess)).await;
            answer.problem(403, "cross-site");
            is_refused(&answer, path);
        }
    }
    // in a form: another secret, that of another session, two, half of one, or in the address
    let [ours, other, half] = [secret('a'), secret('b'), secret('a')[1..].to_owned()];
    for (path, fields) in &forms {
        for wrong in [
            &[(FIELD, other.as_str())][..],
            &[(FIELD, ""), (FIELD, &ours)],
            &[(FIELD, &ours), (FIELD, &other)],
            &[(FIELD, &half)],
            &[(FIELD, &kept)],
            &[("originsecret", &ours)],
        ] {
            let all = [&fields[..], wrong].concat();
            is_refused(&world.form(&person.cookie, path, &all).await, path);
        }
        let addressed = format!("{path}?{FIELD}={ours}");
        is_refused(&world.form(&person.cookie, &addressed, fields).await, path);
    }
    assert_eq!(world.head().await, before, "and nothing happened");
    assert_eq!(world.status(&task).await, "review");
    for cookie in [&person.cookie, &elsewhere.cookie, &unbound.cookie] {
        world.page(cookie, "/board").await.shows(200);
    }

    // the page says what to do, and does not lead round in circles
    let page = world.form(&person.cookie, &decide, &[]).await.shows(403);
    assert!(page.contains("Sign in again in this browser"), "{page}");
    assert!(page.contains("href=\"/sign-in\""), "{page}");
    world.page(&person.cookie, "/sign-in").await.shows(200);

    // the person's own pages go on, by field and by header
    let evidence = value(
        &world
            .page(&person.cookie, &format!("{decide}?decision=approve"))
            .await
            .shows(200),
        "evidenceSha256",
    );
    let own = [
        ("decision", "approve"),
        ("evidenceSha256", &evidence),
        (FIELD, &ours),
    ];
    let done = world.form(&person.cookie, &decide, &own).await;
    assert_eq!(done.leads(), format!("/tasks/{task}?done=approved"));
    let call = world
        .browse(&person.cookie, "PATCH", SETTINGS)
        .header(HEADER, &ours);
    send(call.json(&json!({"requireEvidence": false})))
        .await
        .is(200);
    // a key needs nothing of the kind
    let beside = world
        .request(&world.owner, "PATCH", SETTINGS)
        .header("cookie", &person.cookie);
    send(beside.json(&json!({"requireEvidence": false})))
        .await
        .is(200);
}

/// A path of a row with ids of things that do not exist.
fn path_of_nothing(route: &Route) -> String {
    let prefix = match route.path {
        path if path.contains("sessions") => "sess",
        path if path.contains("api-keys") => "key",
        path if path.contains("approvals") => "appr",
        path if path.contains("desktops") => "desk",
        _ => "task",
    };
    route
        .path
        .replace("{id}", &format!("{prefix}_{NOTHING}"))
        .replace("{desktop}", NOTHING)
}

async fn every_call_demands_the_secret(world: &World) {
    let unbound = world.person(EMAIL).await;
    let before = world.head().await;
    let mut seen = 0;
    let unsafe_ones = PAGES.iter().chain(ROUTES).filter(|route| {
        let is_for_people = !matches!(route.access, Access::Public | Access::Runner);
        route.verb != Verb::Get && is_for_people
    });
    for route in unsafe_ones {
        // some of these end every session
        let person = bound(world, &unbound, &secret('a')).await;
        let (verb, path) = (route.verb.as_str(), path_of_nothing(route));
        let what = format!("{verb} {path}");
        let sent = |cookie: &str| {
            let request = world.browse(cookie, verb, &path);
            match route.surface {
                Surface::Page => filled(request, &[]),
                Surface::Rest => request.json(&json!({})),
            }
        };
        is_refused(&send(sent(&person.cookie)).await, &what);
        is_refused(
            &send(sent(&person.cookie).header(HEADER, secret('b'))).await,
            &what,
        );
        // a program is told so in its own words
        let program = world
            .request("", verb, &path)
            .header("cookie", &person.cookie);
        let program = program.header("sec-fetch-site", "same-origin");
        send(program).await.problem(403, "cross-site");
        // with the secret it is as if there was none
        let fresh = bound(world, &unbound, &secret('a')).await;
        let answer = send(sent(&fresh.cookie).header(HEADER, secret('a'))).await;
        assert!(
            !matches!(answer.status, 401 | 403 | 500..),
            "{what}: {}",
            answer.text()
        );
        if route.surface == Surface::Page {
            let fresh = bound(world, &unbound, &secret('a')).await;
            let form = world
                .form(&fresh.cookie, &path, &[(FIELD, &secret('a'))])
                .await;
            assert_eq!(form.status, answer.status, "{what}: {}", form.text());
        }
        seen += 1;
    }
    assert!(seen >= 25, "{seen}");
    assert_eq!(world.head().await, before, "and nothing happened");
}

async fn either_way_of_signing_in_binds(world: &World) {
    let user = world.user(world.account, EMAIL, Some(PASSWORD)).await;
    let ours = secret('a');
    let by_password = [("email", EMAIL), ("password", PASSWORD), (FIELD, &ours)];
    let first = world.form("", "/sign-in", &by_password).await;
    let token = world.link(world.account, user).await;
    let by_link = [("token", token.as_str()), (FIELD, &ours)];
    // what is no secret opens nothing, rather than a session that is not bound, and uses nothing up
    for text in [
        "a",
        &ours[1..],
        &"g".repeat(64),
        &format!("{ours}a"),
        "null",
    ] {
        for (path, fields) in [
            ("/sign-in", &by_password[..2]),
            ("/sign-in/link", &by_link[..1]),
        ] {
            let answer = world
                .form("", path, &[fields, &[(FIELD, text)]].concat())
                .await;
            answer.shows(400);
            assert_eq!(answer.header("set-cookie"), "", "{path} {text}");
        }
    }
    let second = world.form("", "/sign-in/link", &by_link).await;
    for answer in [&first, &second] {
        assert!(!answer.header("location").contains(&ours));
        assert!(!answer.header("set-cookie").contains(&ours));
        let cookie = cookie_of(answer);
        let switch = [("requireEvidence", "on"), ("shown", "")];
        let path = "/settings/mission-control";
        is_refused(&world.form(&cookie, path, &switch).await, path);
        let own = [&switch[..], &[(FIELD, &ours)]].concat();
        assert!(
            world
                .form(&cookie, path, &own)
                .await
                .leads()
                .ends_with("?done=saved")
        );
    }
}

async fn a_session_without_script_works_as_ever(world: &World) {
    let unbound = world.person(EMAIL).await;
    let page = world
        .page(&unbound.cookie, "/settings/account")
        .await
        .shows(200);
    assert_eq!(
        page.matches("Not bound to this browser").count(),
        1,
        "{page}"
    );
    let person = bound(world, &unbound, &secret('a')).await;
    for cookie in [&person.cookie, &unbound.cookie] {
        let page = world.page(cookie, "/settings/account").await.shows(200);
        assert_eq!(
            page.matches("class=\"tag\">Not bound").count(),
            1,
            "the one of two"
        );
    }
    // with nothing, or with what another sign-in of this browser has left behind
    let left = secret('c');
    for fields in [&[("taskApprovalMode", "on")][..], &[(FIELD, left.as_str())]] {
        let path = "/settings/mission-control";
        let answer = world.form(&unbound.cookie, path, fields).await;
        assert!(answer.leads().ends_with("?done=saved"));
    }
    let call = world.browse(&unbound.cookie, "PATCH", SETTINGS);
    send(call.json(&json!({"requireEvidence": false})))
        .await
        .is(200);
    assert_eq!(
        world.form(&unbound.cookie, "/sign-out", &[]).await.leads(),
        "/sign-in"
    );
    world.page(&person.cookie, "/board").await.shows(200);
}

async fn no_handler_page_or_row_has_the_secret(world: &World) {
    let (desktop, _) = world.desktop().await;
    let unbound = world.person(EMAIL).await;
    let ours = "0123456789abcdef".repeat(4);
    let person = bound(world, &unbound, &ours).await;
    // a form that was sent by field and again by header is one form
    let long = "\u{1F512}".repeat(100_000);
    let wish = [
        ("type", "command"),
        ("content", long.as_str()),
        ("desktopId", &desktop),
        ("idempotencyKey", "one"),
    ];
    let by_field = world
        .form(
            &person.cookie,
            "/tasks/new",
            &[&wish[..], &[(FIELD, &ours)]].concat(),
        )
        .await;
    let by_header = filled(world.browse(&person.cookie, "POST", "/tasks/new"), &wish);
    let by_header = send(by_header.header(HEADER, &ours)).await;
    assert_eq!(by_field.leads(), by_header.leads());
    let created = world.get(TASKS).await.is(200);
    assert_eq!(created.as_array().map(Vec::len), Some(1));

    // what is shown again after an error has every field but this one
    let wrong = [("name", "a name"), ("kind", "no kind"), (FIELD, &ours)];
    let again = world
        .form(&person.cookie, "/settings/api-keys", &wrong)
        .await
        .shows(422);
    assert!(again.contains("a name") && !again.contains(&ours));
    for path in ["/board", "/settings/account", "/sign-in", "/activity"] {
        let page = world.page(&person.cookie, path).await;
        assert!(!page.text().contains(&ours), "{path}");
    }
    let rows = "SELECT group_concat(id || sha256 || agent || origin_sha256) FROM sessions";
    let rows = if world.db.url().starts_with("postgres") {
        rows.replace("group_concat(", "string_agg(")
            .replace(") FROM", ", ',') FROM")
    } else {
        rows.to_owned()
    };
    let rows = world.db.query_scalar(&rows).expect("rows").expect("a text");
    assert!(
        rows.contains(&Digest::of(ours.as_bytes()).to_string()),
        "{rows}"
    );
    assert!(!rows.contains(&ours), "{rows}");
}

/// An account in which only people who are signed in decide needs no setting: keys without that
/// capability are made on the page.
async fn a_human_key_is_made_that_never_decides(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id");
    let person = world.person(EMAIL).await;
    let mut wish = vec![("name", "ada's"), ("kind", "human")];
    wish.extend(["tasks:read", "tasks:write", "tasks:run"].map(|can| ("capability", can)));
    let page = world
        .form(&person.cookie, "/settings/api-keys", &wish)
        .await;
    let page = page.shows(201);
    let (_, rest) = page.split_once("csk_human_").expect("the key");
    let rest = rest.split('<').next().expect("its end");
    let key = format!("csk_human_{rest}");
    world.get_as(&key, TASKS).await.is(200);
    let decision = json!({"decision": "approve"});
    let approvals = world.get("/api/mission-control/approvals").await.is(200);
    let approval = approvals[0]["id"].as_str().expect("an id");
    let resolve = format!("/api/mission-control/approvals/{approval}/resolve");
    for path in [of_task(task, "review"), resolve] {
        let refused = world.post_as(&key, &path, &decision).await;
        refused.problem(403, "forbidden");
    }
    // nor by taking it out of review
    let refused = world.request(&key, "POST", &of_task(task, "cancel"));
    send(refused).await.problem(403, "forbidden");
    let form = world.request(&key, "POST", &format!("/tasks/{task}/decide"));
    send(filled(form, &[("decision", "approve")]))
        .await
        .problem(403, "forbidden");
    assert_eq!(world.status(task).await, "review");
}

async fn a_cookie_alone_reads(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id");
    let unbound = world.person(EMAIL).await;
    let person = bound(world, &unbound, &secret('a')).await;
    for path in [
        "/board",
        "/board/columns",
        &format!("/tasks/{task}"),
        "/settings/api-keys",
    ] {
        world.page(&person.cookie, path).await.shows(200);
        let head = send(world.browse(&person.cookie, "HEAD", path)).await;
        assert_eq!(head.status, 200, "{path}");
    }
    send(world.browse(&person.cookie, "GET", TASKS))
        .await
        .is(200);
    let live = world
        .browse(&person.cookie, "GET", "/live")
        .send()
        .await
        .expect("an answer");
    assert_eq!(live.status().as_u16(), 200);
}
