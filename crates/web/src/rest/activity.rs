//! The log of an account: rows and stream (contract section 4).

use contract::ActivityRow;
use serde::Deserialize;
use utoipa::IntoParams;

use super::StreamEvent;
use crate::call::Call;
use crate::live::{self, ActivityStream};
use crate::page;
use crate::problem::{Failure, Reply};
use crate::render;
use crate::request::{Query, in_range, last_event_id};

/// Most and default rows of an answer.
const ROWS: std::ops::RangeInclusive<i64> = 1..=500;
const DEFAULT_ROWS: i64 = 100;

/// Which rows to read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActivityQuery {
    /// Only rows after this number; default 0, from the first.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// How many at most, 1 to 500; default 100.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
}

/// Where to begin.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Replay what came after this number. `Last-Event-ID` wins. Without either, the stream begins
    /// with what comes next.
    #[param(minimum = 0)]
    after: Option<i64>,
}

/// Rows of the log, oldest first.
#[utoipa::path(get, path = "/api/mission-control/activity", tag = "activity", operation_id = "listActivity",
    params(ActivityQuery), responses((status = 200, description = "Rows of the log", body = [ActivityRow])))]
pub(crate) async fn list(call: Call, query: Query<ActivityQuery>) -> Reply {
    let after = in_range("after", query.0.after, 0..=i64::MAX, 0)?;
    let limit = in_range("limit", query.0.limit, ROWS, DEFAULT_ROWS)?;
    let account = call.account();
    let (rows, total) = call
        .read(move |reads| {
            let rows = reads.activity(account, after, limit)?;
            Ok((rows, reads.activity_total(account)?))
        })
        .await?;
    let last = rows.last().map(|row| row.seq).filter(|last| *last < total);
    let next = last.map(|last| ("after", last.to_string()));
    let shown: Option<Vec<_>> = rows
        .iter()
        .map(|row| render::activity(account, row))
        .collect();
    let shown = shown.ok_or_else(Failure::internal)?;
    Ok(page::head(&call.request, total, next).json(shown))
}

/// The log as server-sent events: `id` is the number of the row, `data` its type and payload, and
/// a comment comes every 15 seconds.
#[utoipa::path(get, path = "/api/mission-control/activity/stream", tag = "activity", operation_id = "streamActivity",
    params(StreamQuery, ("Last-Event-ID" = Option<i64>, Header, description = "The number of the last event received")),
    responses((status = 200, description = "Events without end", body = StreamEvent, content_type = "text/event-stream")))]
pub(crate) async fn stream(call: Call, query: Query<StreamQuery>) -> Reply {
    let after = last_event_id(&call.request)?.or(query.0.after);
    let after = after
        .map(|after| in_range("after", Some(after), 0..=i64::MAX, 0))
        .transpose()?;
    let open = call.open()?;
    let (store, feeds) = (call.store().clone(), &call.hub().feeds);
    let source = ActivityStream::start(store, feeds, call.account(), open, after).await?;
    Ok(live::response(&call.request, source))
}
