//! The calls of the mission, over HTTP, as the contract shows them (contract sections 1 to 5).

use crate::world::{TASKS, World, of_task, send};
use serde_json::{Value, json};

crate::on_both_engines! {
    approve
    reject_and_retry
    two_doors_one_decision
    evidence_is_what_was_sealed
    the_setting_gates_and_demands_evidence
    an_agent_sees_dependents_of_its_own_desktop_only
    dependencies
    cancel_while_running
    agents_see_and_do_little
    lists_and_pages
    idempotency
    what_an_attempt_leaves_behind
    keys
    desktops
    answers_have_their_headers
}

const APPROVALS: &str = "/api/mission-control/approvals";
const SETTINGS: &str = "/api/mission-control/settings";

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

async fn approve(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let created = world.request(&world.owner, "POST", TASKS).json(&json!({
        "type": "command", "content": "\n  make release  \n", "desktopId": desktop, "requiresApproval": true,
    }));
    let created = send(created).await;
    let task = created.is(201);
    let id = text(&task["id"]);
    assert_eq!(created.header("location"), of_task(&id, ""));
    assert_eq!(
        (&task["status"], &task["attempt"]),
        (&json!("pending"), &json!(0))
    );
    assert_eq!(
        (&task["gated"], &task["review"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(task["outputUrl"], of_task(&id, "output"));
    assert_eq!(task["createdBy"]["kind"], "human");
    assert_eq!(task["createdBy"]["name"], "ours");

    let task = world.work(&desktop, &agent, &id).await;
    assert_eq!(task["status"], "review");
    assert_eq!(
        task["createdBy"]["name"], "human",
        "agents do not see names"
    );
    let pending = world.get(APPROVALS).await.is(200);
    let approval = &pending[0];
    assert_eq!(
        (&approval["taskId"], &approval["reason"]),
        (&json!(id), &json!("task"))
    );
    assert_eq!(approval["task"]["content"], "\n  make release  \n");
    assert_eq!(
        approval["desktop"],
        json!({"id": desktop, "name": "a desktop"})
    );
    assert_eq!(approval["evidenceSha256"], task["evidenceSha256"]);

    let decision = json!({"decision": "approve"});
    let done = world.post(&of_task(&id, "review"), &decision).await.is(200);
    assert_eq!(done["status"], "done");
    assert_eq!(done["review"]["decision"], "approve");
    assert_eq!(done["review"]["decidedBy"]["name"], "ours");
    assert_eq!(world.get(APPROVALS).await.is(200), json!([]));
}

async fn reject_and_retry(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = text(&world.reviewed(&desktop, &agent).await["id"]);
    let reject = json!({"decision": "reject", "feedback": "shorter, please"});
    let failed = world.post(&of_task(&task, "review"), &reject).await.is(200);
    assert_eq!(
        (&failed["status"], &failed["error"]),
        (&json!("failed"), &Value::Null)
    );

    let ungated = json!({"requiresApproval": false});
    let weak = world.key(json!({"name": "weak", "kind": "service"})).await;
    let refused = world
        .post_as(&weak, &of_task(&task, "retry"), &ungated)
        .await;
    refused.problem(403, "forbidden");
    let retry = world
        .post(&of_task(&task, "retry"), &json!({"title": "again"}))
        .await;
    let location = retry.header("location").to_owned();
    let retry = retry.is(201);
    assert_eq!(location, of_task(&text(&retry["id"]), ""));
    assert_eq!(retry["retryOf"], json!(task));
    assert_eq!(retry["priorFeedback"][0]["feedback"], "shorter, please");
    assert_eq!(retry["gated"], true);
    let again = world.post(&of_task(&task, "retry"), &json!({})).await;
    assert_eq!(
        again.problem(409, "already-retried")["retriedBy"],
        retry["id"]
    );

    let claimed = text(&retry["id"]);
    world
        .post(&of_task(&claimed, "run"), &json!({}))
        .await
        .is(200);
    let claim = world
        .post_as(
            &agent,
            &format!("/api/desktops/{desktop}/claim"),
            &json!({}),
        )
        .await
        .is(200);
    assert_eq!(
        claim["task"]["priorFeedback"][0]["decidedBy"]["name"],
        "human"
    );
    let running = world.post(&of_task(&claimed, "retry"), &json!({})).await;
    assert_eq!(
        running.problem(409, "not-retryable")["taskStatus"],
        "running"
    );
}

async fn two_doors_one_decision(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let (id, approval) = (text(&task["id"]), text(&task["review"]["approvalId"]));
    let doors = [
        (of_task(&id, "review"), json!({"decision": "approve"})),
        (
            format!("{APPROVALS}/{approval}/resolve"),
            json!({"decision": "reject", "feedback": "no"}),
        ),
    ];
    let answers = futures_util::future::join_all((0..20).map(|n| {
        let (path, body) = &doors[n % 2];
        world.post(path, body)
    }))
    .await;
    let mut won = answers.iter().filter(|answer| answer.status == 200);
    let winner = won.next().expect("one wins").json();
    assert!(won.next().is_none(), "only one wins");
    let outcome = if winner["kind"] == "task" {
        &winner["status"]
    } else {
        &winner["review"]["decision"]
    };
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        let standing = &answer.problem(409, "already-decided")["standing"];
        assert_eq!(standing["approvalId"], approval);
        assert!(
            text(&standing["status"]).starts_with(&text(outcome)[..6]),
            "{standing} {outcome}"
        );
        assert_eq!(standing["decidedBy"]["name"], "ours");
        assert!(standing["decidedAt"].is_string());
    }
    let pending = world.task(&desktop, json!({})).await;
    let early = world
        .post(
            &of_task(&pending, "review"),
            &json!({"decision": "approve"}),
        )
        .await;
    assert_eq!(early.problem(409, "not-in-review")["taskStatus"], "pending");
}

async fn evidence_is_what_was_sealed(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.reviewed(&desktop, &agent).await;
    let id = text(&task["id"]);
    let sealed = world.get(&of_task(&id, "evidence")).await;
    assert_eq!(sealed.status, 200);
    let digest = approval_core::Digest::of(&sealed.body).to_string();
    assert_eq!(task["evidenceSha256"], digest);
    assert_eq!(sealed.json()["output"]["bytes"], 5);

    let review = of_task(&id, "review");
    let other = json!({"decision": "approve", "evidenceSha256": "0".repeat(64)});
    let mismatch = world
        .post(&review, &other)
        .await
        .problem(409, "evidence-mismatch");
    assert_eq!(mismatch["evidenceSha256"], digest);
    let long = json!({"decision": "approve", "feedback": "x".repeat(10_001)});
    let long = world
        .post(&review, &long)
        .await
        .problem(422, "invalid-decision");
    assert_eq!(long["field"], "feedback");
    let right = json!({"decision": "approve", "evidenceSha256": digest});
    assert_eq!(world.post(&review, &right).await.is(200)["status"], "done");
    let fresh = world.task(&desktop, json!({})).await;
    world
        .get(&of_task(&fresh, "evidence"))
        .await
        .problem(404, "not-found");
}

async fn the_setting_gates_and_demands_evidence(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let patch = |body: Value| {
        let request = world.request(&world.owner, "PATCH", SETTINGS).json(&body);
        send(request)
    };
    let on = patch(json!({"taskApprovalMode": true, "requireEvidence": true}))
        .await
        .is(200);
    assert_eq!(
        on,
        json!({"taskApprovalMode": true, "requireEvidence": true})
    );
    assert_eq!(world.get(SETTINGS).await.is(200), on);
    let head = world.head().await;
    patch(json!({})).await.is(200);
    patch(json!({"taskApprovalMode": true})).await.is(200);
    assert_eq!(
        world.head().await,
        head,
        "a change that changes nothing logs nothing"
    );

    let task = world.task(&desktop, json!({})).await;
    let task = world.work(&desktop, &agent, &task).await;
    assert_eq!(
        (&task["status"], &task["requiresApproval"]),
        (&json!("review"), &json!(false))
    );
    patch(json!({"taskApprovalMode": false})).await.is(200);
    let id = text(&task["id"]);
    assert_eq!(
        world.status(&id).await,
        "review",
        "turning it off releases nothing"
    );
    let bare = world
        .post(&of_task(&id, "review"), &json!({"decision": "approve"}))
        .await;
    bare.problem(428, "evidence-required");
    let dashboard = world.get("/api/mission-control/dashboard").await.is(200);
    assert_eq!(
        (
            &dashboard["pendingApprovals"],
            &dashboard["tasks"]["review"]
        ),
        (&json!(1), &json!(1))
    );
    assert!(dashboard["oldestPendingSeconds"].is_u64());
    assert_eq!(dashboard["desktopsRunning"], 1);
}

async fn an_agent_sees_dependents_of_its_own_desktop_only(world: &World) {
    let (desktop, _) = world.desktop().await;
    let (elsewhere, _) = world.desktop().await;
    let reader = json!({"name": "reader", "kind": "agent", "desktopId": desktop, "capabilities": ["tasks:read"]});
    let reader = world.key(reader).await;
    let build = world.task(&desktop, json!({})).await;
    let near = world.task(&desktop, json!({"dependsOn": [build]})).await;
    let far = world.task(&elsewhere, json!({"dependsOn": [build]})).await;
    let ids = |task: &Value| -> Vec<String> {
        let dependents = task["dependents"].as_array().expect("dependents");
        dependents
            .iter()
            .filter_map(|d| d["id"].as_str().map(ToOwned::to_owned))
            .collect()
    };
    let whole = world.get(&of_task(&build, "")).await.is(200);
    assert_eq!(ids(&whole), [near.clone(), far]);
    let seen = world.get_as(&reader, &of_task(&build, "")).await.is(200);
    assert_eq!(ids(&seen), [near]);
}

async fn dependencies(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let build = world
        .task(&desktop, json!({"requiresApproval": true}))
        .await;
    let deploy = json!({"dependsOn": [build], "autoRun": true, "title": "deploy"});
    let deploy = world.task(&desktop, deploy).await;
    let blocked = world.post(&of_task(&deploy, "run"), &json!({})).await;
    assert_eq!(blocked.problem(409, "blocked")["blockedBy"], json!([build]));
    let shown = world.get(&of_task(&build, "")).await.is(200);
    assert_eq!(shown["dependents"][0]["id"], deploy);
    assert_eq!(shown["dependents"][0]["title"], "deploy");

    let in_review = world.work(&desktop, &agent, &build).await;
    assert_eq!(world.status(&deploy).await, "pending");
    world
        .post(&of_task(&build, "review"), &json!({"decision": "approve"}))
        .await
        .is(200);
    let claim = format!("/api/desktops/{desktop}/claim");
    let claim = world
        .post_as(&agent, &claim, &json!({"wait": 5}))
        .await
        .is(200);
    assert_eq!(claim["task"]["id"], deploy);
    let input =
        json!({"taskId": build, "attempt": 1, "evidenceSha256": in_review["evidenceSha256"]});
    assert_eq!(claim["inputs"], json!([input]));

    let unknown = "task_00000000000000000000000000";
    for (field, body) in [
        ("dependsOn", json!({"dependsOn": [unknown]})),
        ("dependsOn", json!({"dependsOn": ["nonsense"]})),
        ("desktopId", json!({"desktopId": "nonsense"})),
        ("content", json!({"content": ""})),
        ("timeoutSeconds", json!({"timeoutSeconds": 0})),
        ("maxAttempts", json!({"maxAttempts": 11})),
        ("title", json!({"title": "x".repeat(201)})),
    ] {
        let mut task = json!({"type": "prompt", "content": "c", "desktopId": desktop});
        task[field] = body[field].clone();
        let problem = world.post(TASKS, &task).await.problem(422, "invalid-task");
        assert_eq!(problem["field"], field);
    }
}

async fn cancel_while_running(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world.task(&desktop, json!({})).await;
    world.post(&of_task(&task, "run"), &json!({})).await.is(200);
    let again = world.post(&of_task(&task, "run"), &json!({})).await;
    assert_eq!(again.problem(409, "not-pending")["taskStatus"], "running");
    let (_, token) = world.claim(&desktop, &agent).await;
    let beat = |token: String| {
        let path = of_task(&task, "heartbeat");
        let agent = &agent;
        async move { world.leased(agent, &token, &path, &json!({})).await }
    };
    assert_eq!(beat(token.clone()).await.is(200)["cancelRequested"], false);
    beat("0".repeat(64)).await.problem(409, "lease-lost");
    let without = world
        .post_as(&agent, &of_task(&task, "heartbeat"), &json!({}))
        .await;
    without.problem(409, "lease-lost");

    let cancelled = world
        .post(&of_task(&task, "cancel"), &json!({}))
        .await
        .is(200);
    assert_eq!(
        (&cancelled["status"], &cancelled["completedAt"]),
        (&json!("cancelled"), &Value::Null)
    );
    assert_eq!(beat(token.clone()).await.is(200)["cancelRequested"], true);
    let report = json!({"outcome": "succeeded"});
    let late = world
        .leased(&agent, &token, &of_task(&task, "complete"), &report)
        .await;
    late.problem(409, "lease-lost");
    let again = world.post(&of_task(&task, "cancel"), &json!({})).await;
    assert_eq!(
        again.problem(409, "already-final")["taskStatus"],
        "cancelled"
    );
}

async fn agents_see_and_do_little(world: &World) {
    let (desktop, runner) = world.desktop().await;
    let (other, _) = world.desktop().await;
    let agent = json!({"name": "agent", "kind": "agent", "desktopId": desktop,
        "capabilities": ["tasks:read", "tasks:write"]});
    let agent = world.key(agent).await;
    let theirs = world.task(&other, json!({})).await;
    world
        .get_as(&agent, &of_task(&theirs, ""))
        .await
        .problem(404, "not-found");
    let mine = world.task(&desktop, json!({"dependsOn": [theirs]})).await;
    world.get_as(&agent, &of_task(&theirs, "")).await.is(200);
    let seen = world.get_as(&agent, TASKS).await;
    assert_eq!(
        seen.header("x-total-count"),
        "2",
        "its own and what that depends on"
    );

    let body =
        json!({"type": "prompt", "content": "c", "desktopId": desktop, "requiresApproval": false});
    let created = world.post_as(&agent, TASKS, &body).await.is(201);
    assert_eq!(
        (&created["requiresApproval"], &created["gated"]),
        (&json!(true), &json!(true))
    );
    let mut auto = body.clone();
    auto["autoRun"] = json!(true);
    world
        .post_as(&agent, TASKS, &auto)
        .await
        .problem(403, "forbidden");
    let mut elsewhere = body;
    elsewhere["desktopId"] = json!(other);
    world
        .post_as(&agent, TASKS, &elsewhere)
        .await
        .problem(422, "invalid-task");
    world
        .post_as(&agent, &of_task(&mine, "cancel"), &json!({}))
        .await
        .problem(403, "forbidden");
    let own = text(&created["id"]);
    world
        .post_as(&agent, &of_task(&own, "cancel"), &json!({}))
        .await
        .is(200);
    let claim = format!("/api/desktops/{other}/claim");
    world
        .post_as(&runner, &claim, &json!({}))
        .await
        .problem(404, "not-found");
    let claim = format!("/api/desktops/{desktop}/claim");
    world
        .post(&claim, &json!({}))
        .await
        .problem(403, "forbidden");
    let detour = format!("/api/desktops/{other}/tasks/{mine}/heartbeat");
    world
        .post_as(&runner, &detour, &json!({}))
        .await
        .problem(404, "not-found");
    let direct = format!("/api/desktops/{desktop}/tasks/{mine}/heartbeat");
    world
        .post_as(&runner, &direct, &json!({}))
        .await
        .problem(409, "lease-lost");
}

/// All ids of a list, page by page.
async fn walk(world: &World, first: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(path) = next {
        let page = world.get(&path).await;
        next = page
            .header("link")
            .strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
            .map(str::to_owned);
        let rows = page.is(200);
        ids.extend(
            rows.as_array()
                .expect("rows")
                .iter()
                .map(|row| text(&row["id"])),
        );
    }
    ids
}

async fn lists_and_pages(world: &World) {
    let (desktop, _) = world.desktop().await;
    let long = json!({"content": "x".repeat(3_000)});
    let mut tasks = vec![world.task(&desktop, long).await];
    for _ in 0..6 {
        tasks.push(world.task(&desktop, json!({})).await);
    }
    tasks.reverse();
    let path = format!("{TASKS}?status=pending,running&desktopId={desktop}&limit=3");
    assert_eq!(walk(world, &path).await, tasks);
    let page = world.get(&path).await;
    assert_eq!(page.header("x-total-count"), "7");
    assert!(
        page.header("link").starts_with(&format!("<{path}&cursor=")),
        "{page:?}"
    );
    assert_eq!(
        world.get(&format!("{TASKS}?limit=7")).await.header("link"),
        ""
    );
    let shown = world.get(TASKS).await.is(200);
    assert_eq!(shown[6]["content"].as_str().map(str::len), Some(2_000));
    assert_eq!(shown[6]["contentTruncated"], true);
    let whole = world.get(&of_task(&tasks[6], "")).await.is(200);
    assert_eq!(whole["content"].as_str().map(str::len), Some(3_000));
    assert_eq!(
        world.get(&format!("{TASKS}?status=done")).await.is(200),
        json!([])
    );

    let mut desktops = vec![desktop];
    for _ in 0..2 {
        desktops.push(world.desktop().await.0);
    }
    assert_eq!(walk(world, "/api/desktops?limit=1").await, desktops);
    assert_eq!(walk(world, "/api/auth/api-keys?limit=2").await.len(), 4);

    let first = world.get("/api/mission-control/activity?limit=5").await;
    let total: i64 = first.header("x-total-count").parse().expect("a number");
    assert_eq!(
        first.header("link"),
        "</api/mission-control/activity?limit=5&after=5>; rel=\"next\""
    );
    let all = world.get("/api/mission-control/activity?limit=500").await;
    assert_eq!(all.header("link"), "");
    let rows = all.is(200);
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), usize::try_from(total).expect("a count"));
    let mut before = "0".repeat(64);
    for (seq, row) in (1..).zip(rows) {
        assert_eq!(
            (&row["seq"], &row["prevHash"]),
            (&json!(seq), &json!(before))
        );
        assert_eq!(row["accountId"], world.account.to_string());
        before = text(&row["hash"]);
        let mut unhashed = row.clone();
        unhashed.as_object_mut().expect("a row").remove("hash");
        let digest = approval_core::Digest::of(test_support::canonical(&unhashed).as_bytes());
        assert_eq!(digest.to_string(), before);
    }
}

async fn idempotency(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let keyed = |path: &str, key: &str, body: Value| {
        let request = world.request(&world.owner, "POST", path).json(&body);
        send(request.header("idempotency-key", key.to_owned()))
    };
    let body = json!({"type": "command", "content": "true", "desktopId": desktop});
    let first = keyed(TASKS, "create 1", body.clone()).await;
    assert_eq!(first.header("idempotency-replayed"), "");
    let second = keyed(TASKS, "create 1", body.clone()).await;
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!((second.status, &second.body), (201, &first.body));
    assert_eq!(second.header("location"), first.header("location"));
    let mut other = body.clone();
    other["content"] = json!("false");
    keyed(TASKS, "create 1", other)
        .await
        .problem(422, "idempotency-mismatch");
    let fresh = keyed(TASKS, "create 2", body).await.is(201);
    assert_ne!(fresh["id"], first.json()["id"]);

    let task = text(&world.reviewed(&desktop, &agent).await["id"]);
    let review = of_task(&task, "review");
    let approve = json!({"decision": "approve"});
    let decided = keyed(&review, "decide", approve.clone()).await;
    assert_eq!(decided.is(200)["status"], "done");
    let repeated = keyed(&review, "decide", approve.clone()).await;
    assert_eq!(repeated.body, decided.body);
    keyed(&review, "another", approve)
        .await
        .problem(409, "already-decided");

    let key = json!({"name": "once", "kind": "service"});
    let made = keyed("/api/auth/api-keys", "key", key.clone())
        .await
        .is(201);
    let again = keyed("/api/auth/api-keys", "key", key).await;
    assert_eq!(
        again.problem(409, "secret-not-repeatable")["id"],
        made["id"]
    );
    assert!(!again.text().contains("csk_"));
    let claim = format!("/api/desktops/{desktop}/claim");
    let claim = world
        .request(&agent, "POST", &claim)
        .header("idempotency-key", "");
    send(claim).await.is(204);
}

async fn what_an_attempt_leaves_behind(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let task = world
        .task(&desktop, json!({"requiresApproval": true}))
        .await;
    for (call, nothing) in [("output", ""), ("logs", "[]"), ("files", "[]")] {
        assert_eq!(world.get(&of_task(&task, call)).await.text(), nothing);
    }
    world.post(&of_task(&task, "run"), &json!({})).await.is(200);
    let (_, token) = world.claim(&desktop, &agent).await;
    let at = "2026-03-15T10:05:00.000000Z";
    let logs = json!({"entries": [
        {"seq": 0, "stream": "stdout", "at": at, "base64": "b25lCg=="},
        {"seq": 1, "stream": "stderr", "at": at, "base64": "/w=="},
        {"seq": 2, "stream": "stdout", "at": at, "base64": "dHdvCg=="},
    ]});
    let to = |call: &str| of_task(&task, call);
    for _ in 0..2 {
        world
            .leased(&agent, &token, &to("logs"), &logs)
            .await
            .is(202);
    }
    let files = json!({"files": [
        {"path": "b", "change": "added", "mode": "100644", "contentBase64": "Yg==", "diffBase64": "K2I="},
        {"pathBase64": "/w==", "change": "deleted"},
    ]});
    world
        .leased(&agent, &token, &to("files"), &files)
        .await
        .is(202);
    let bad = json!({"entries": [{"seq": 3, "stream": "stdout", "at": at, "base64": "?"}]});
    let bad = world.leased(&agent, &token, &to("logs"), &bad).await;
    assert_eq!(bad.problem(422, "invalid-logs")["field"], "base64");
    let counted = json!({"outcome": "succeeded", "exitCode": 0, "logEntries": 4});
    let incomplete = world
        .leased(&agent, &token, &to("complete"), &counted)
        .await;
    let incomplete = incomplete.problem(409, "logs-incomplete");
    assert_eq!(
        (&incomplete["received"], &incomplete["expected"]),
        (&json!(3), &json!(4))
    );
    let counted = json!({"outcome": "succeeded", "exitCode": 0, "logEntries": 3});
    let complete = |body: Value| {
        let (agent, token, path) = (&agent, &token, to("complete"));
        async move { world.leased(agent, token, &path, &body).await }
    };
    assert_eq!(complete(counted.clone()).await.is(200)["status"], "review");
    assert_eq!(
        complete(counted).await.is(200)["status"],
        "review",
        "a repeat is answered"
    );
    complete(json!({"outcome": "failed"}))
        .await
        .problem(409, "already-completed");
    world
        .leased(&agent, &token, &to("logs"), &logs)
        .await
        .problem(409, "lease-lost");

    let output = world.get(&to("output")).await;
    assert_eq!(output.text(), "one\ntwo\n", "standard output, joined");
    assert_eq!(output.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(output.header("content-security-policy"), "sandbox");
    let lines = world.get(&to("logs?limit=2")).await;
    assert!(
        lines.header("link").contains("limit=2&after=1>"),
        "{}",
        lines.header("link")
    );
    assert_eq!(lines.header("x-total-count"), "3");
    let last = world.get(&to("logs?limit=3")).await;
    assert_eq!(last.header("link"), "", "nothing comes after it");
    let lines = lines.is(200);
    assert_eq!(
        lines[0],
        json!({"seq": 0, "stream": "stdout", "at": at, "text": "one\n", "base64": null})
    );
    assert_eq!(
        (&lines[1]["text"], &lines[1]["base64"]),
        (&json!("\u{fffd}"), &json!("/w=="))
    );
    let rest = world.get(&to("logs?after=1&attempt=1")).await.is(200);
    assert_eq!(rest.as_array().map(Vec::len), Some(1));
    world
        .get(&to("logs?attempt=2"))
        .await
        .problem(404, "not-found");
    let plain = world.request(&world.owner, "GET", &to("logs"));
    let plain = send(plain.header("accept", "text/plain")).await;
    assert_eq!(plain.body, b"one\n\xfftwo\n");

    let files = world.get(&to("files")).await.is(200);
    let b = files
        .as_array()
        .expect("files")
        .iter()
        .find(|file| file["path"] == "b")
        .expect("b");
    assert_eq!((&b["bytes"], &b["diff"]), (&json!(1), &json!("+b")));
    for (part, bytes) in [("raw", "b"), ("diff", "+b")] {
        let raw = world.get(&to(&format!("files/{}/{part}", b["n"]))).await;
        assert_eq!((raw.status, raw.text().as_str()), (200, bytes));
        assert!(
            raw.header("content-disposition")
                .starts_with("attachment; filename=")
        );
        assert_eq!(raw.header("content-type"), "application/octet-stream");
        assert_eq!(raw.header("content-security-policy"), "sandbox");
        assert_eq!(raw.header("x-content-type-options"), "nosniff");
        world
            .get(&to(&format!("files/99/{part}")))
            .await
            .problem(404, "not-found");
    }
}

async fn keys(world: &World) {
    let path = "/api/auth/api-keys";
    let weak =
        json!({"name": "weak", "kind": "human", "capabilities": ["keys:write", "tasks:read"]});
    let weak = world.key(weak).await;
    let wider = json!({"name": "wider", "kind": "human", "capabilities": ["approvals:decide"]});
    world
        .post_as(&weak, path, &wider)
        .await
        .problem(403, "forbidden");
    let wide = json!({"name": "wide", "kind": "human"});
    let given = world.post_as(&weak, path, &wide).await.is(201);
    assert_eq!(given["capabilities"], json!(["tasks:read", "keys:write"]));
    assert!(text(&given["key"]).ends_with(&text(&given["last4"])));
    let deciding = json!({"name": "bot", "kind": "service", "capabilities": ["approvals:decide"]});
    world
        .post(path, &deciding)
        .await
        .problem(422, "invalid-key");
    let unbound = json!({"name": "agent", "kind": "agent"});
    assert_eq!(
        world.post(path, &unbound).await.problem(422, "invalid-key")["field"],
        "desktopId"
    );
    let listed = world.get(path).await;
    assert!(!listed.text().contains("csk_"));
    let id = text(&given["id"]);
    let revoke = |id: String| {
        let request = world.request(&world.owner, "DELETE", &format!("{path}/{id}"));
        send(request)
    };
    revoke(id.clone()).await.is(204);
    revoke(id).await.problem(404, "not-found");
    let key = text(&given["key"]);
    until_revoked(world, &key).await;
}

/// Reads of a revoked key end within a second.
async fn until_revoked(world: &World, key: &str) {
    let revoked = tokio::time::Instant::now();
    while world.get_as(key, TASKS).await.status != 401 {
        assert!(revoked.elapsed() < std::time::Duration::from_secs(1));
    }
}

async fn desktops(world: &World) {
    let (desktop, agent) = world.desktop().await;
    let path = format!("/api/desktops/{desktop}");
    let stopped = world.get(&path).await.is(200);
    assert_eq!(
        (&stopped["status"], &stopped["lastSeenAt"]),
        (&json!("stopped"), &Value::Null)
    );
    let claim = format!("{path}/claim");
    world.post_as(&agent, &claim, &json!({})).await.is(204);
    let running = world.get(&path).await.is(200);
    assert_eq!(running["status"], "running");
    let task = world.task(&desktop, json!({})).await;
    world.post(&of_task(&task, "run"), &json!({})).await.is(200);
    world.claim(&desktop, &agent).await;
    assert_eq!(
        world.get(&path).await.is(200)["runningTaskIds"],
        json!([task])
    );
    for wait in [json!(61), json!(-1)] {
        let body = json!({"wait": wait});
        world
            .post_as(&agent, &claim, &body)
            .await
            .problem(400, "invalid-body");
    }
    let blank = world.post("/api/desktops", &json!({"name": " "})).await;
    assert_eq!(blank.problem(422, "invalid-desktop")["field"], "name");

    send(world.request(&world.owner, "DELETE", &path))
        .await
        .is(204);
    world.get(&path).await.problem(404, "not-found");
    until_revoked(world, &agent).await;
    let failed = world.get(&of_task(&task, "")).await.is(200);
    assert_eq!(
        (&failed["status"], &failed["error"]),
        (&json!("failed"), &json!("desktop deleted"))
    );
}

async fn answers_have_their_headers(world: &World) {
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        TASKS,
        "/api/nothing",
    ] {
        let answer = world.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-request-id").len(), 32);
    }
    let named = world
        .request("", "GET", "/healthz")
        .header("x-request-id", "mine-1");
    assert_eq!(send(named).await.header("x-request-id"), "mine-1");
    for bad in ["", "a b", &"x".repeat(129)] {
        let bad = world
            .request("", "GET", "/healthz")
            .header("x-request-id", bad);
        assert_eq!(send(bad).await.header("x-request-id").len(), 32);
    }
    let document = world.get("/openapi.json").await.is(200);
    assert_eq!(document["openapi"], "3.1.0");
    let malformed = world.request(&world.owner, "GET", "/api/mission-control/tasks/%ff%00");
    send(malformed).await.problem(404, "not-found");
}
