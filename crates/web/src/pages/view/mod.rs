//! What pages show: one file a page, plain data for the templates in `templates/`. Nothing here
//! knows the store, a request or a clock; handlers fill these structs and render them.
//!
//! A page has a [`Frame`] and the data of its fragments. A fragment that is also fetched alone, by
//! a live region or for the dialog, is a struct of its own with the same fields, so that both
//! include one template file.

pub mod account;
pub mod activity;
pub mod api_keys;
pub mod approvals;
pub mod board;
pub mod confirm;
pub mod decide;
pub mod desktops;
pub mod error;
pub mod files;
pub mod logs;
pub mod mission_control;
pub mod new_task;
pub mod pruned;
pub mod retry;
pub mod sign_in;
pub mod task;
pub mod terms;
pub mod words;

pub use terms::{Actor, Gate, Kind, Status, TaskLink};
pub use words::When;

/// What surrounds every page of a signed-in person.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Of the page, without the name of the product and without the count; never from an agent
    /// unless it went through `show::line` and back to text.
    pub title: String,
    pub nav: Nav,
    /// Pending approvals: the badge, and the `(3)` in the title of the tab.
    pub pending: i64,
    /// The e-mail address.
    pub user: String,
    /// Shows the banner that asks the owner for a password.
    pub needs_password: bool,
    /// The address of the stream, `/live?after=…`; empty for none.
    pub live: String,
    pub can: Can,
    /// What just happened, shown once at the top of the page.
    pub notice: Option<&'static str>,
}

/// The entry of the navigation that is current.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nav {
    #[default]
    Board,
    Approvals,
    Desktops,
    Activity,
    MissionControl,
    Account,
    ApiKeys,
}

/// What the person may do, so that nothing is offered that would be refused.
#[expect(clippy::struct_excessive_bools, reason = "one for each capability")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Can {
    /// Approve and reject, `approvals:decide`.
    pub decide: bool,
    /// Create, retry and cancel, `tasks:write`.
    pub write: bool,
    /// Run, `tasks:run`.
    pub run: bool,
    pub settings: bool,
    pub desktops: bool,
    pub keys: bool,
}
