//! `/desktops`: what runs where.

use askama::Template;

use super::task::DesktopState;
use super::{Frame, TaskLink, When};
use crate::show::Shown;

/// The list.
#[derive(Template)]
#[template(path = "desktops.html")]
pub struct DesktopsPage {
    pub frame: Frame,
    pub desktops: Desktops,
    /// For the form that adds one.
    pub idempotency_key: String,
    pub name: String,
    pub error: Option<String>,
}

/// `/desktops/list`, if it is fetched live.
#[derive(Template)]
#[template(path = "desktops/list.html")]
pub struct DesktopsList {
    pub desktops: Desktops,
}

/// All desktops of the account.
#[derive(Clone, Debug)]
pub struct Desktops {
    /// The address of the fragment; empty: not live.
    pub live: String,
    pub items: Vec<Desktop>,
    /// Tasks of the local desktop run as the server's user: a warning at the top.
    pub unconfined: bool,
    pub can_change: bool,
}

/// One desktop.
#[derive(Clone, Debug)]
pub struct Desktop {
    pub id: String,
    pub name: Shown,
    pub state: DesktopState,
    pub last_seen: Option<When>,
    pub runs: Vec<TaskLink>,
}

/// After it was added: the command, once.
#[derive(Template)]
#[template(path = "desktop_added.html")]
pub struct DesktopAdded {
    pub frame: Frame,
    pub name: Shown,
    /// `DESKTOP_API_KEY=… desktop --server … --desktop …`
    pub command: String,
    /// The key alone.
    pub key: String,
}
