//! `/settings/mission-control`: Task Approval, and evidence in every decision.

use actix_web::HttpResponse;
use store::Command;

use super::fields::{Fields, Form};
use super::frame::{Live, frame};
use super::html;
use super::view::Nav;
use super::view::mission_control::MissionControlPage;
use crate::call::Call;
use crate::problem::{Failure, Reply};

const ADDRESS: &str = "/settings/mission-control";

/// The switches.
pub(crate) async fn page(call: Call) -> Reply {
    let account = call.account();
    let settings = call.read(move |reads| reads.settings(account)).await?;
    let page = MissionControlPage {
        frame: frame(&call, "Mission Control", Nav::MissionControl, Live::Account).await?,
        task_approval: settings.task_approval_mode,
        require_evidence: settings.require_evidence,
    };
    html::ok(&call.request, &page)
}

/// Changes the switches that the person changed. What somebody else switched meanwhile stays: a page
/// that was opened before must not open the gate.
pub(crate) async fn change(call: Call, form: Form) -> Result<HttpResponse, Failure> {
    let (task_approval_mode, require_evidence) = (
        changed(&form.fields, "taskApprovalMode"),
        changed(&form.fields, "requireEvidence"),
    );
    if task_approval_mode.is_some() || require_evidence.is_some() {
        let command = Command::ChangeSettings {
            task_approval_mode,
            require_evidence,
        };
        call.submit(command, form.idempotency).await?;
    }
    Ok(html::redirect(
        &call.request,
        &format!("{ADDRESS}?done=saved"),
    ))
}

/// How a switch stands in the form, if it was shown otherwise. One that is off is not sent;
/// `shown` names those that were on when the page was made.
fn changed(fields: &Fields, switch: &str) -> Option<bool> {
    let is_on = fields.is_on(switch);
    let was_on = fields.all("shown").any(|name| name == switch);
    (is_on != was_on).then_some(is_on)
}
