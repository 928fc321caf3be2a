//! Who may open which page and send which form: every row of the table of pages with every kind
//! of credential (contract section 6; guarantees A1, A7, E1, E6).

use approval_core::Capability::{self, TasksRead, TasksRun, TasksWrite};
use serde_json::json;
use web::{Access, PAGES, Route, Verb};

use crate::people::{Person, filled};
use crate::world::{Answer, World, send};

crate::on_both_engines! {
    nobody_is_led_to_sign_in_and_learns_nothing
    every_page_with_every_credential
    what_is_foreign_looks_as_if_it_did_not_exist
    looking_changes_nothing
    another_method_is_refused_and_a_page_that_is_not_listed_does_not_exist
}

const NOTHING: &str = "00000000000000000000000000";

fn prefix(route: &Route) -> &'static str {
    match route.path {
        path if path.contains("sessions") => "sess",
        path if path.contains("api-keys") => "key",
        path if path.starts_with("/desktops") => "desk",
        _ => "task",
    }
}

fn path(route: &Route, id: &str) -> String {
    route.path.replace("{id}", id).replace("{name}", "app.css")
}

fn path_of_nothing(route: &Route) -> String {
    path(route, &format!("{}_{NOTHING}", prefix(route)))
}

fn is_public(route: &Route) -> bool {
    route.access == Access::Public
}

/// The head of an answer alone: a stream has no end.
async fn status(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = request.send().await.expect("an answer");
    let location = answer.headers().get("location");
    let location = location.map(|value| value.to_str().expect("text").to_owned());
    (answer.status().as_u16(), location.unwrap_or_default())
}

async fn nobody_is_led_to_sign_in_and_learns_nothing(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id");
    let ended = world.person("ended@example.org").await;
    world.form(&ended.cookie, "/sign-out", &[]).await.leads();
    let made_up = format!("countersign-session={}", "a".repeat(64));
    for route in PAGES.iter().filter(|route| !is_public(route)) {
        let existing = match prefix(route) {
            "task" => path(route, task),
            "desk" => path(route, &desktop),
            _ => path_of_nothing(route),
        };
        for cookie in ["", &made_up, &ended.cookie] {
            for path in [&existing, &path_of_nothing(route)] {
                let verb = route.verb.as_str();
                let answer = send(world.browse(cookie, verb, path)).await;
                assert!(answer.leads().starts_with("/sign-in"), "{path}");
                assert_eq!(answer.body, b"", "{path}");
                let part = world
                    .browse(cookie, verb, path)
                    .header("hx-request", "true");
                let part = send(part).await;
                let led = (part.status, part.header("hx-redirect"), part.body.len());
                assert_eq!(led, (204, "/sign-in", 0), "{path}");
                // a program is told so in its own words
                let program = world.request("", verb, path).header("cookie", cookie);
                let program = program.header("sec-fetch-site", "same-origin");
                send(program).await.problem(401, "unauthenticated");
            }
        }
    }
    let deep = world.page("", "/tasks/task_1?tab=logs").await;
    assert_eq!(deep.leads(), "/sign-in?next=%2Ftasks%2Ftask_1%3Ftab%3Dlogs");
}

/// A key and what the contract gives it.
struct Principal {
    key: String,
    is_agent: bool,
    capabilities: Vec<Capability>,
}

impl Principal {
    fn may(&self, access: Access) -> bool {
        let has = |capability| self.capabilities.contains(&capability);
        match access {
            Access::Public => true,
            // the dashboard is not for agents at all
            _ if self.is_agent => false,
            Access::Capability(capability) | Access::Account(capability) => has(capability),
            Access::AnyOf(any) => any.iter().any(|capability| has(*capability)),
            Access::Runner | Access::Person => false,
        }
    }
}

async fn principals(world: &World) -> Vec<Principal> {
    let (desktop, plain_agent) = world.desktop().await;
    let agent = json!({"name": "an agent", "kind": "agent", "desktopId": desktop,
        "capabilities": ["tasks:read", "tasks:write"]});
    let reader = json!({"name": "a reader", "kind": "human", "capabilities": ["tasks:read"]});
    let service = json!({"name": "a service", "kind": "service"});
    let human = json!({"name": "a human", "kind": "human"});
    let of = |key, is_agent, capabilities: &[Capability]| Principal {
        key,
        is_agent,
        capabilities: capabilities.to_vec(),
    };
    vec![
        of(world.key(human).await, false, Capability::ALL),
        of(world.key(reader).await, false, &[TasksRead]),
        of(
            world.key(service).await,
            false,
            &[TasksRead, TasksWrite, TasksRun],
        ),
        of(world.key(agent).await, true, &[TasksRead, TasksWrite]),
        of(plain_agent, true, &[]),
    ]
}

async fn every_page_with_every_credential(world: &World) {
    let principals = principals(world).await;
    let person = world.person("owner@example.org").await;
    let stranger = world.strange_person().await;
    let before = world.head().await;
    for route in PAGES
        .iter()
        .filter(|route| !route.path.starts_with("/sign-in"))
    {
        let (verb, path) = (route.verb.as_str(), path_of_nothing(route));
        for principal in &principals {
            let request = world.request(&principal.key, verb, &path);
            let (status, _) = status(request.header("accept", "text/html")).await;
            assert!(!matches!(status, 401 | 500..), "{verb} {path}: {status}");
            assert_eq!(
                status != 403,
                principal.may(route.access),
                "{verb} {path} answers {status} to an agent: {}, {:?}",
                principal.is_agent,
                principal.capabilities
            );
        }
        for person in [&person, &stranger] {
            // some of the forms end sessions
            let fresh = world.again(person).await;
            let (status, to) = status(world.browse(&fresh.cookie, verb, &path)).await;
            assert!(
                !matches!(status, 401 | 403 | 500..),
                "{verb} {path}: {status}"
            );
            let ends = path.starts_with("/sign-out");
            assert_eq!(
                to.starts_with("/sign-in"),
                ends,
                "{verb} {path} leads to {to}"
            );
        }
    }
    assert_eq!(world.head().await, before, "and nothing happened");
}

/// What somebody who asks about an id gets.
async fn about(world: &World, person: &Person, route: &Route, id: &str) -> (u16, String, Vec<u8>) {
    let request = world.browse(&person.cookie, route.verb.as_str(), &path(route, id));
    let request = match route.verb {
        Verb::Get => request,
        _ => filled(
            request,
            &[("decision", "approve"), ("content", "x"), ("run", "on")],
        ),
    };
    let answer: Answer = send(request).await;
    // the address itself may be on the page
    let body = answer.text().replace(id, "ID").into_bytes();
    (answer.status, answer.header("location").to_owned(), body)
}

async fn what_is_foreign_looks_as_if_it_did_not_exist(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let review = world.reviewed(&desktop, &agent).await;
    let review = review["id"].as_str().expect("an id");
    let keys = world.get("/api/auth/api-keys").await.is(200);
    let key = keys[0]["id"].as_str().expect("an id");
    let person = world.person("owner@example.org").await;
    let second = world.again(&person).await;
    let account = world
        .page(&person.cookie, "/settings/account")
        .await
        .shows(200);
    let (_, session) = account
        .split_once("/settings/account/sessions/")
        .expect("another one");
    let session = session.split('/').next().expect("an id");
    let stranger = world.strange_person().await;
    let before = world.head().await;
    let mut seen = 0;
    for route in PAGES.iter().filter(|route| route.path.contains("{id}")) {
        let existing = match prefix(route) {
            "sess" => session,
            "key" => key,
            "desk" => &desktop,
            _ => review,
        };
        let nothing = format!("{}_{NOTHING}", prefix(route));
        let foreign = about(world, &stranger, route, existing).await;
        assert_eq!(foreign.0, 404, "{}", route.path);
        assert_eq!(
            foreign,
            about(world, &stranger, route, &nothing).await,
            "{}",
            route.path
        );
        assert_eq!(
            foreign,
            about(world, &stranger, route, "nonsense").await,
            "{}",
            route.path
        );
        seen += 1;
    }
    assert!(seen >= 14, "{seen}");
    assert_eq!(world.head().await, before, "and nothing happened");
    assert_eq!(world.status(review).await, "review");
    world.page(&second.cookie, "/board").await.shows(200);
    for path in [
        "/board",
        "/approvals",
        "/approvals?tab=decided",
        "/activity",
        "/tasks/new",
    ] {
        let page = world.page(&stranger.cookie, path).await.shows(200);
        assert!(!page.contains(review) && !page.contains(&desktop), "{path}");
    }
    let filtered = format!("/board?desktop={desktop}");
    let page = world.page(&stranger.cookie, &filtered).await.shows(200);
    assert!(!page.contains("a desktop"));
}

async fn looking_changes_nothing(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let review = world.reviewed(&desktop, &agent).await;
    let review = review["id"].as_str().expect("an id");
    let keys = world.get("/api/auth/api-keys").await.is(200);
    let key = keys[0]["id"].as_str().expect("an id");
    let person = world.person("owner@example.org").await;
    let (before, task) = (
        world.head().await,
        world.get(&crate::world::of_task(review, "")).await,
    );
    for route in PAGES
        .iter()
        .filter(|route| route.verb == Verb::Get && route.path != "/live")
    {
        let id = match prefix(route) {
            "key" => key,
            "desk" => &desktop,
            _ => review,
        };
        let queries = [
            "",
            "?decision=approve&idempotencyKey=1",
            "?status=done&taskApprovalMode=on",
        ];
        for query in queries {
            let path = format!("{}{query}", path(route, id));
            let get = send(world.browse(&person.cookie, "GET", &path)).await;
            assert!(
                matches!(get.status, 200 | 303 | 400),
                "{path}: {}",
                get.status
            );
            let head = send(world.browse(&person.cookie, "HEAD", &path)).await;
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
            assert_eq!(
                head.header("content-type"),
                get.header("content-type"),
                "{path}"
            );
        }
    }
    assert_eq!(world.head().await, before, "and nothing happened");
    assert_eq!(
        world.get(&crate::world::of_task(review, "")).await.body,
        task.body
    );
    assert_eq!(
        world
            .get("/api/auth/api-keys")
            .await
            .json()
            .as_array()
            .map(Vec::len),
        keys.as_array().map(Vec::len)
    );
}

async fn another_method_is_refused_and_a_page_that_is_not_listed_does_not_exist(world: &World) {
    let person = world.person("owner@example.org").await;
    for route in PAGES {
        let path = path_of_nothing(route);
        let takes = |verb| {
            PAGES
                .iter()
                .any(|other| other.path == route.path && other.verb == verb)
        };
        let others = [
            ("PUT", false),
            ("DELETE", false),
            ("PATCH", false),
            ("POST", takes(Verb::Post)),
            ("GET", takes(Verb::Get)),
        ];
        for (method, _) in others.into_iter().filter(|(_, taken)| !taken) {
            let answer = send(world.browse(&person.cookie, method, &path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(
                answer.header("allow").contains("POST"),
                takes(Verb::Post),
                "{path}"
            );
        }
    }
    for path in [
        "/boards",
        "/board/",
        "/tasks",
        "/settings",
        "/tasks/new/x",
        "/Board",
        "/assets",
    ] {
        let answer = world.page(&person.cookie, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            world.page("", path).await.leads().starts_with("/sign-in"),
            "{path}"
        );
    }
}
