//! Bad bodies, on every call that takes one: the right problem, and nothing happens
//! (contract sections 0 and 7; guarantees E7, E9).

use crate::world::{Answer, TASKS, World, of_task, send};
use serde_json::{Value, json};
use web::{Access, ROUTES, Route, Verb};

crate::on_both_engines! {
    bodies_that_are_not_what_the_call_takes
    bodies_that_are_too_large
    bodies_that_are_not_declared_as_json
    calls_without_a_body
    queries
    idempotency_keys_of_wrong_form
}

/// A call that takes a body, with one that it would accept.
struct Taken {
    route: &'static Route,
    path: String,
    key: String,
    body: Value,
    /// Whether there may be no body, under any content type.
    any_type: bool,
    /// Whether there may be no body.
    may_be_absent: bool,
    bulk: bool,
}

impl Taken {
    async fn send(
        &self,
        world: &World,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let request = world.request(&self.key, self.route.verb.as_str(), &self.path);
        let request = request.header("x-lease-token", "0".repeat(64)).body(body);
        send(if content_type.is_empty() {
            request
        } else {
            request.header("content-type", content_type)
        })
        .await
    }
}

/// Every call with a body, about things that exist.
async fn calls(world: &World) -> Vec<Taken> {
    let (desktop, agent) = world.desktop().await;
    let in_review = world.reviewed(&desktop, &agent).await;
    let review = in_review["id"].as_str().expect("an id").to_owned();
    let approval = &in_review["review"]["approvalId"];
    let approval = approval.as_str().expect("an id").to_owned();
    let pending = world.task(&desktop, json!({})).await;
    let failed = world.task(&desktop, json!({})).await;
    world
        .post(&of_task(&failed, "cancel"), &json!({}))
        .await
        .is(200);
    let takes_body = |route: &&&Route| matches!(route.verb, Verb::Post | Verb::Patch);
    let taken = ROUTES.iter().collect::<Vec<_>>();
    let taken = taken.iter().filter(takes_body).map(|route| {
        let call = route.path.rsplit('/').next().unwrap_or_default();
        let task = match call {
            "review" => &review,
            "retry" => &failed,
            _ => &pending,
        };
        let desktop_body = json!({"name": "n"});
        let (id, body) = match (route.path, call) {
            (TASKS, _) => (
                task,
                json!({"type": "prompt", "content": "c", "desktopId": desktop}),
            ),
            ("/api/desktops", _) => (task, desktop_body),
            ("/api/auth/api-keys", _) => (task, json!({"name": "n", "kind": "service"})),
            (_, "review") => (task, json!({"decision": "approve"})),
            (_, "resolve") => (&approval, json!({"decision": "reject", "feedback": "f"})),
            (_, "claim") => (&desktop, json!({"wait": 0})),
            (_, "logs") => (task, json!({"entries": []})),
            (_, "files") => (task, json!({"files": []})),
            (_, "complete") => (task, json!({"outcome": "failed", "error": "e"})),
            (_, "retry") => (task, json!({"title": "t"})),
            (_, "settings") => (task, json!({"requireEvidence": true})),
            (_, "run" | "cancel" | "heartbeat") => (task, json!({})),
            (path, _) => panic!("{path} has a body that this suite does not know"),
        };
        Taken {
            route,
            path: route
                .path
                .replace("{id}", id)
                .replace("{desktop}", &desktop),
            key: if route.access == Access::Runner {
                &agent
            } else {
                &world.owner
            }
            .clone(),
            body,
            any_type: matches!(call, "run" | "cancel" | "claim" | "heartbeat"),
            may_be_absent: matches!(call, "run" | "cancel" | "claim" | "heartbeat" | "retry"),
            bulk: matches!(call, "logs" | "files" | "complete"),
        }
    });
    taken.collect()
}

async fn bodies_that_are_not_what_the_call_takes(world: &World) {
    let calls = calls(world).await;
    let before = world.head().await;
    for call in &calls {
        let mut with_unknown = call.body.clone();
        with_unknown["surprise"] = json!({"decidedBy": "me"});
        let mut bad: Vec<Vec<u8>> = [
            "{",
            "null",
            "[]",
            "[{}]",
            "1",
            "\"x\"",
            "{} {}",
            "{\"\\u0000\":1}",
            "{\"a\":NaN}",
            "{'a':1}",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into();
        bad.push(with_unknown.to_string().into_bytes());
        bad.push(b"{\"\xff\":1}".to_vec());
        bad.push([b"{\"x\":".as_slice(), &b"[".repeat(100_000)].concat());
        bad.push(format!("\u{feff}{}", call.body).into_bytes());
        for (name, value) in call.body.as_object().expect("an object") {
            for wrong in [json!({"a": 1}), json!([[1]]), json!(1.5), json!("\u{0}")] {
                let mut body = call.body.clone();
                body[name] = wrong;
                bad.push(body.to_string().into_bytes());
            }
            let pair = format!("{}:{value}", json!(name));
            bad.push(format!("{{{pair},{pair}}}").into_bytes());
        }
        for body in bad {
            let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
            let answer = call.send(world, "application/json", body).await;
            assert_eq!(
                answer.status,
                400,
                "{} {shown}: {}",
                call.path,
                answer.text()
            );
            answer.problem(400, "invalid-body");
            assert!(
                answer.body.len() < 1_000,
                "it quotes little: {}",
                answer.text()
            );
        }
    }
    assert_eq!(world.head().await, before, "and nothing happened");
}

async fn bodies_that_are_too_large(world: &World) {
    let calls = calls(world).await;
    let before = world.head().await;
    for call in &calls {
        let limit = if call.bulk { 8 << 20 } else { 1 << 20 };
        let large = vec![b' '; limit + 1];
        let answer = call.send(world, "application/json", large).await;
        answer.problem(413, "too-large");
        let fitting = [&vec![b' '; limit - 1], b"{".as_slice()].concat();
        let answer = call.send(world, "application/json", fitting).await;
        answer.problem(400, "invalid-body");
    }
    let output = json!({"outcome": "succeeded", "output": "x".repeat((1 << 20) + 1)});
    let complete = calls.iter().find(|call| call.path.ends_with("/complete"));
    let complete = complete.expect("a call");
    let answer = complete
        .send(world, "application/json", output.to_string())
        .await;
    answer.problem(413, "too-large");
    assert_eq!(world.head().await, before, "and nothing happened");
}

async fn bodies_that_are_not_declared_as_json(world: &World) {
    let calls = calls(world).await;
    let before = world.head().await;
    for call in calls.iter().filter(|call| !call.any_type) {
        for content_type in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonx",
        ] {
            let answer = call.send(world, content_type, call.body.to_string()).await;
            assert_eq!(answer.status, 415, "{} {content_type}", call.path);
            answer.problem(415, "unsupported-media-type");
        }
        let request = world.request(&call.key, call.route.verb.as_str(), &call.path);
        let packed = request.header("content-encoding", "gzip").json(&call.body);
        send(packed).await.problem(415, "unsupported-media-type");
    }
    assert_eq!(world.head().await, before, "and nothing happened");
}

async fn calls_without_a_body(world: &World) {
    let calls = calls(world).await;
    for call in calls.iter().filter(|call| call.any_type) {
        for (content_type, body) in [("", ""), ("text/plain", ""), ("text/plain", "{}")] {
            let answer = call.send(world, content_type, body).await;
            assert!(
                !matches!(answer.status, 400 | 415),
                "{}: {}",
                call.path,
                answer.text()
            );
        }
        let answer = call.send(world, "text/plain", "nonsense").await;
        answer.problem(400, "invalid-body");
    }
    let before = world.head().await;
    for call in calls.iter().filter(|call| !call.any_type) {
        let answer = call.send(world, "", "").await;
        let expected = if call.may_be_absent { 201 } else { 415 };
        assert_eq!(answer.status, expected, "{}: {}", call.path, answer.text());
    }
    assert_eq!(world.head().await, before + 1, "only the retry happened");
}

async fn queries(world: &World) {
    let lists = ROUTES.iter().filter(|route| {
        route.verb == Verb::Get && route.path.starts_with("/api/") && !route.path.contains('{')
    });
    for path in lists.map(|route| route.path) {
        if path.ends_with("/settings") || path.ends_with("/dashboard") {
            continue;
        }
        let mut bad = vec!["surprise=1"];
        if path.ends_with("/stream") {
            bad.extend(["after=x", "after=-1", "after=1&after=2"]);
        } else if path.ends_with("/activity") {
            bad.extend(["limit=0", "limit=501", "after=-1", "after=", "limit=1.5"]);
        } else {
            bad.extend([
                "limit=0",
                "limit=1001",
                "limit=x",
                "limit=",
                "limit=1&limit=2",
                "cursor=",
                "cursor=%00",
            ]);
        }
        for query in bad {
            let answer = world.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 400, "{path}?{query}: {}", answer.text());
            answer.problem(400, "invalid-query");
        }
    }
    for query in [
        "status=nonsense",
        "status=pending,",
        "status=",
        "desktopId=nonsense",
        "limit=201",
    ] {
        world
            .get(&format!("{TASKS}?{query}"))
            .await
            .problem(400, "invalid-query");
    }
    let approvals = "/api/mission-control/approvals";
    world
        .get(&format!("{approvals}?status=nonsense"))
        .await
        .problem(400, "invalid-query");
    let nothing = format!("{approvals}/appr_00000000000000000000000000");
    for wait in ["61", "-1", "x", ""] {
        world
            .get(&format!("{nothing}?wait={wait}"))
            .await
            .problem(400, "invalid-query");
    }
    let stream = world.request(&world.owner, "GET", "/api/mission-control/activity/stream");
    send(stream.header("last-event-id", "x"))
        .await
        .problem(400, "invalid-query");
}

async fn idempotency_keys_of_wrong_form(world: &World) {
    let calls = calls(world).await;
    let before = world.head().await;
    for call in calls.iter().filter(|call| !call.path.ends_with("/claim")) {
        for key in ["", &"k".repeat(256), "a\tb", "\u{e9}"] {
            let request = world.request(&call.key, call.route.verb.as_str(), &call.path);
            let request = request
                .header("idempotency-key", key.as_bytes())
                .json(&call.body);
            send(request).await.problem(400, "invalid-idempotency-key");
        }
    }
    assert_eq!(world.head().await, before, "and nothing happened");
}
