//! `/approvals`: the panel, and what was decided.

use askama::Template;

use super::task::{Changes, Decision};
use super::{Frame, Gate, Kind, When};
use crate::show::Shown;

/// `/approvals`.
#[derive(Template)]
#[template(path = "approvals.html")]
pub struct ApprovalsPage {
    pub frame: Frame,
    pub list: Approvals,
}

/// `/approvals/list`.
#[derive(Template)]
#[template(path = "approvals/list.html")]
pub struct ApprovalsList {
    pub list: Approvals,
}

/// One page of one tab.
#[derive(Clone, Debug)]
pub struct Approvals {
    /// `/approvals/list?…`.
    pub live: String,
    /// The tab Decided; else Pending.
    pub decided: bool,
    /// Pending ones in all.
    pub pending: i64,
    pub items: Vec<ApprovalItem>,
    /// The next page: newer pending ones, or older decided ones.
    pub more: Option<String>,
    /// Whether Task Approval is on; an empty panel says what is gated.
    pub task_approval: bool,
    pub can_settings: bool,
}

/// One request.
#[derive(Clone, Debug)]
pub struct ApprovalItem {
    /// `appr_…`.
    pub id: String,
    pub task_id: String,
    pub title: Shown,
    pub kind: Kind,
    pub gate: Gate,
    pub desktop: Shown,
    pub completed: When,
    pub exit_code: Option<i64>,
    pub changes: Changes,
    /// `None` while it is pending.
    pub decision: Option<Decision>,
}
