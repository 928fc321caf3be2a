//! The two doors to one decision (contract section 2).

use actix_web::http::StatusCode;
use approval_core::{ApprovalId, DecisionRequest, TaskId};
use contract::{Decide, MissionApproval, Task};
use store::{Command, DecisionTarget};

use super::Repeatable;
use crate::call::Call;
use crate::problem::Reply;
use crate::request::{Body, Id};
use crate::vocabulary::ToCore as _;

/// Approves or rejects the work of a task in review. Who decided is whoever the credential is.
#[utoipa::path(post, path = "/api/mission-control/tasks/{id}/review", tag = "decisions", operation_id = "reviewTask",
    params(("id" = String, Path), Repeatable), request_body = Decide,
    responses((status = 200, description = "The task, done or failed", body = Task)))]
pub(crate) async fn review(call: Call, id: Id<TaskId>, body: Body<Decide>) -> Reply {
    decide(call, DecisionTarget::Task(id.0), body).await
}

/// Approves or rejects by the approval.
#[utoipa::path(post, path = "/api/mission-control/approvals/{id}/resolve", tag = "decisions", operation_id = "resolveApproval",
    params(("id" = String, Path), Repeatable), request_body = Decide,
    responses((status = 200, description = "The approval, decided", body = MissionApproval)))]
pub(crate) async fn resolve(call: Call, id: Id<ApprovalId>, body: Body<Decide>) -> Reply {
    decide(call, DecisionTarget::Approval(id.0), body).await
}

async fn decide(call: Call, target: DecisionTarget, body: Body<Decide>) -> Reply {
    let request = DecisionRequest {
        decision: body.value.decision.to_core(),
        feedback: body.value.feedback,
        evidence_sha256: body.value.evidence_sha256,
    };
    let command = Command::Decide { target, request };
    let answered = call.submit(command, body.idempotency).await?;
    call.answer(StatusCode::OK, &answered)
}
