//! The calls, one file a resource. A handler parses, calls the store and renders.

pub(crate) mod activity;
pub(crate) mod approvals;
mod claims;
pub(crate) mod dashboard;
pub(crate) mod decisions;
pub(crate) mod desktops;
pub(crate) mod evidence;
pub(crate) mod health;
pub(crate) mod keys;
pub(crate) mod runner;
pub(crate) mod settings;
pub(crate) mod tasks;
mod uploads;

pub(crate) use claims::Claims;
pub(crate) use health::Readiness;
#[cfg(any(test, fuzzing))]
pub(crate) use uploads::{files_of, log_of, report_of};

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Parameters of a plain list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Length of a page, 1 to 200; default 50.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// From the `Link` header of the page before.
    cursor: Option<String>,
}

/// The header that makes a change repeatable.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header for the OpenAPI document")]
pub(crate) struct Repeatable {
    /// 1 to 255 printable ASCII characters: a repeat with the same key and body gets the first
    /// answer again and changes nothing.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// The header of a runner at work.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header for the OpenAPI document")]
pub(crate) struct LeaseToken {
    /// The token of the claim.
    #[param(rename = "x-lease-token")]
    x_lease_token: String,
}

/// An event of a stream, as the protocol of server-sent events has it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes a stream for the OpenAPI document")]
pub(crate) struct StreamEvent {
    /// The number to come back with, as `Last-Event-ID` or `after`.
    #[schema(required = false)]
    id: Option<String>,
    /// `end` in the last event of a log; absent in all others.
    #[schema(required = false)]
    event: Option<String>,
    /// JSON: in the stream of the activity an `ActivityEvent`, in that of a log a `LogLine`.
    data: String,
}

/// Most and default length of a page.
const PAGE_LENGTHS: std::ops::RangeInclusive<i64> = 1..=200;
const PAGE_LENGTH: i64 = 50;
/// Longest wait in seconds.
const WAITS: std::ops::RangeInclusive<i64> = 0..=60;
