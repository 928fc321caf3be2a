//! `/settings/mission-control`: Task Approval, and evidence in every decision.

use actix_web::HttpResponse;
use store::Command;

use super::fields::Form;
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

/// Both switches as they stand in the form: a switch that is off is not sent.
pub(crate) async fn change(call: Call, form: Form) -> Result<HttpResponse, Failure> {
    let command = Command::ChangeSettings {
        task_approval_mode: Some(form.fields.is_on("taskApprovalMode")),
        require_evidence: Some(form.fields.is_on("requireEvidence")),
    };
    call.submit(command, form.idempotency).await?;
    Ok(html::redirect(
        &call.request,
        &format!("{ADDRESS}?done=saved"),
    ))
}
