//! Who may make which call: every row of the table of calls with every kind of credential
//! (contract sections 0 and 6; guarantees A1, A7, E6).

use crate::world::{TASKS, World, send};
use approval_core::Capability::{self, TasksRead, TasksRun, TasksWrite};
use serde_json::{Value, json};
use web::{Access, ROUTES, Route, Verb};

crate::on_both_engines! {
    every_call_with_every_credential
    without_a_valid_key_there_is_nothing
    what_is_foreign_does_not_exist
    another_method_or_path_is_named
}

/// A credential and what the contract gives it.
struct Principal {
    key: String,
    is_agent: bool,
    capabilities: Vec<Capability>,
}

impl Principal {
    async fn new(world: &World, mut body: Value, capabilities: &[Capability]) -> Self {
        body["name"] = json!("one of the matrix");
        Self {
            key: world.key(body.clone()).await,
            is_agent: body["kind"] == "agent",
            capabilities: capabilities.to_vec(),
        }
    }

    /// The contract in one line a kind of access.
    fn may(&self, access: Access) -> bool {
        let has = |capability| self.capabilities.contains(&capability);
        match access {
            Access::Public => true,
            Access::Capability(capability) => has(capability),
            Access::AnyOf(any) => any.iter().any(|capability| has(*capability)),
            Access::Account(capability) => has(capability) && !self.is_agent,
            Access::Runner => self.is_agent,
            // all of these are keys
            Access::Person => false,
        }
    }
}

/// The path of a call about things that do not exist.
fn path_of_nothing(route: &Route) -> String {
    path(route, "00000000000000000000000000")
}

fn path(route: &Route, suffix: &str) -> String {
    let kind = if route.path.contains("approvals") {
        "appr"
    } else if route.path.contains("api-keys") {
        "key"
    } else if route.path.contains("/tasks/") {
        "task"
    } else {
        "desk"
    };
    route
        .path
        .replace("{id}", &format!("{kind}_{suffix}"))
        .replace("{desktop}", "desk_00000000000000000000000000")
        .replace("{n}", "1")
}

/// The status alone: a stream has no end.
async fn status(world: &World, key: &str, route: &Route) -> u16 {
    let request = world.request(key, route.verb.as_str(), &path_of_nothing(route));
    request.send().await.expect("an answer").status().as_u16()
}

async fn every_call_with_every_credential(world: &World) {
    let (desktop, _) = world.desktop().await;
    let agent = json!({"kind": "agent", "desktopId": desktop});
    let reading = json!({"kind": "agent", "desktopId": desktop,
        "capabilities": ["tasks:read", "tasks:write"]});
    let mut principals = vec![
        Principal::new(world, json!({"kind": "human"}), Capability::ALL).await,
        Principal::new(world, json!({"kind": "human", "capabilities": []}), &[]).await,
        Principal::new(
            world,
            json!({"kind": "service"}),
            &[TasksRead, TasksWrite, TasksRun],
        )
        .await,
        Principal::new(world, agent, &[]).await,
        Principal::new(world, reading, &[TasksRead, TasksWrite]).await,
    ];
    for missing in Capability::ALL {
        let rest: Vec<_> = Capability::ALL
            .iter()
            .copied()
            .filter(|capability| capability != missing)
            .collect();
        let words: Vec<_> = rest.iter().map(|capability| capability.as_str()).collect();
        let body = json!({"kind": "human", "capabilities": words});
        principals.push(Principal::new(world, body, &rest).await);
    }
    let before = world.head().await;
    for route in ROUTES {
        for principal in &principals {
            let status = status(world, &principal.key, route).await;
            let refused = matches!(status, 401 | 403);
            assert_eq!(
                !refused,
                principal.may(route.access),
                "{} {} answers {status} to an agent: {}, {:?}",
                route.verb.as_str(),
                route.path,
                principal.is_agent,
                principal.capabilities
            );
        }
    }
    let person = world.person("owner@example.org").await;
    for route in ROUTES {
        let (verb, path) = (route.verb.as_str(), path_of_nothing(route));
        // the head alone: a stream has no end
        let answer = world.browse(&person.cookie, verb, &path).send().await;
        let status = answer.expect("an answer").status().as_u16();
        // a session has every capability, and is no runner
        let refused = matches!(status, 401 | 403);
        assert_eq!(
            refused,
            route.access == Access::Runner,
            "{verb} {path}: {status}"
        );
    }
    assert_eq!(world.head().await, before, "and nothing happened");
}

async fn without_a_valid_key_there_is_nothing(world: &World) {
    let revoked = revoked_key(world).await;
    let mut mistyped = world.owner.clone();
    mistyped.replace_range(20..21, if &mistyped[20..21] == "0" { "1" } else { "0" });
    let of_nobody = store::KeyText::generate(approval_core::KeyKind::Human).expect("random");
    let keys = ["", "nonsense", &mistyped, of_nobody.reveal(), &revoked];
    for (n, route) in ROUTES.iter().enumerate() {
        let expected = if route.access == Access::Public {
            200
        } else {
            401
        };
        for key in keys {
            let request = world.request(key, route.verb.as_str(), &path_of_nothing(route));
            // each from an address of its own: failures are limited by address
            let from = format!("10.0.{}.{}", n / 250, n % 250);
            let answer = send(request.header("x-forwarded-for", from)).await;
            assert_eq!(answer.status, expected, "{}: {}", route.path, answer.text());
            if expected == 401 {
                answer.problem(401, "unauthenticated");
                assert!(!answer.header("www-authenticate").is_empty());
            }
        }
    }
    let two = world.request(&world.owner, "GET", TASKS);
    let two = two.header("authorization", format!("Bearer {}", of_nobody.reveal()));
    send(two).await.problem(401, "unauthenticated");
    let bearer = world.request("", "GET", TASKS).bearer_auth(&world.owner);
    send(bearer).await.is(200);
    for path in [
        "/",
        "/api",
        "/api/nothing",
        "/healthz/",
        "//healthz",
        "/api/../healthz",
    ] {
        let answer = send(world.request("", "GET", path)).await;
        assert!(matches!(answer.status, 200 | 401), "{path}");
        if answer.status == 200 {
            assert_eq!(path, "/api/../healthz", "the client itself resolves it");
        }
    }
}

async fn revoked_key(world: &World) -> String {
    let body = json!({"name": "to be revoked", "kind": "human"});
    let created = world.post("/api/auth/api-keys", &body).await.is(201);
    let path = format!(
        "/api/auth/api-keys/{}",
        created["id"].as_str().expect("an id")
    );
    send(world.request(&world.owner, "DELETE", &path))
        .await
        .is(204);
    created["key"].as_str().expect("a key").to_owned()
}

/// A body that the call takes.
fn body(route: &Route) -> Value {
    let call = route.path.rsplit('/').next().unwrap_or_default();
    match call {
        "review" | "resolve" => json!({"decision": "approve"}),
        "logs" => json!({"entries": []}),
        "files" => json!({"files": []}),
        "complete" => json!({"outcome": "succeeded"}),
        _ => json!({}),
    }
}

/// The answer to a call about the thing with this id.
async fn about(world: &World, key: &str, route: &Route, id: &str) -> (u16, Vec<u8>) {
    let path = route
        .path
        .replace("{id}", id)
        .replace("{desktop}", "desk_00000000000000000000000000")
        .replace("{n}", "1");
    let mut request = world.request(key, route.verb.as_str(), &path);
    if matches!(route.verb, Verb::Post | Verb::Patch) {
        request = request
            .json(&body(route))
            .header("x-lease-token", "0".repeat(64));
    }
    let answer = send(request).await;
    (answer.status, answer.body)
}

async fn what_is_foreign_does_not_exist(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let task = task["id"].as_str().expect("an id");
    let approvals = world.get("/api/mission-control/approvals").await.is(200);
    let keys = world.get("/api/auth/api-keys").await.is(200);
    let approval = approvals[0]["id"].as_str().expect("an id");
    let key = keys[0]["id"].as_str().expect("an id");

    let (elsewhere, _) = world.desktop().await;
    let other_agent = json!({"name": "elsewhere", "kind": "agent", "desktopId": elsewhere,
        "capabilities": ["tasks:read", "tasks:write"]});
    let other_agent = world.key(other_agent).await;
    let stranger = world.stranger().await;
    let before = world.head().await;
    for route in ROUTES.iter().filter(|route| route.path.contains("{id}")) {
        let nothing = path_of_nothing(route);
        let nothing = nothing
            .split('/')
            .rfind(|part| part.contains("_0000"))
            .expect("an id");
        let existing = match nothing.split('_').next().expect("a prefix") {
            "task" => task,
            "appr" => approval,
            "key" => key,
            _ => desktop.as_str(),
        };
        let callers: &[&str] = match route.access {
            Access::Runner => &[&other_agent],
            Access::Capability(TasksRead) => &[&stranger, &other_agent],
            _ => &[&stranger],
        };
        for caller in callers {
            let foreign = about(world, caller, route, existing).await;
            assert_eq!(foreign.0, 404, "{} {}", route.verb.as_str(), route.path);
            assert_eq!(foreign, about(world, caller, route, nothing).await);
            assert_eq!(foreign, about(world, caller, route, "nonsense").await);
        }
    }
    assert_eq!(world.head().await, before, "and nothing happened");
    let theirs = send(world.request(&stranger, "GET", TASKS)).await;
    assert_eq!(
        (theirs.is(200), theirs.header("x-total-count")),
        (json!([]), "0")
    );
}

async fn another_method_or_path_is_named(world: &World) {
    let task = format!("{TASKS}/task_00000000000000000000000000");
    let answer = send(world.request(&world.owner, "DELETE", &task)).await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD");
    let answer = send(world.request(&world.owner, "PUT", TASKS)).await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
    send(world.request("", "PUT", TASKS))
        .await
        .problem(401, "unauthenticated");
    send(world.request("", "POST", "/healthz"))
        .await
        .problem(405, "method-not-allowed");
    send(world.request(&world.owner, "GET", "/api/nothing"))
        .await
        .problem(404, "not-found");
    let head = send(world.request(&world.owner, "HEAD", TASKS)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("x-total-count"), "0");
}
