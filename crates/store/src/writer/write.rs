//! Write: the difference between the world as loaded and as decided, a table a statement.
//!
//! The order satisfies foreign keys and triggers: evidence before the approval that names it,
//! approvals before the tasks they release, the log with everything else in one transaction.

use approval_core::{Approval, TaskState};
use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl};

use super::prune;
use super::world::{Origin, TaskEntry, World};
use crate::connection::{Conn, on_db};
use crate::dialect::{Cell, Kind, Target};
use crate::fault::Fault;
use crate::rows::{int, text, text_option, time, time_option};
use crate::sabotage::Mistake;
use crate::schema::{idempotency, sessions, sign_in_links};

use Kind::{Bool, Bytes, Int, Text};

/// How long answers are kept (contract section 7), in seconds, and how many are dropped at a time.
pub(crate) const KEEP_ANSWERS_SECONDS: i64 = 24 * 60 * 60;
const FORGET_AT_A_TIME: i64 = 500;
/// How long sessions and links are kept that ran out, in seconds. One that was ended runs out in
/// that moment.
pub(crate) const KEEP_ENDED_SECONDS: i64 = 24 * 60 * 60;

const ACCOUNTS: Target = Target {
    table: "accounts",
    columns: &[
        ("id", Text),
        ("task_approval_mode", Bool),
        ("require_evidence", Bool),
        ("head_seq", Int),
        ("head_hash", Text),
    ],
    keys: 1,
};

pub(crate) const PRINCIPALS: Target = Target {
    table: "principals",
    columns: &[
        ("account_id", Text),
        ("id", Text),
        ("kind", Text),
        ("name", Text),
    ],
    keys: 2,
};

const USERS: Target = Target {
    table: "users",
    columns: &[
        ("id", Text),
        ("account_id", Text),
        ("email", Text),
        ("password_hash", Text),
        ("created_at", Int),
    ],
    keys: 1,
};

const PASSWORDS: Target = Target {
    table: "users",
    columns: &[("id", Text), ("password_hash", Text)],
    keys: 1,
};

const SESSIONS: Target = Target {
    table: "sessions",
    columns: &[
        ("id", Text),
        ("account_id", Text),
        ("user_id", Text),
        ("sha256", Text),
        ("agent", Text),
        ("created_at", Int),
        ("last_seen_at", Int),
        ("expires_at", Int),
        ("ended_at", Int),
        ("origin_sha256", Text),
    ],
    keys: 1,
};

const SESSION_STATES: Target = Target {
    table: "sessions",
    columns: &[
        ("id", Text),
        ("last_seen_at", Int),
        ("expires_at", Int),
        ("ended_at", Int),
    ],
    keys: 1,
};

const LINKS: Target = Target {
    table: "sign_in_links",
    columns: &[
        ("sha256", Text),
        ("account_id", Text),
        ("user_id", Text),
        ("created_at", Int),
        ("expires_at", Int),
    ],
    keys: 1,
};

const LINK_STATES: Target = Target {
    table: "sign_in_links",
    columns: &[("sha256", Text), ("used_at", Int)],
    keys: 1,
};

const DESKTOPS: Target = Target {
    table: "desktops",
    columns: &[
        ("id", Text),
        ("account_id", Text),
        ("name", Text),
        ("running", Bool),
        ("last_seen_at", Int),
        ("created_at", Int),
        ("removed_at", Int),
    ],
    keys: 1,
};

const KEYS: Target = Target {
    table: "api_keys",
    columns: &[
        ("id", Text),
        ("account_id", Text),
        ("kind", Text),
        ("capabilities", Text),
        ("desktop_id", Text),
        ("sha256", Text),
        ("last4", Text),
        ("created_at", Int),
    ],
    keys: 1,
};

const KEY_STATES: Target = Target {
    table: "api_keys",
    columns: &[("id", Text), ("last_used_at", Int), ("revoked_at", Int)],
    keys: 1,
};

const TASKS: Target = Target {
    table: "tasks",
    columns: &[
        ("id", Text),
        ("account_id", Text),
        ("type", Text),
        ("title", Text),
        ("status", Text),
        ("desktop_id", Text),
        ("requires_approval", Bool),
        ("gated", Bool),
        ("auto_run", Bool),
        ("on_dependency_failure", Text),
        ("timeout_seconds", Int),
        ("attempt", Int),
        ("max_attempts", Int),
        ("retry_of", Text),
        ("lineage_id", Text),
        ("created_by", Text),
        ("created_by_kind", Text),
        ("created_at", Int),
    ],
    keys: 1,
};

const TASK_STATES: Target = Target {
    table: "tasks",
    columns: &[
        ("id", Text),
        ("status", Text),
        ("gated", Bool),
        ("attempt", Int),
        ("lease_token", Text),
        ("lease_expires_at", Int),
        ("lease_heard", Bool),
        ("queued_seq", Int),
        ("retried_by", Text),
        ("started_at", Int),
        ("completed_at", Int),
        ("exit_code", Int),
        ("error", Text),
        ("evidence_sha256", Text),
        ("completed_token", Text),
        ("completed_body", Text),
    ],
    keys: 1,
};

const CONTENTS: Target = Target {
    table: "task_contents",
    columns: &[("task_id", Text), ("account_id", Text), ("content", Text)],
    keys: 1,
};

const DEPENDENCIES: Target = Target {
    table: "task_dependencies",
    columns: &[
        ("task_id", Text),
        ("position", Int),
        ("account_id", Text),
        ("depends_on", Text),
        ("parent_lineage", Text),
    ],
    keys: 2,
};

const EVIDENCE: Target = Target {
    table: "evidence",
    columns: &[
        ("account_id", Text),
        ("task_id", Text),
        ("attempt", Int),
        ("sha256", Text),
        ("manifest", Text),
        ("output", Bytes),
        ("sealed_at", Int),
    ],
    keys: 3,
};

const APPROVALS: Target = Target {
    table: "approvals",
    columns: &[
        ("id", Text),
        ("status", Text),
        ("decided_at", Int),
        ("decided_by", Text),
        ("decided_by_kind", Text),
        ("feedback", Text),
        ("account_id", Text),
        ("task_id", Text),
        ("attempt", Int),
        ("reason", Text),
        ("evidence_sha256", Text),
        ("created_at", Int),
    ],
    keys: 1,
};

const DECISIONS: Target = Target {
    table: "approvals",
    columns: &[
        ("id", Text),
        ("status", Text),
        ("decided_at", Int),
        ("decided_by", Text),
        ("decided_by_kind", Text),
        ("feedback", Text),
    ],
    keys: 1,
};

const ACTIVITY: Target = Target {
    table: "activity",
    columns: &[
        ("account_id", Text),
        ("seq", Int),
        ("type", Text),
        ("payload", Text),
        ("actor_id", Text),
        ("actor_kind", Text),
        ("actor_name", Text),
        ("at", Int),
        ("prev_hash", Text),
        ("hash", Text),
    ],
    keys: 2,
};

const ANSWERS: Target = Target {
    table: "idempotency",
    columns: &[
        ("account_id", Text),
        ("principal_id", Text),
        ("scope", Text),
        ("body_sha256", Text),
        ("answer", Text),
        ("created_at", Int),
    ],
    keys: 3,
};

/// Writes everything the decisions of a batch changed.
pub(super) fn write(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    write_people(conn, world)?;
    write_sessions(conn, world)?;
    write_new_tasks(conn, world)?;
    write_evidence(conn, world)?;
    write_approvals(conn, world)?;
    let states = world
        .tasks
        .values()
        .filter(|e| has_new_state(e))
        .map(task_state_row);
    TASK_STATES.update(conn, states.collect())?;
    prune::begin(conn, world)?;
    if !Mistake::LogAfterCommit.made() {
        write_log(conn, world)?;
    }
    forget_answers(conn, world)?;
    forget_sessions(conn, world)
}

/// Answers are kept after the uploads of a batch, which may still be refused.
pub(super) fn write_answers(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let rows = world.new_answers.iter().map(|answer| {
        let (account, principal, scope) = answer.key;
        vec![
            text(account),
            text(principal),
            text(scope),
            text(answer.body),
            text(&answer.json),
            time(world.now),
        ]
    });
    Ok(ANSWERS.insert(conn, rows.collect())?)
}

/// Principals with their people, desktops and keys.
fn write_people(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let new_keys: Vec<_> = world
        .keys
        .values()
        .filter(|k| matches!(k.origin, Origin::New(_)))
        .collect();
    let mut principals: Vec<Vec<Cell>> = Vec::new();
    for key in &new_keys {
        let kind = key.view.kind;
        principals.push(vec![
            text(key.account),
            text(key.view.id),
            text(kind),
            text(&key.view.name),
        ]);
    }
    for user in &world.new_users {
        principals.push(vec![
            text(user.account),
            text(user.id),
            text("human"),
            text(&user.email),
        ]);
    }
    PRINCIPALS.insert(conn, principals)?;
    let users = world.new_users.iter().map(|user| {
        vec![
            text(user.id),
            text(user.account),
            text(&user.email),
            text_option(user.password_hash.as_deref()),
            time(world.now),
        ]
    });
    USERS.insert(conn, users.collect())?;
    write_desktops(conn, world)?;
    let keys = new_keys.iter().map(|key| {
        let capabilities: Vec<&str> = key.view.capabilities.iter().map(|c| c.as_str()).collect();
        vec![
            text(key.view.id),
            text(key.account),
            text(key.view.kind),
            text(capabilities.join(" ")),
            text_option(key.view.desktop),
            text(key.sha256),
            text(&key.view.last4),
            time(key.view.created_at),
        ]
    });
    KEYS.insert(conn, keys.collect())?;
    // a key made and revoked in one batch has both an insertion and a state
    let states = world.keys.values().filter(|k| {
        k.origin == Origin::Changed
            || (k.revoked_at.is_some() && matches!(k.origin, Origin::New(_)))
    });
    let states = states.map(|key| {
        vec![
            text(key.view.id),
            time_option(key.view.last_used_at),
            time_option(key.revoked_at),
        ]
    });
    Ok(KEY_STATES.update(conn, states.collect())?)
}

/// Passwords, sessions and one-time links.
fn write_sessions(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let passwords = world
        .users
        .iter()
        .filter(|(_, user)| user.origin == Origin::Changed);
    let passwords =
        passwords.map(|(id, user)| vec![text(id), text_option(user.password_hash.as_deref())]);
    PASSWORDS.update(conn, passwords.collect())?;
    let new = world
        .sessions
        .values()
        .filter(|s| matches!(s.origin, Origin::New(_)));
    let new = new.map(|session| {
        vec![
            text(session.view.id),
            text(session.account),
            text(session.user),
            text(session.sha256),
            text(&session.view.agent),
            time(session.view.created_at),
            time(session.view.last_seen_at),
            time(session.expires_at),
            time_option(session.ended_at),
            text_option(session.bound_to),
        ]
    });
    SESSIONS.insert(conn, new.collect())?;
    let changed = world
        .sessions
        .values()
        .filter(|s| s.origin == Origin::Changed);
    let changed = changed.map(|session| {
        vec![
            text(session.view.id),
            time(session.view.last_seen_at),
            time(session.expires_at),
            time_option(session.ended_at),
        ]
    });
    SESSION_STATES.update(conn, changed.collect())?;
    let new = world
        .links
        .iter()
        .filter(|(_, link)| matches!(link.origin, Origin::New(_)));
    let new = new.map(|(sha256, link)| {
        vec![
            text(sha256),
            text(link.account),
            text(link.user),
            time(world.now),
            time(link.expires_at),
        ]
    });
    LINKS.insert(conn, new.collect())?;
    let used = world
        .links
        .iter()
        .filter(|(_, link)| link.origin == Origin::Changed);
    let used = used.map(|(sha256, link)| vec![text(sha256), time_option(link.used_at)]);
    Ok(LINK_STATES.update(conn, used.collect())?)
}

fn write_desktops(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let rows = |wanted: fn(&Origin) -> bool| {
        let entries = world.desktops.values().filter(move |d| wanted(&d.origin));
        let rows = entries.map(|desktop| {
            let view = &desktop.view;
            vec![
                text(view.id),
                text(desktop.account),
                text(&view.name),
                Cell::Bool(view.running),
                time_option(view.last_seen_at),
                time(view.created_at),
                time_option(desktop.removed_at),
            ]
        });
        rows.collect::<Vec<_>>()
    };
    DESKTOPS.insert(conn, rows(|origin| matches!(origin, Origin::New(_))))?;
    Ok(DESKTOPS.update(conn, rows(|origin| *origin == Origin::Changed))?)
}

fn created(entry: &TaskEntry) -> Option<&TaskState> {
    match &entry.origin {
        Origin::New(created) => created.as_deref(),
        Origin::Stored | Origin::Changed => None,
    }
}

fn has_new_state(entry: &TaskEntry) -> bool {
    match &entry.origin {
        Origin::Stored => false,
        Origin::Changed => true,
        Origin::New(created) => created.as_deref() != Some(&*entry.task),
    }
}

/// New tasks as they were created, pending; what became of them since is an update.
fn write_new_tasks(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let mut new: Vec<&TaskEntry> = world
        .tasks
        .values()
        .filter(|e| matches!(e.origin, Origin::New(_)))
        .collect();
    // a retry is newer than what it is a retry of, a dependent newer than its dependency
    new.sort_by_key(|entry| entry.task.id);
    let rows = new
        .iter()
        .filter_map(|entry| Some(task_row(entry, created(entry)?)));
    TASKS.insert(conn, rows.collect())?;
    let contents = new.iter().map(|entry| {
        let content = world
            .contents
            .get(&entry.task.id)
            .cloned()
            .unwrap_or_default();
        vec![
            text(entry.task.id),
            text(entry.account),
            Cell::Text(Some(content)),
        ]
    });
    CONTENTS.insert(conn, contents.collect())?;
    let dependencies = new.iter().flat_map(|entry| {
        let edges = entry
            .task
            .depends_on
            .iter()
            .zip(&entry.parent_lineages)
            .zip(0_i64..);
        edges.map(|((given, lineage), position)| {
            vec![
                text(entry.task.id),
                int(position),
                text(entry.account),
                text(given),
                text(lineage),
            ]
        })
    });
    Ok(DEPENDENCIES.insert(conn, dependencies.collect())?)
}

fn task_row(entry: &TaskEntry, state: &TaskState) -> Vec<Cell> {
    vec![
        text(state.id),
        text(entry.account),
        text(state.task_type),
        text(&state.title),
        text(state.status),
        text(state.desktop),
        Cell::Bool(state.requires_approval),
        Cell::Bool(state.gated),
        Cell::Bool(state.auto_run),
        text(state.on_dependency_failure),
        int(state.timeout_seconds),
        int(state.attempt),
        int(state.max_attempts),
        text_option(state.retry_of),
        text(state.lineage),
        text(state.created_by.id),
        text(state.created_by.kind),
        time(state.created_at),
    ]
}

fn task_state_row(entry: &TaskEntry) -> Vec<Cell> {
    let state: &TaskState = &entry.task;
    vec![
        text(state.id),
        text(state.status),
        Cell::Bool(state.gated),
        int(state.attempt),
        text_option(state.lease.map(|l| l.token)),
        time_option(state.lease.map(|l| l.expires_at)),
        Cell::Bool(state.lease.is_some_and(|l| l.heard)),
        Cell::Int(entry.queued_seq),
        text_option(state.retried_by),
        time_option(state.started_at),
        time_option(state.completed_at),
        Cell::Int(state.exit_code),
        text_option(state.error.as_deref()),
        text_option(state.evidence_sha256),
        text_option(state.completed_with.map(|(token, _)| token)),
        text_option(state.completed_with.map(|(_, body)| body)),
    ]
}

fn write_evidence(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let rows = world.sealings.iter().map(|sealing| {
        vec![
            text(sealing.account),
            text(sealing.task),
            int(sealing.attempt),
            text(sealing.sealed.sha256),
            text(&sealing.sealed.json),
            Cell::Bytes(sealing.output.clone()),
            time(world.now),
        ]
    });
    Ok(EVIDENCE.insert(conn, rows.collect())?)
}

fn write_approvals(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let new = world
        .approvals
        .values()
        .filter(|a| matches!(a.origin, Origin::New(_)));
    let new = new.map(|entry| {
        let approval = &entry.approval;
        let mut row = decision_row(approval);
        row.extend([
            text(entry.account),
            text(approval.task),
            int(approval.attempt),
            text(approval.reason),
            text(approval.evidence_sha256),
            time(approval.created_at),
        ]);
        row
    });
    APPROVALS.insert(conn, new.collect())?;
    let decided = world
        .approvals
        .values()
        .filter(|a| a.origin == Origin::Changed);
    Ok(DECISIONS.update(conn, decided.map(|a| decision_row(&a.approval)).collect())?)
}

fn decision_row(approval: &Approval) -> Vec<Cell> {
    let decided = approval.decided.as_ref();
    let feedback = decided.and_then(|d| d.feedback.as_ref());
    vec![
        text(approval.id),
        text(approval.status),
        time_option(decided.map(|d| d.at)),
        text_option(decided.map(|d| d.by.id)),
        text_option(decided.map(|d| d.by.kind)),
        text_option(feedback.map(approval_core::Feedback::as_str)),
    ]
}

pub(super) fn write_log(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let rows = world.logged.iter().map(|entry| {
        vec![
            text(entry.account),
            int(entry.seq),
            text(entry.event.kind),
            text(&entry.event.payload),
            text(entry.actor.id),
            text(entry.actor.kind),
            text(&entry.actor.name),
            time(world.now),
            text(entry.prev_hash),
            text(entry.hash),
        ]
    });
    ACTIVITY.insert(conn, rows.collect())?;
    let heads = world.accounts.iter().filter(|(_, account)| account.changed);
    let heads = heads.map(|(id, account)| {
        vec![
            text(id),
            Cell::Bool(account.settings.task_approval_mode),
            Cell::Bool(account.settings.require_evidence),
            int(account.head_seq),
            text(account.head_hash),
        ]
    });
    Ok(ACCOUNTS.update(conn, heads.collect())?)
}

/// Drops kept answers that are older than a day, some at a time.
fn forget_answers(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let before = world.now.plus_seconds(-KEEP_ANSWERS_SECONDS).micros();
    for account in &world.forget_answers {
        let old: Vec<(String, String)> = on_db!(conn, |c| idempotency::table
            .filter(idempotency::account_id.eq(account.to_string()))
            .filter(idempotency::created_at.lt(before))
            .order((idempotency::created_at, idempotency::scope))
            .limit(FORGET_AT_A_TIME)
            .select((idempotency::principal_id, idempotency::scope))
            .load(c))?;
        let key = |(principal, scope): (String, String)| {
            vec![text(account), text(principal), text(scope)]
        };
        ANSWER_KEYS.delete(conn, old.into_iter().map(key).collect())?;
    }
    Ok(())
}

/// Drops sessions and links that ended or ran out more than a day ago, some at a time.
fn forget_sessions(conn: &mut Conn, world: &World) -> Result<(), Fault> {
    let before = world.now.plus_seconds(-KEEP_ENDED_SECONDS).micros();
    for account in &world.forget_sessions {
        let old: Vec<String> = on_db!(conn, |c| sessions::table
            .filter(sessions::account_id.eq(account.to_string()))
            .filter(sessions::expires_at.lt(before))
            .order((sessions::expires_at, sessions::id))
            .limit(FORGET_AT_A_TIME)
            .select(sessions::id)
            .load(c))?;
        SESSION_KEYS.delete(conn, old.into_iter().map(|id| vec![text(id)]).collect())?;
        let old: Vec<String> = on_db!(conn, |c| sign_in_links::table
            .filter(sign_in_links::account_id.eq(account.to_string()))
            .filter(sign_in_links::expires_at.lt(before))
            .order((sign_in_links::expires_at, sign_in_links::sha256))
            .limit(FORGET_AT_A_TIME)
            .select(sign_in_links::sha256)
            .load(c))?;
        LINK_KEYS.delete(conn, old.into_iter().map(|id| vec![text(id)]).collect())?;
    }
    Ok(())
}

const SESSION_KEYS: Target = Target {
    table: "sessions",
    columns: &[("id", Text)],
    keys: 1,
};

const LINK_KEYS: Target = Target {
    table: "sign_in_links",
    columns: &[("sha256", Text)],
    keys: 1,
};

const ANSWER_KEYS: Target = Target {
    table: "idempotency",
    columns: &[
        ("account_id", Text),
        ("principal_id", Text),
        ("scope", Text),
    ],
    keys: 3,
};
