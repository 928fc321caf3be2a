//! The activity log: feed, event stream and audit log at once (contract section 4).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Identity, Timestamp};

/// A row of the activity log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivityRow {
    /// Position in the log of the account: 1, 2, 3, … without gaps.
    pub seq: i64,
    /// `acct_…`.
    pub account_id: String,
    /// What happened, such as `task.created`; on the wire `type`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Ids and the state after the change; never content or feedback.
    pub payload: serde_json::Value,
    /// Who did it.
    pub actor: Identity,
    /// When.
    pub at: Timestamp,
    /// `hash` of the row before, in hex; 64 zeros in the first row.
    pub prev_hash: String,
    /// SHA-256, in hex, of the RFC 8785 JSON of this row without `hash`.
    pub hash: String,
}

/// The `data` of an event in `GET /api/mission-control/activity/stream`; its `id` is the `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivityEvent {
    /// What happened, such as `approval.created`; on the wire `type`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Ids and the state after the change.
    pub payload: serde_json::Value,
}
