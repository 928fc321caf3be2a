//! Rows as they are stored, and the way to and from domain state.

use approval_core::{
    ActorKind, Approval, Decided, DesktopId, Feedback, Identity, Lease, Task, TaskId, TaskState,
    Timestamp,
};
use diesel::{Queryable, Selectable};

use crate::dialect::Cell;
use crate::fault::{Fault, stored, stored_option};
use crate::schema::{approvals, tasks};
use crate::views::{KeyView, SessionView};

/// A row of `tasks`.
#[expect(clippy::struct_excessive_bools, reason = "the columns of the table")]
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = tasks)]
pub(crate) struct TaskRow {
    pub id: String,
    pub account_id: String,
    pub type_: String,
    pub title: String,
    pub status: String,
    pub desktop_id: String,
    pub requires_approval: bool,
    pub gated: bool,
    pub auto_run: bool,
    pub on_dependency_failure: String,
    pub timeout_seconds: i64,
    pub attempt: i64,
    pub max_attempts: i64,
    pub lease_token: Option<String>,
    pub lease_expires_at: Option<i64>,
    pub lease_heard: bool,
    pub queued_seq: Option<i64>,
    pub retry_of: Option<String>,
    pub retried_by: Option<String>,
    pub lineage_id: String,
    pub created_by: String,
    pub created_by_kind: String,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub exit_code: Option<i64>,
    pub error: Option<String>,
    pub evidence_sha256: Option<String>,
    pub completed_token: Option<String>,
    pub completed_body: Option<String>,
}

impl TaskRow {
    /// The state behind the row; `depends_on` is joined by the caller.
    pub(crate) fn into_state(
        self,
        creator: String,
        depends_on: Vec<TaskId>,
    ) -> Result<TaskState, Fault> {
        let lease = match (self.lease_token.as_deref(), self.lease_expires_at) {
            (Some(token), Some(expires_at)) => Some(Lease {
                token: stored(token)?,
                expires_at: Timestamp::from_micros(expires_at),
                heard: self.lease_heard,
            }),
            _ => None,
        };
        let completed_with = match (
            self.completed_token.as_deref(),
            self.completed_body.as_deref(),
        ) {
            (Some(token), Some(body)) => Some((stored(token)?, stored(body)?)),
            _ => None,
        };
        Ok(TaskState {
            id: stored(&self.id)?,
            task_type: stored(&self.type_)?,
            title: self.title,
            status: stored(&self.status)?,
            desktop: stored(&self.desktop_id)?,
            requires_approval: self.requires_approval,
            gated: self.gated,
            auto_run: self.auto_run,
            on_dependency_failure: stored(&self.on_dependency_failure)?,
            timeout_seconds: small(self.timeout_seconds)?,
            attempt: small(self.attempt)?,
            max_attempts: small(self.max_attempts)?,
            lease,
            retry_of: stored_option(self.retry_of.as_deref())?,
            retried_by: stored_option(self.retried_by.as_deref())?,
            lineage: stored(&self.lineage_id)?,
            depends_on,
            created_by: identity(&self.created_by_kind, &self.created_by, creator)?,
            created_at: Timestamp::from_micros(self.created_at),
            started_at: self.started_at.map(Timestamp::from_micros),
            completed_at: self.completed_at.map(Timestamp::from_micros),
            exit_code: self.exit_code,
            error: self.error,
            evidence_sha256: stored_option(self.evidence_sha256.as_deref())?,
            completed_with,
        })
    }

    /// The same, guarded by the rules.
    pub(crate) fn into_task(self, creator: String, depends_on: Vec<TaskId>) -> Result<Task, Fault> {
        self.into_state(creator, depends_on).map(Task::restore)
    }
}

/// A row of `approvals`.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = approvals)]
pub(crate) struct ApprovalRow {
    pub id: String,
    pub account_id: String,
    pub task_id: String,
    pub attempt: i64,
    pub status: String,
    pub reason: String,
    pub evidence_sha256: String,
    pub created_at: i64,
    pub decided_at: Option<i64>,
    pub decided_by: Option<String>,
    pub decided_by_kind: Option<String>,
    pub feedback: Option<String>,
}

impl ApprovalRow {
    pub(crate) fn into_approval(self, decider_name: Option<String>) -> Result<Approval, Fault> {
        let decided = match (self.decided_by, self.decided_by_kind, self.decided_at) {
            (Some(id), Some(kind), Some(at)) => Some(Decided {
                by: identity(&kind, &id, decider_name.unwrap_or_default())?,
                at: Timestamp::from_micros(at),
                feedback: feedback(self.feedback.as_deref())?,
            }),
            _ => None,
        };
        Ok(Approval {
            id: stored(&self.id)?,
            task: stored(&self.task_id)?,
            attempt: small(self.attempt)?,
            reason: stored(&self.reason)?,
            evidence_sha256: stored(&self.evidence_sha256)?,
            created_at: Timestamp::from_micros(self.created_at),
            status: stored(&self.status)?,
            decided,
        })
    }
}

/// A row of `api_keys` with the name of its principal.
pub(crate) type KeyRow = (
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    String,
    String,
    i64,
    Option<i64>,
    Option<i64>,
);

/// Keys with the names of their principals, as [`KeyRow`]s.
macro_rules! key_query {
    () => {
        api_keys::table
            .inner_join(
                principals::table.on(principals::account_id
                    .eq(api_keys::account_id)
                    .and(principals::id.eq(api_keys::id))),
            )
            .select((
                api_keys::id,
                api_keys::account_id,
                principals::name,
                api_keys::kind,
                api_keys::capabilities,
                api_keys::desktop_id,
                api_keys::sha256,
                api_keys::last4,
                api_keys::created_at,
                api_keys::last_used_at,
                api_keys::revoked_at,
            ))
    };
}
pub(crate) use key_query;

/// What is shown of a key.
pub(crate) fn key_view(row: KeyRow) -> Result<KeyView, Fault> {
    let (id, _, name, kind, capabilities, desktop, _, last4, created_at, last_used_at, _) = row;
    Ok(KeyView {
        id: stored(&id)?,
        name,
        kind: stored(&kind)?,
        capabilities: capabilities
            .split_whitespace()
            .map(stored)
            .collect::<Result<_, _>>()?,
        desktop: stored_option::<DesktopId>(desktop.as_deref())?,
        last4,
        created_at: Timestamp::from_micros(created_at),
        last_used_at: last_used_at.map(Timestamp::from_micros),
    })
}

/// A row of `sessions`.
pub(crate) type SessionRow = (
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<String>,
);

/// The columns of a [`SessionRow`].
macro_rules! session_columns {
    () => {
        (
            sessions::id,
            sessions::account_id,
            sessions::user_id,
            sessions::sha256,
            sessions::agent,
            sessions::created_at,
            sessions::last_seen_at,
            sessions::expires_at,
            sessions::ended_at,
            sessions::origin_sha256,
        )
    };
}
pub(crate) use session_columns;

/// What is shown of a session.
pub(crate) fn session_view(row: SessionRow) -> Result<SessionView, Fault> {
    let (id, _, _, _, agent, created_at, last_seen_at, _, _, origin) = row;
    Ok(SessionView {
        id: stored(&id)?,
        agent,
        is_bound: origin.is_some(),
        created_at: Timestamp::from_micros(created_at),
        last_seen_at: Timestamp::from_micros(last_seen_at),
    })
}

fn feedback(text: Option<&str>) -> Result<Option<Feedback>, Fault> {
    let parsed = text.map(Feedback::new).transpose();
    parsed
        .map(Option::flatten)
        .map_err(|refusal| Fault::Corrupt(refusal.to_string()))
}

/// Who did something, as stored in three columns.
pub(crate) fn identity(kind: &str, id: &str, name: String) -> Result<Identity, Fault> {
    Ok(Identity {
        kind: stored::<ActorKind>(kind)?,
        id: stored(id)?,
        name,
    })
}

/// A number that fits 32 bits by a CHECK or by the rules.
pub(crate) fn small(value: i64) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| Fault::Corrupt(format!("{value} is out of range")))
}

/// A cell with text.
#[expect(
    clippy::needless_pass_by_value,
    reason = "takes values and references alike"
)]
pub(crate) fn text(value: impl ToString) -> Cell {
    Cell::Text(Some(value.to_string()))
}

/// A cell with text or nothing.
pub(crate) fn text_option(value: Option<impl ToString>) -> Cell {
    Cell::Text(value.map(|v| v.to_string()))
}

/// A cell with a number.
pub(crate) fn int(value: impl Into<i64>) -> Cell {
    Cell::Int(Some(value.into()))
}

/// A cell with a moment.
pub(crate) fn time(value: Timestamp) -> Cell {
    Cell::Int(Some(value.micros()))
}

/// A cell with a moment or nothing.
pub(crate) fn time_option(value: Option<Timestamp>) -> Cell {
    Cell::Int(value.map(Timestamp::micros))
}
