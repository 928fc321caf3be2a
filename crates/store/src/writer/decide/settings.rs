//! Task Approval Mode and the other switches of an account.

use approval_core::{Capability, Event, Refusal};

use super::super::world::World;
use crate::command::Request;
use crate::views::Answer;

pub(super) fn change(
    world: &mut World,
    request: &Request,
    task_approval_mode: Option<bool>,
    require_evidence: Option<bool>,
) -> Result<Answer, Refusal> {
    request.principal.require(Capability::SettingsWrite)?;
    let account = world
        .accounts
        .get_mut(&request.account)
        .ok_or(Refusal::NotFound("account"))?;
    let before = account.settings;
    let mut settings = before;
    settings.task_approval_mode = task_approval_mode.unwrap_or(before.task_approval_mode);
    settings.require_evidence = require_evidence.unwrap_or(before.require_evidence);
    if settings != before {
        account.settings = settings;
        account.changed = true;
        let event = Event::settings_changed(settings);
        world.log(request.account, &request.principal.identity, event);
    }
    Ok(Answer::Settings(settings))
}
