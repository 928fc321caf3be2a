//! The JSON of every type, member by member: what the contract promises.

use contract::{
    ActivityEvent, ActivityRow, AddFiles, ApiKey, AppendLogs, ChangedFile, Claim, ClaimRequest,
    Complete, CreateApiKey, CreateDesktop, CreateTask, CreatedApiKey, Dashboard, Decide, Desktop,
    Empty, Heartbeat, LogLine, MissionApproval, PatchSettings, RetryTask, Settings, Standing, Task,
    TaskCounts, TaskStatus, TaskType,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const AT: &str = "2026-03-15T10:05:00.000000Z";

fn person() -> Value {
    json!({"kind": "human", "id": "user_a", "name": "Ada"})
}

/// A task as it is before anything happened to it.
fn fresh_task() -> Value {
    json!({
        "id": "task_a", "type": "command", "title": "build", "content": "make", "contentTruncated": false,
        "status": "pending", "desktopId": "desk_a", "requiresApproval": true, "gated": true,
        "dependsOn": [], "blockedBy": [], "dependents": [], "autoRun": false,
        "onDependencyFailure": "block", "timeoutSeconds": 3600, "attempt": 0, "maxAttempts": 1,
        "retryOf": null, "retriedBy": null, "priorFeedback": [], "createdBy": person(), "createdAt": AT,
        "startedAt": null, "completedAt": null, "exitCode": null, "error": null, "outputUrl": null,
        "evidenceSha256": null, "review": null,
    })
}

/// A task with every member filled.
fn decided_task() -> Value {
    json!({
        "id": "task_b", "type": "prompt", "title": "write", "content": "Write it", "contentTruncated": true,
        "status": "failed", "desktopId": "desk_a", "requiresApproval": false, "gated": true,
        "dependsOn": ["task_a"], "blockedBy": ["task_c"],
        "dependents": [{"id": "task_d", "title": "ship", "type": "command", "desktopId": "desk_b",
            "status": "pending", "autoRun": true}],
        "autoRun": true, "onDependencyFailure": "cancel", "timeoutSeconds": 60, "attempt": 2,
        "maxAttempts": 3, "retryOf": "task_e", "retriedBy": "task_f",
        "priorFeedback": [{"taskId": "task_e", "feedback": "shorter", "decidedBy": person(), "decidedAt": AT}],
        "createdBy": {"kind": "system", "id": null, "name": "system"}, "createdAt": AT,
        "startedAt": AT, "completedAt": AT, "exitCode": 0, "error": "e", "outputUrl": "/o",
        "evidenceSha256": "00", "review": {"approvalId": "appr_a", "decision": "reject",
            "feedback": "no", "decidedBy": person(), "decidedAt": AT},
    })
}

fn api_key() -> Value {
    json!({
        "id": "key_a", "name": "ci", "kind": "agent", "capabilities": ["tasks:read", "tasks:write"],
        "desktopId": "desk_a", "last4": "wxyz", "createdAt": AT, "lastUsedAt": null,
    })
}

/// The JSON is read and written again without a change: no member is lost, renamed or left out.
#[track_caller]
fn same<T: Serialize + DeserializeOwned>(wire: &Value) {
    let value: T = serde_json::from_value(wire.clone()).expect("the shape is read");
    assert_eq!(serde_json::to_value(&value).expect("it is written"), *wire);
}

/// A request is refused with one more member, and reads `null` in each optional member as absent.
#[track_caller]
fn request<T>(required: &Value, optional: &[&str], full: Value)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    same::<T>(&full);
    same::<T>(required);
    let members = |value: &Value| value.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(
        members(&full),
        members(required) + optional.len(),
        "every member is listed"
    );

    let bare: T = serde_json::from_value(required.clone()).expect("optional members may be absent");
    for name in optional {
        let mut with_null = required.clone();
        with_null[name] = Value::Null;
        assert_eq!(
            serde_json::from_value::<T>(with_null).expect("null is absent"),
            bare
        );
    }
    let mut unknown = full;
    unknown["surprise"] = json!(1);
    let error = serde_json::from_value::<T>(unknown).expect_err("unknown members are refused");
    assert!(error.to_string().contains("surprise"), "{error}");
}

#[test]
fn tasks() {
    same::<Task>(&fresh_task());
    same::<Task>(&decided_task());
}

#[test]
fn approvals() {
    let pending = json!({
        "id": "appr_a", "kind": "task", "taskId": "task_a", "status": "pending", "reason": "global",
        "task": {"id": "task_a", "type": "prompt", "title": "t", "content": "c", "status": "review"},
        "desktop": {"id": "desk_a", "name": "local"}, "taskCompletedAt": AT, "outputUrl": "/o",
        "evidenceSha256": "00", "createdAt": AT, "decidedAt": null, "decidedBy": null, "feedback": null,
    });
    let mut decided = pending.clone();
    decided["status"] = json!("rejected");
    decided["decidedAt"] = json!(AT);
    decided["decidedBy"] = person();
    decided["feedback"] = json!("no");
    same::<MissionApproval>(&pending);
    same::<MissionApproval>(&decided);
    same::<Standing>(&json!({
        "approvalId": "appr_a", "status": "cancelled", "decision": null, "feedback": null,
        "decidedBy": person(), "decidedAt": AT,
    }));
}

#[test]
fn settings_and_dashboard() {
    same::<Settings>(&json!({"taskApprovalMode": true, "requireEvidence": false}));
    same::<Dashboard>(&json!({
        "tasks": {"pending": 1, "running": 2, "review": 3, "done": 4, "failed": 5, "cancelled": 6},
        "pendingApprovals": 3, "oldestPendingSeconds": null, "desktopsRunning": 1,
    }));
    let mut counts = TaskCounts::default();
    for (n, &status) in (1..).zip(TaskStatus::ALL) {
        *counts.of(status) = n;
    }
    assert_eq!(
        serde_json::to_value(counts).unwrap(),
        json!({"pending": 1, "running": 2, "review": 3, "done": 4, "failed": 5, "cancelled": 6})
    );
}

#[test]
fn activity() {
    same::<ActivityRow>(&json!({
        "seq": 1, "accountId": "acct_a", "type": "task.created",
        "payload": {"taskId": "task_a", "status": "pending"}, "actor": person(), "at": AT,
        "prevHash": "0", "hash": "1",
    }));
    same::<ActivityEvent>(&json!({"type": "key.revoked", "payload": {"keyId": "key_a"}}));
}

#[test]
fn desktops_and_keys() {
    same::<Desktop>(&json!({
        "id": "desk_a", "name": "local", "status": "stopped", "lastSeenAt": null,
        "runningTaskIds": [], "createdAt": AT,
    }));
    same::<ApiKey>(&api_key());
    let mut created = api_key();
    created["key"] = json!("csk_agent_secret");
    same::<CreatedApiKey>(&created);
    let created: CreatedApiKey = serde_json::from_value(created).unwrap();
    assert!(
        !format!("{created:?}").contains("secret"),
        "Debug never prints the key"
    );
}

#[test]
fn claims() {
    let claim = json!({
        "task": fresh_task(), "inputs": [{"taskId": "task_b", "attempt": 1, "evidenceSha256": "00"}],
        "lease": {"token": "secret", "expiresAt": AT, "attempt": 1},
    });
    same::<Claim>(&claim);
    let claim: Claim = serde_json::from_value(claim).unwrap();
    assert!(
        !format!("{claim:?}").contains("secret"),
        "Debug never prints the token"
    );
    same::<Heartbeat>(&json!({"expiresAt": AT, "cancelRequested": true}));
}

#[test]
fn recordings() {
    same::<LogLine>(
        &json!({"seq": 0, "stream": "stdout", "at": AT, "text": "x\n", "base64": null}),
    );
    same::<ChangedFile>(&json!({
        "n": 0, "path": null, "pathBase64": "/w==", "oldPath": "a", "oldPathBase64": null,
        "change": "renamed", "mode": "100755", "oldMode": "100644", "diff": "@@", "bytes": 3,
        "sha256": "00", "truncated": false,
    }));
}

#[test]
fn task_requests() {
    request::<CreateTask>(
        &json!({"type": "command", "content": "make", "desktopId": "desk_a"}),
        &[
            "title",
            "requiresApproval",
            "dependsOn",
            "autoRun",
            "onDependencyFailure",
            "timeoutSeconds",
            "maxAttempts",
        ],
        json!({
            "type": "command", "content": "make", "desktopId": "desk_a", "title": "build",
            "requiresApproval": true, "dependsOn": ["task_a"], "autoRun": true,
            "onDependencyFailure": "cancel", "timeoutSeconds": -5_000_000_000_i64, "maxAttempts": 99,
        }),
    );
    assert_eq!(
        serde_json::to_value(CreateTask::new(TaskType::Prompt, "p", "desk_a")).unwrap(),
        json!({"type": "prompt", "content": "p", "desktopId": "desk_a"})
    );
    request::<RetryTask>(
        &json!({}),
        &["content", "title", "requiresApproval"],
        json!({"content": "c", "title": "t", "requiresApproval": false}),
    );
}

#[test]
fn decisions() {
    request::<Decide>(
        &json!({"decision": "approve"}),
        &["feedback", "evidenceSha256"],
        json!({"decision": "reject", "feedback": "no", "evidenceSha256": "00"}),
    );
    assert_eq!(
        serde_json::to_value(Decide::approve()).unwrap(),
        json!({"decision": "approve"})
    );
    assert_eq!(
        serde_json::to_value(Decide::reject("no")).unwrap(),
        json!({"decision": "reject", "feedback": "no"})
    );
    for word in [
        json!("Approve"),
        json!("approved"),
        json!(""),
        json!(true),
        Value::Null,
    ] {
        assert!(serde_json::from_value::<Decide>(json!({"decision": word})).is_err());
    }
}

#[test]
fn administration_requests() {
    request::<PatchSettings>(
        &json!({}),
        &["taskApprovalMode", "requireEvidence"],
        json!({"taskApprovalMode": true, "requireEvidence": false}),
    );
    request::<CreateDesktop>(&json!({"name": "n"}), &[], json!({"name": "n"}));
    request::<CreateApiKey>(
        &json!({"name": "n", "kind": "agent"}),
        &["capabilities", "desktopId"],
        json!({"name": "n", "kind": "agent", "capabilities": ["tasks:read"], "desktopId": "desk_a"}),
    );
    request::<Empty>(&json!({}), &[], json!({}));
}

#[test]
fn runner_requests() {
    request::<ClaimRequest>(&json!({}), &["wait"], json!({"wait": 61}));
    let entry = json!({"seq": 0, "stream": "agent", "at": AT, "base64": "eA=="});
    request::<AppendLogs>(&json!({"entries": []}), &[], json!({"entries": [entry]}));
    request::<AddFiles>(
        &json!({"files": [{"path": "a", "change": "deleted"}]}),
        &[],
        json!({"files": [{
            "path": "a", "pathBase64": "/w==", "change": "renamed", "oldPath": "b",
            "oldPathBase64": "/g==", "mode": "100644", "oldMode": "100644", "diffBase64": "",
            "contentBase64": "", "truncated": true,
        }]}),
    );
    request::<Complete>(
        &json!({"outcome": "succeeded"}),
        &["exitCode", "error", "output", "logEntries"],
        json!({"outcome": "failed", "exitCode": 137, "error": "killed", "output": "", "logEntries": 3}),
    );
}

#[test]
fn unknown_members_are_refused_inside_too() {
    let entry = json!({"seq": 0, "stream": "stdout", "at": AT, "base64": "", "text": "x"});
    assert!(serde_json::from_value::<AppendLogs>(json!({"entries": [entry]})).is_err());
    let file = json!({"path": "a", "change": "added", "content": "x"});
    assert!(serde_json::from_value::<AddFiles>(json!({"files": [file]})).is_err());
}
