//! Every answer carries the headers that hold a browser back, whatever the answer is: contract sections 5
//! and 7, `docs/api.md`.

use std::collections::BTreeSet;

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::json;
use web::{PAGES, ROUTES, Route, Surface, Verb};

use crate::world::{TASKS, World};

crate::on_both_engines! {
    every_answer_holds_the_browser_back
}

/// Sends a request and looks at the head of its answer: a stream has no end. Gives the status.
async fn look(what: &str, request: RequestBuilder) -> u16 {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let wrong = wrong(answer.headers(), what.contains("/assets/") && status == 200);
    assert!(wrong.is_empty(), "{what} answers {status} with {wrong:?}");
    status
}

/// The headers of an answer that are missing or not what they must be.
fn wrong(headers: &HeaderMap, is_asset: bool) -> Vec<String> {
    let value = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        let is_once = values.next().is_none();
        value.filter(|_| is_once).unwrap_or_default()
    };
    let is_closed = |policy: &str| {
        let is_ours =
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'");
        // what an agent wrote
        is_ours || policy == "sandbox"
    };
    let is_kept = |caching: &str| {
        if is_asset {
            caching == "public, max-age=31536000, immutable"
        } else {
            caching == "no-store"
        }
    };
    let checks = [
        (
            "content-security-policy",
            is_closed(value("content-security-policy")),
        ),
        (
            "x-content-type-options",
            value("x-content-type-options") == "nosniff",
        ),
        ("x-frame-options", value("x-frame-options") == "DENY"),
        (
            "referrer-policy",
            ["no-referrer", "same-origin"].contains(&value("referrer-policy")),
        ),
        (
            "cross-origin-resource-policy",
            value("cross-origin-resource-policy") == "same-origin",
        ),
        ("cache-control", is_kept(value("cache-control"))),
        ("x-request-id", !value("x-request-id").is_empty()),
        ("server", value("server").is_empty()),
    ];
    let wrong = checks.iter().filter(|(_, right)| !right);
    wrong
        .map(|(name, _)| format!("{name}: {}", value(name)))
        .collect()
}

/// Things that exist.
struct Things {
    desktop: String,
    agent: String,
    task: String,
    approval: String,
    cookie: String,
}

impl Things {
    async fn new(world: &World) -> Self {
        let (desktop, agent) = world.desktop().await;
        let task = world.reviewed(&desktop, &agent).await;
        let approvals = world.get("/api/mission-control/approvals").await.is(200);
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        Self {
            task: text(&task["id"]),
            approval: text(&approvals[0]["id"]),
            cookie: world.person("owner@example.org").await.cookie,
            desktop,
            agent,
        }
    }

    fn path(&self, route: &Route) -> String {
        let id = match route.path {
            path if path.contains("/approvals/") => &self.approval,
            path if path.contains("/desktops/") => &self.desktop,
            _ => &self.task,
        };
        let path = route
            .path
            .replace("{id}", id)
            .replace("{desktop}", &self.desktop);
        path.replace("{name}", "app.css").replace("{n}", "1")
    }
}

async fn every_answer_holds_the_browser_back(world: &World) {
    let things = Things::new(world).await;
    let mut seen = BTreeSet::new();
    for route in ROUTES.iter().chain(PAGES) {
        seen.extend(of_route(world, &things, route).await);
    }
    seen.extend(of_bodies(world, &things).await);
    for path in [
        "/api/nothing",
        "/nothing",
        "/assets/nothing",
        "/api/mission-control/tasks/",
    ] {
        for key in ["", &world.owner, &things.agent] {
            seen.insert(look(path, world.request(key, "GET", path)).await);
            seen.insert(look(path, world.browse(&things.cookie, "GET", path)).await);
        }
    }
    for status in [200, 204, 303, 400, 401, 403, 404, 405, 409, 413, 415, 422] {
        assert!(
            seen.contains(&status),
            "{status} was never answered: {seen:?}"
        );
    }
}

/// Every caller at a call, with what exists and with what does not, with its method and another one. What
/// changes something is sent without a body first, by those who may not.
async fn of_route(world: &World, things: &Things, route: &Route) -> BTreeSet<u16> {
    let mut seen = BTreeSet::new();
    let existing = things.path(route);
    let nothing = existing
        .replace(&things.task, "task_00000000000000000000000000")
        .replace(&things.approval, "appr_00000000000000000000000000");
    let verb = route.verb.as_str();
    for (path, method) in [(&existing, verb), (&nothing, verb), (&existing, "PUT")] {
        let deletes = route.verb == Verb::Delete && method == verb;
        let keys = ["", &things.agent, &world.owner];
        for key in &keys[..if deletes { 2 } else { 3 }] {
            let request = || world.request(key, method, path);
            seen.insert(look(&format!("{method} {path}"), request()).await);
            if route.surface == Surface::Page {
                let part = request().header("hx-request", "true");
                seen.insert(look(&format!("{method} {path}, a part"), part).await);
            }
        }
        let ends = deletes || path.contains("sign-out") || path.contains("/revoke");
        if !ends {
            let page = world.browse(&things.cookie, method, path);
            seen.insert(look(&format!("{method} {path} by a person"), page).await);
        }
    }
    seen
}

/// Answers that need a body of some kind.
async fn of_bodies(world: &World, things: &Things) -> BTreeSet<u16> {
    let post = |path: &str| world.request(&world.owner, "POST", path);
    let task = json!({"type": "command", "content": "true", "desktopId": things.desktop});
    let wrong = json!({"type": "command", "content": "true", "desktopId": "desk_0"});
    let review = format!("{TASKS}/{}/review", things.task);
    let mut seen = BTreeSet::new();
    for request in [
        post(TASKS).json(&task),
        post(TASKS).json(&wrong),
        post(TASKS).body("text"),
        post(TASKS)
            .header("content-type", "application/json")
            .body("{"),
        post(TASKS).json(&json!({"content": "a".repeat(2 << 20)})),
        post("/sign-in").body("email=a&password=b"),
        post("/sign-in/link").body("token=a"),
        post(&review).json(&json!({"decision": "reject"})),
        post(&review).json(&json!({"decision": "reject"})),
    ] {
        seen.insert(look("a body", request).await);
    }
    seen
}
