//! Approvals: list, get, wait (contract sections 2 and 3).

use std::time::Duration;

use actix_web::HttpResponse;
use approval_core::{ApprovalId, ApprovalStatus};
use contract::MissionApproval;
use serde::Deserialize;
use store::{ApprovalFilter, ApprovalView};
use tokio::time::{Instant, sleep_until};
use utoipa::IntoParams;

use super::WAITS;
use crate::call::Call;
use crate::live::{Ended, Topic};
use crate::page;
use crate::problem::{Failure, Reply};
use crate::request::{Id, Query, in_range, malformed};

/// Most approvals in an answer; so many come without `limit`.
const MOST: i64 = 1_000;

/// Which approvals to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApprovalQuery {
    /// `pending` (the default), `approved`, `rejected`, `cancelled` or `all`.
    status: Option<String>,
    /// Length of a page, 1 to 1,000; absent: every one up to 1,000.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<i64>,
    /// From the `Link` header of the page before.
    cursor: Option<String>,
}

impl ApprovalQuery {
    fn filter(&self) -> Result<ApprovalFilter, Failure> {
        Ok(ApprovalFilter {
            status: match self.status.as_deref() {
                None => Some(ApprovalStatus::Pending),
                Some("all") => None,
                Some(word) => Some(word.parse().map_err(|error| malformed("status", error))?),
            },
            limit: in_range("limit", self.limit, 1..=MOST, MOST)?,
            after: page::cursor(self.cursor.as_deref())?,
        })
    }
}

/// How long to wait.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    /// Seconds to wait for the decision, 0 to 60; default 0.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<i64>,
}

/// Approvals, oldest first; without parameters all that are pending.
#[utoipa::path(get, path = "/api/mission-control/approvals", tag = "decisions", operation_id = "listApprovals",
    params(ApprovalQuery), responses((status = 200, description = "A page of approvals", body = [MissionApproval])))]
pub(crate) async fn list(call: Call, query: Query<ApprovalQuery>) -> Reply {
    let (scope, filter) = (call.scope(), query.0.filter()?);
    let page = call
        .read(move |reads| reads.approvals(scope, &filter))
        .await?;
    let viewer = call.viewer();
    Ok(page::answer(&call.request, &page, |approval| {
        viewer.approval(approval)
    }))
}

/// An approval. With `wait` the answer comes as soon as it is decided, else at the end of the wait.
#[utoipa::path(get, path = "/api/mission-control/approvals/{id}", tag = "decisions", operation_id = "getApproval",
    params(("id" = String, Path), WaitQuery), responses((status = 200, description = "The approval", body = MissionApproval)))]
pub(crate) async fn get(call: Call, id: Id<ApprovalId>, query: Query<WaitQuery>) -> Reply {
    let wait = in_range("wait", query.0.wait, WAITS, 0)?;
    let wait = Duration::from_secs(wait.unsigned_abs());
    let view = if wait.is_zero() {
        read(&call, id.0).await?
    } else {
        read_decided(&call, id.0, Instant::now() + wait).await?
    };
    Ok(HttpResponse::Ok().json(call.viewer().approval(&view)))
}

async fn read(call: &Call, id: ApprovalId) -> Result<ApprovalView, Failure> {
    let scope = call.scope();
    let view = call.read(move |reads| reads.approval(scope, id)).await?;
    view.ok_or_else(|| Failure::not_found("approval"))
}

/// Waits for the decision, the deadline or the end of the server, whichever is first.
async fn read_decided(
    call: &Call,
    id: ApprovalId,
    deadline: Instant,
) -> Result<ApprovalView, Failure> {
    let open = call.open()?;
    let mut changes = call.hub().subscribe(Topic::Activity(call.account()));
    loop {
        let view = read(call, id).await?;
        if view.approval.status != ApprovalStatus::Pending {
            return Ok(view);
        }
        tokio::select! {
            biased;
            ended = open.ended() => return match ended {
                Ended::Revoked => Err(Failure::unauthenticated()),
                Ended::Stopping => Ok(view),
            },
            () = sleep_until(deadline) => return Ok(view),
            () = changes.changed() => {}
        }
    }
}
