//! `/settings/mission-control`: the two switches.

use askama::Template;

use super::Frame;

/// The page.
#[derive(Template)]
#[template(path = "mission_control.html")]
pub struct MissionControlPage {
    pub frame: Frame,
    pub task_approval: bool,
    pub require_evidence: bool,
}
