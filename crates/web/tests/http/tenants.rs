//! Another account's things are not there (contract section 6; row A7, suite F3): its ids in every
//! place where an id can stand, by every kind of credential, are answered to the byte like ids of
//! nothing; and no list, count, search, stream or error betrays them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use web::{PAGES, ROUTES, Route, Surface, Verb};

use crate::people::{Person, filled};
use crate::safe::NOTED;
use crate::world::{Answer, Events, TASKS, World, new_account, of_task, send};

crate::on_both_engines! {
    ids_in_paths
    ids_in_bodies_and_queries
    lists_counts_and_searches
    streams_and_kept_answers
}

const NOTHING: &str = "00000000000000000000000000";
const APPROVALS: &str = "/api/mission-control/approvals";
const KEYS: &str = "/api/auth/api-keys";

/// Ids of things of one account.
struct Things {
    task: String,
    approval: String,
    desktop: String,
    key: String,
}

impl Things {
    /// The owner's, with a task in review whose title can be searched for.
    async fn of(world: &World) -> Self {
        let (desktop, agent) = world.desktop().await;
        let body = json!({"title": "a needle of ours", "requiresApproval": true});
        let task = world.task(&desktop, body).await;
        let task = world.work(&desktop, &agent, &task).await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let keys = world.get(KEYS).await.is(200);
        Self {
            task: text(&task["id"]),
            approval: text(&task["review"]["approvalId"]),
            desktop,
            key: text(&keys[0]["id"]),
        }
    }

    fn of_nothing() -> Self {
        let id = |prefix: &str| format!("{prefix}_{NOTHING}");
        Self {
            task: id("task"),
            approval: id("appr"),
            desktop: id("desk"),
            key: id("key"),
        }
    }

    /// The path of a route about these things.
    fn path(&self, route: &Route) -> String {
        let id = match route.path {
            path if path.contains("approvals") => &self.approval,
            path if path.contains("api-keys") => &self.key,
            path if path.contains("/tasks/") => &self.task,
            _ => &self.desktop,
        };
        let path = route.path.replace("{id}", id).replace("{n}", "1");
        path.replace("{desktop}", &self.desktop)
    }

    /// A text without them, and without the parts of an answer that are its own.
    fn cut_from(&self, mut text: String) -> String {
        for id in [&self.task, &self.approval, &self.desktop, &self.key] {
            text = text.replace(id.as_str(), "ID");
        }
        text
    }
}

/// Who asks.
enum Caller {
    Key(&'static str, String),
    Session(&'static str, Person),
}

impl Caller {
    fn name(&self) -> &'static str {
        match self {
            Self::Key(name, _) | Self::Session(name, _) => name,
        }
    }

    fn request(&self, world: &World, verb: &str, path: &str) -> reqwest::RequestBuilder {
        match self {
            Self::Key(_, key) => world.request(key, verb, path),
            Self::Session(_, person) => world.browse(&person.cookie, verb, path),
        }
    }
}

/// The eight kinds of principals of another account, which has a desktop of its own.
async fn strangers(world: &World) -> Vec<Caller> {
    let (account, owner) = new_account(&world.db, "theirs").await;
    let make = async |body: Value| {
        let created = world.post_as(&owner, KEYS, &body).await.is(201);
        created["key"].as_str().expect("a key").to_owned()
    };
    let desktop = json!({"name": "theirs"});
    let desktop = world.post_as(&owner, "/api/desktops", &desktop).await;
    let desktop = desktop.is(201)["id"].clone();
    let human =
        |capabilities: &[&str]| json!({"name": "k", "kind": "human", "capabilities": capabilities});
    let agent = |capabilities: &[&str]| json!({"name": "k", "kind": "agent", "desktopId": desktop, "capabilities": capabilities});
    let user = world.user(account, "stranger@example.org", None).await;
    let person = Person {
        account,
        user,
        cookie: String::new(),
    };
    vec![
        Caller::Key("no capability", make(human(&[])).await),
        Caller::Key("reads", make(human(&["tasks:read"])).await),
        Caller::Key(
            "decides",
            make(human(&["tasks:read", "approvals:decide"])).await,
        ),
        Caller::Key(
            "service",
            make(json!({"name": "k", "kind": "service"})).await,
        ),
        Caller::Key("agent", make(agent(&[])).await),
        Caller::Key(
            "agent that reads and writes",
            make(agent(&["tasks:read", "tasks:write"])).await,
        ),
        Caller::Session("session", world.again(&person).await),
        Caller::Key("owner", owner),
    ]
}

/// What can be compared of two answers: all but the time, the number of the request and the keys of
/// forms.
fn comparable(answer: &Answer, things: &Things) -> (u16, BTreeMap<String, String>, String) {
    // whether a body was read before the refusal is between the two machines
    let own = ["date", "x-request-id", "connection"];
    let headers = answer.headers.iter();
    let headers = headers.filter(|(name, _)| !own.contains(&name.as_str()));
    let text = |value: &[u8]| things.cut_from(String::from_utf8_lossy(value).into_owned());
    let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    (
        answer.status,
        headers.collect(),
        without_keys(&text(&answer.body)),
    )
}

/// A body that the call takes.
fn body(route: &Route) -> Value {
    match route.path.rsplit('/').next().unwrap_or_default() {
        "review" | "resolve" => json!({"decision": "reject", "feedback": "theirs"}),
        "logs" => json!({"entries": []}),
        "files" => json!({"files": []}),
        "complete" => json!({"outcome": "succeeded"}),
        _ => json!({}),
    }
}

async fn about(world: &World, caller: &Caller, route: &Route, things: &Things) -> Answer {
    let mut request = caller.request(world, route.verb.as_str(), &things.path(route));
    match (route.verb, route.surface) {
        (Verb::Get | Verb::Delete, _) => {}
        (_, Surface::Rest) => {
            request = request
                .json(&body(route))
                .header("x-lease-token", "0".repeat(64));
        }
        (_, Surface::Page) => {
            let fields = [("decision", "approve"), ("content", "x"), ("run", "on")];
            request = filled(request, &fields);
        }
    }
    send(request).await
}

async fn ids_in_paths(world: &World) {
    let ours = Things::of(world).await;
    let nothing = Things::of_nothing();
    let callers = strangers(world).await;
    let before = world.db.contents(&NOTED);
    let mut asked = 0;
    for route in ROUTES
        .iter()
        .chain(PAGES)
        .filter(|route| route.path.contains("{id}"))
    {
        // sessions are of a person, and `page_authz` asks about them
        if route.path.contains("sessions") {
            continue;
        }
        for caller in &callers {
            let foreign = about(world, caller, route, &ours).await;
            let missing = about(world, caller, route, &nothing).await;
            let what = format!(
                "{} {} by {}",
                route.verb.as_str(),
                route.path,
                caller.name()
            );
            assert!(
                matches!(foreign.status, 403 | 404),
                "{what}: {}",
                foreign.status
            );
            assert_eq!(
                comparable(&foreign, &ours),
                comparable(&missing, &nothing),
                "{what}"
            );
            asked += 1;
        }
    }
    assert!(asked >= 8 * 39, "{asked}");
    println!("{asked} pairs of answers");
    let after = world.db.contents(&NOTED);
    assert_eq!(after, before, "and nothing happened");
}

/// Where an id of another thing can stand in a request, beside its path: method, path, member or
/// parameter.
const POSITIONS: [(&str, &str, &str); 4] = [
    ("POST", TASKS, "desktopId"),
    ("POST", TASKS, "dependsOn"),
    ("POST", KEYS, "desktopId"),
    ("GET", TASKS, "desktopId"),
];

/// The positions that the description of the API has.
fn described() -> BTreeSet<(String, String, String)> {
    let document = serde_json::to_value(web::openapi()).expect("JSON");
    let names_things =
        |name: &str| name.ends_with("Id") || name.ends_with("Ids") || name == "dependsOn";
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("an item") {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let queries = parameters.filter(|parameter| parameter["in"] == "query");
            let queries = queries.filter_map(|parameter| parameter["name"].as_str());
            let text = operation["requestBody"].to_string();
            let schemas = text.split("#/components/schemas/").skip(1);
            let schemas = schemas.filter_map(|rest| rest.split('"').next());
            let members = schemas.filter_map(|name| {
                document["components"]["schemas"][name]["properties"].as_object()
            });
            let members = members.flat_map(|members| members.keys().map(String::as_str));
            for name in queries.chain(members).filter(|name| names_things(name)) {
                found.insert((verb.to_uppercase(), path.clone(), name.to_owned()));
            }
        }
    }
    found
}

async fn ids_in_bodies_and_queries(world: &World) {
    let known =
        POSITIONS.map(|(verb, path, name)| (verb.to_owned(), path.to_owned(), name.to_owned()));
    assert_eq!(
        described(),
        BTreeSet::from(known),
        "every position has its case here"
    );
    let ours = Things::of(world).await;
    let nothing = Things::of_nothing();
    let stranger = world.stranger().await;
    let own = world
        .post_as(&stranger, "/api/desktops", &json!({"name": "own"}))
        .await;
    let own = own.is(201)["id"].clone();
    let agent = json!({"name": "a", "kind": "agent", "desktopId": own, "capabilities": ["tasks:read", "tasks:write"]});
    let agent = world.post_as(&stranger, KEYS, &agent).await.is(201);
    let agent = agent["key"].as_str().expect("a key");
    let task = |desktop: &Value, others: &[&str]| json!({"type": "prompt", "content": "c", "desktopId": desktop, "dependsOn": others});
    for caller in [stranger.as_str(), agent] {
        let ask = async |things: &Things| {
            let with_desktop = task(&json!(things.desktop), &[]);
            let with_parent = task(&own, &[&things.task]);
            let key = json!({"name": "k", "kind": "agent", "desktopId": things.desktop});
            let mut answers = Vec::new();
            for (path, body) in [(TASKS, with_desktop), (TASKS, with_parent), (KEYS, key)] {
                let answer = world.post_as(caller, path, &body).await;
                assert!(
                    matches!(answer.status, 403 | 422),
                    "{path}: {}",
                    answer.text()
                );
                answers.push(comparable(&answer, things));
            }
            for query in [
                format!("{TASKS}?desktopId={}", things.desktop),
                format!("{TASKS}?cursor={}", cursor(&things.task)),
                format!("{APPROVALS}?status=all&cursor={}", cursor(&things.approval)),
                format!("/board?desktop={}", things.desktop),
                format!("/board/columns?desktop={}", things.desktop),
                format!("/board/older?status=review&cursor={}", cursor(&things.task)),
                format!(
                    "/tasks/new?after={}&desktop={}",
                    things.task, things.desktop
                ),
                format!("/activity?task={}", things.task),
            ] {
                let answer = world.get_as(caller, &query).await;
                assert!(!answer.text().contains("a needle of ours"), "{query}");
                answers.push(comparable(&answer, things));
            }
            answers
        };
        let (foreign, missing) = (ask(&ours).await, ask(&nothing).await);
        for (foreign, missing) in foreign.iter().zip(&missing) {
            assert_eq!(foreign, missing);
        }
    }
    // a desktop of ours before a task of theirs, and the other way round
    let mixed = |desktop: &Value, task: &str, call: &str| {
        format!(
            "/api/desktops/{}/tasks/{task}/{call}",
            desktop.as_str().expect("an id")
        )
    };
    for call in ["heartbeat", "logs", "files", "complete"] {
        let body = match call {
            "logs" => json!({"entries": []}),
            "files" => json!({"files": []}),
            "complete" => json!({"outcome": "failed", "error": "theirs"}),
            _ => json!({}),
        };
        let token = "0".repeat(64);
        let (here, there, nowhere) = (&own, &json!(ours.desktop), &json!(nothing.desktop));
        let (foreign, missing) = (&ours.task, &nothing.task);
        for (asked, compared) in [
            ((here, foreign), (here, missing)),
            ((there, missing), (nowhere, missing)),
            ((there, foreign), (nowhere, missing)),
        ] {
            let ask = async |(desktop, task): (&Value, &String), things| {
                let path = mixed(desktop, task, call);
                let answer = world.leased(agent, &token, &path, &body).await;
                comparable(&answer, things)
            };
            let foreign = ask(asked, &ours).await;
            assert_eq!(foreign.0, 404, "{call}");
            assert_eq!(foreign, ask(compared, &nothing).await, "{call}");
        }
    }
}

/// A cursor as lists make them.
fn cursor(id: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(id)
}

/// Every list, count and search there is.
const VIEWS: [&str; 15] = [
    TASKS,
    "/api/mission-control/tasks?status=review",
    "/api/mission-control/approvals?status=all",
    "/api/mission-control/activity",
    "/api/mission-control/settings",
    "/api/desktops",
    "/board",
    "/board?q=needle",
    "/board/columns",
    "/approvals",
    "/approvals?tab=decided",
    "/activity",
    "/desktops",
    "/tasks/new",
    "/settings/mission-control",
];

async fn lists_counts_and_searches(world: &World) {
    let stranger = world.stranger().await;
    let look = async || {
        let mut seen = Vec::new();
        for path in VIEWS {
            let request = world.request(&stranger, "GET", path);
            let answer = send(request.header("accept", "text/html")).await;
            assert_eq!(answer.status, 200, "{path}");
            seen.push((path, comparable(&answer, &Things::of_nothing())));
        }
        let figures = world
            .get_as(&stranger, "/api/mission-control/dashboard")
            .await;
        seen.push(("dashboard", comparable(&figures, &Things::of_nothing())));
        seen
    };
    let before = look().await;
    let ours = Things::of(world).await;
    world
        .post(
            &of_task(&ours.task, "review"),
            &json!({"decision": "approve"}),
        )
        .await
        .is(200);
    let second = Things::of(world).await;
    for (before, after) in before.iter().zip(look().await) {
        assert_eq!(before, &after);
        for id in [&ours.task, &ours.approval, &ours.desktop, &second.task] {
            assert!(!after.1.2.contains(id.as_str()), "{}", before.0);
        }
    }
}

/// A page without the random keys of its forms.
fn without_keys(page: &str) -> String {
    let mut parts = page.split("name=\"idempotencyKey\" value=\"");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once('"').map_or("", |(_, rest)| rest));
    }
    kept
}

async fn streams_and_kept_answers(world: &World) {
    let (account, stranger) = new_account(&world.db, "theirs").await;
    let user = world.user(account, "stranger@example.org", None).await;
    let person = Person {
        account,
        user,
        cookie: String::new(),
    };
    let person = world.again(&person).await;
    let ours = Things::of(world).await;
    let open = async |path: &str| {
        let request = world.request(&stranger, "GET", path);
        Events::new(request.send().await.expect("a stream"))
    };
    let mut theirs = open("/api/mission-control/activity/stream?after=0").await;
    let live = world.browse(
        &person.cookie,
        "GET",
        &format!("/live?task={}&log=-1", ours.task),
    );
    let mut live = Events::new(live.send().await.expect("a stream"));
    let key = |request: reqwest::RequestBuilder| request.header("idempotency-key", "the same");
    let body = json!({"name": "kept"});
    let first = send(key(world.request(&world.owner, "POST", "/api/desktops")).json(&body)).await;
    first.is(201);
    world
        .post(
            &of_task(&ours.task, "review"),
            &json!({"decision": "approve"}),
        )
        .await
        .is(200);
    // the same key, path and body: an answer of their own
    let second = send(key(world.request(&stranger, "POST", "/api/desktops")).json(&body)).await;
    assert_ne!(second.is(201)["id"], first.is(201)["id"]);
    assert_eq!(second.header("idempotency-replayed"), "");
    // what they hear first is what they did
    let heard = loop {
        let event = theirs.next().await.expect("an event");
        let data: Value = serde_json::from_str(&event.data).expect("JSON");
        if data["type"] == "desktop.created" {
            break data;
        }
        assert_eq!(data["type"], "key.created", "{data}");
    };
    assert_eq!(heard["payload"]["desktopId"], second.json()["id"]);
    for _ in 0..2 {
        let event = live.next().await.expect("an event");
        assert!(
            !event.data.contains(&ours.task) && !event.data.contains(&ours.desktop),
            "{event:?}"
        );
        if event.data.contains("desktop") {
            break;
        }
    }
}
