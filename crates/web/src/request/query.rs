//! Query strings: unknown, repeated and malformed parameters are refused (contract section 0).

use std::fmt::Display;
use std::future::{Ready, ready};
use std::ops::RangeInclusive;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use contract::Code;
use serde::de::DeserializeOwned;

use crate::problem::Failure;

/// The parameters of a call; `T` refuses unknown fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parameters = web::Query::<T>::from_query(request.query_string())
            .map(|query| Self(query.into_inner()))
            .map_err(|error| refused(error.to_string()));
        ready(parameters)
    }
}

/// A number that must lie in a range, or its default.
pub(crate) fn in_range(
    name: &str,
    value: Option<i64>,
    range: RangeInclusive<i64>,
    default: i64,
) -> Result<i64, Failure> {
    let value = value.unwrap_or(default);
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(refused(format!(
            "{name} is {value}, allowed are {} to {}",
            range.start(),
            range.end()
        )))
    }
}

/// A parameter whose text is malformed.
pub(crate) fn malformed(name: &str, reason: impl Display) -> Failure {
    refused(format!("{name}: {reason}"))
}

fn refused(detail: String) -> Failure {
    Failure::new(Code::InvalidQuery, detail)
}

/// The `Last-Event-ID` of a stream that is opened again.
///
/// # Errors
/// 400 for text that is no number.
pub(crate) fn last_event_id(request: &HttpRequest) -> Result<Option<i64>, Failure> {
    let Some(value) = request.headers().get("last-event-id") else {
        return Ok(None);
    };
    let number = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| malformed("Last-Event-ID", "is not a number"))
}
