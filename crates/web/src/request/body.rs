//! Request bodies: read within limits, declared as JSON, exactly of the shape asked for
//! (contract sections 0 and 7).

use std::marker::PhantomData;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use contract::Code;
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use store::Idempotency;
use tokio::time::timeout;

use super::strict::violation;
use crate::call::Caller;
use crate::large::LargeBody;
use crate::problem::Failure;
use crate::state::AppState;

const MEBIBYTE: usize = 1 << 20;
/// A body that takes longer is given up.
const WHOLE_BODY: Duration = Duration::from_mins(2);
/// A body that pauses longer is given up.
const NEXT_CHUNK: Duration = Duration::from_secs(15);
/// Bodies above this many bytes are worked on beside the threads that serve connections.
const SMALL: usize = 64 * 1024;
/// An answer quotes at most so many characters of what serde says; it may quote the body.
const LONGEST_QUOTE: usize = 300;

/// How a call takes its body.
pub(crate) trait Form: 'static {
    /// Most bytes.
    const LIMIT: usize = MEBIBYTE;
    /// Whether no body means `{}`.
    const MAY_BE_ABSENT: bool = false;
    /// Whether the content type does not matter.
    const ANY_TYPE: bool = false;
    /// Whether an `Idempotency-Key` counts.
    const KEYED: bool = true;
}

/// A JSON body of at most 1 MiB.
#[derive(Debug)]
pub(crate) struct Ordinary;
impl Form for Ordinary {}

/// A JSON body of at most 8 MiB: logs, files, and the output of `complete`, whose 1 MiB may be
/// longer when escaped.
#[derive(Debug)]
pub(crate) struct Bulk;
impl Form for Bulk {
    const LIMIT: usize = 8 * MEBIBYTE;
}

/// A JSON body whose members are all optional: none at all means `{}`.
#[derive(Debug)]
pub(crate) struct MayBeAbsent;
impl Form for MayBeAbsent {
    const MAY_BE_ABSENT: bool = true;
}

/// No body, an empty one, or `{}`, under any content type (contract section 0: `run`, `cancel`).
#[derive(Debug)]
pub(crate) struct AnyType;
impl Form for AnyType {
    const MAY_BE_ABSENT: bool = true;
    const ANY_TYPE: bool = true;
}

/// The same for `claim`, which ignores the `Idempotency-Key` (contract section 7).
#[derive(Debug)]
pub(crate) struct Unkeyed;
impl Form for Unkeyed {
    const MAY_BE_ABSENT: bool = true;
    const ANY_TYPE: bool = true;
    const KEYED: bool = false;
}

/// A body, parsed, with the identity of its request for retries.
#[derive(Debug)]
pub(crate) struct Body<T, F = Ordinary> {
    pub(crate) value: T,
    pub(crate) idempotency: Option<Idempotency>,
    /// As it came.
    pub(crate) bytes: Bytes,
    form: PhantomData<F>,
    /// Kept until the call is answered: what was made of the body is as large.
    _place: Option<LargeBody>,
}

impl<T: DeserializeOwned + Send + 'static, F: Form> FromRequest for Body<T, F> {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            check_length::<F>(&request)?;
            if !F::ANY_TYPE {
                check_type::<F>(&request)?;
            }
            let key = if F::KEYED {
                idempotency_key(&request)?
            } else {
                None
            };
            let place = place(&request).await?;
            let bytes = whole(payload, F::LIMIT).await?;
            let idempotency = key.map(|key| {
                Idempotency::new(&key, request.method().as_str(), request.path(), &bytes)
            });
            let value = parse::<T, F>(bytes.clone()).await?;
            Ok(Self {
                value,
                idempotency,
                bytes,
                form: PhantomData,
                _place: place,
            })
        })
    }
}

/// Waits for a place for the body of a caller, if it is a large one.
///
/// # Errors
/// 429 or 503 when there is none.
pub(crate) async fn place(request: &HttpRequest) -> Result<Option<LargeBody>, Failure> {
    let caller = request.extensions().get::<Caller>().cloned();
    match caller.zip(AppState::of(request)) {
        None => Ok(None),
        Some((caller, state)) => {
            let places = &state.large_bodies;
            places.place(caller.principal(), request.headers()).await
        }
    }
}

/// Refuses what is announced as too large before reading any of it.
fn check_length<F: Form>(request: &HttpRequest) -> Result<(), Failure> {
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(length) if length > F::LIMIT as u64 => Err(too_large(F::LIMIT)),
        _ => Ok(()),
    }
}

fn check_type<F: Form>(request: &HttpRequest) -> Result<(), Failure> {
    if let Some(coding) = request.headers().get(CONTENT_ENCODING)
        && coding.as_bytes() != b"identity"
    {
        return Err(Failure::new(
            Code::UnsupportedMediaType,
            "a body with a content-encoding is not read",
        ));
    }
    let declared = request.content_type();
    let absent = declared.is_empty() && F::MAY_BE_ABSENT && !has_body(request);
    if absent || declared.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Failure::new(
            Code::UnsupportedMediaType,
            "expected content-type: application/json",
        ))
    }
}

fn has_body(request: &HttpRequest) -> bool {
    let length = request.headers().get(CONTENT_LENGTH);
    request.chunked().unwrap_or(true) || length.is_some_and(|value| value.as_bytes() != b"0")
}

/// The `Idempotency-Key`: 1 to 255 printable ASCII characters (contract section 7).
fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Failure> {
    let refused = |detail| Err(Failure::new(Code::InvalidIdempotencyKey, detail));
    let mut keys = request.headers().get_all("idempotency-key");
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    if keys.next().is_some() {
        return refused("there is more than one Idempotency-Key");
    }
    let printable = key.as_bytes().iter().all(|byte| matches!(byte, 32..=126));
    match key.to_str() {
        Ok(text) if printable && (1..=255).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => refused("expected 1 to 255 printable ASCII characters"),
    }
}

/// All of a body, of at most `limit` bytes.
///
/// # Errors
/// 413 when it is longer; 400 when it breaks off or takes too long.
pub(crate) async fn whole(payload: Payload, limit: usize) -> Result<Bytes, Failure> {
    timeout(WHOLE_BODY, read(payload, limit))
        .await
        .map_err(|_| too_slow())?
}

async fn read(mut payload: Payload, limit: usize) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = timeout(NEXT_CHUNK, payload.next())
        .await
        .map_err(|_| too_slow())?
    {
        let chunk = chunk.map_err(|_| invalid("the body is not complete"))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

async fn parse<T: DeserializeOwned + Send + 'static, F: Form>(bytes: Bytes) -> Result<T, Failure> {
    if bytes.is_empty() && F::MAY_BE_ABSENT {
        return parse_json(b"{}");
    }
    off_thread(bytes.len(), move || parse_json(&bytes)).await?
}

pub(crate) fn parse_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Failure> {
    let value = serde_json::from_slice(json).map_err(|error| {
        let said: String = error.to_string().chars().take(LONGEST_QUOTE).collect();
        invalid(&said)
    })?;
    match violation(json) {
        None => Ok(value),
        Some(violation) => {
            let (line, column) = violation.position(json);
            let what = violation.what;
            Err(invalid(&format!("{what} at line {line} column {column}")))
        }
    }
}

/// Does `work` on `bytes` bytes, beside the threads that serve connections when they are many.
pub(crate) async fn off_thread<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= SMALL {
        Ok(work())
    } else {
        web::block(work).await.map_err(|_| Failure::internal())
    }
}

fn invalid(detail: &str) -> Failure {
    Failure::new(Code::InvalidBody, detail)
}

fn too_slow() -> Failure {
    invalid("the body did not arrive in time")
}

/// The limit in words; every limit is a number of whole mebibytes or kibibytes.
pub(crate) fn too_large(limit: usize) -> Failure {
    let limit = match limit / MEBIBYTE {
        0 => format!("{} KiB", limit >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    };
    Failure::new(Code::TooLarge, format!("at most {limit} are read here"))
}

#[cfg(test)]
mod tests {
    use contract::{Decide, RetryTask};

    use super::*;

    fn refused(json: &str) -> String {
        parse_json::<Decide>(json.as_bytes())
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn a_decision_is_exactly_what_the_contract_shows() {
        let decide: Decide = parse_json(br#"{"decision":"approve"}"#).expect("a decision");
        assert_eq!(decide, Decide::approve());
        for json in [
            "",
            "null",
            "[]",
            r#"["approve"]"#,
            r#"{"decision":{"approve":null}}"#,
            r#"{"decision":"approve","decision":"reject"}"#,
            r#"{"decision":"approve","extra":1}"#,
            r#"{"decision":"approve"} x"#,
            r#"{"decision":"reject","feedback":"a\u0000b"}"#,
            r#"{"decision":"reject","feedback":"\ud800"}"#,
            r#"{"decision":"reject","feedback":1}"#,
        ] {
            assert!(refused(json).starts_with("400 invalid-body: "), "{json}");
        }
    }

    #[test]
    fn a_refusal_says_where_and_quotes_little() {
        let nul = refused("{\"decision\":\"reject\",\n\"feedback\":\"\\u0000\"}");
        assert!(
            nul.ends_with("U+0000 is not allowed at line 2 column 13"),
            "{nul}"
        );
        let long = format!(r#"{{"decision":"{}"}}"#, "x".repeat(10_000));
        assert!(refused(&long).len() < 400);
    }

    #[actix_web::test]
    async fn no_body_is_an_empty_object_where_that_is_allowed() {
        let empty = parse::<RetryTask, MayBeAbsent>(Bytes::new()).await;
        assert_eq!(empty.expect("nothing changes"), RetryTask::default());
        assert!(parse::<RetryTask, Ordinary>(Bytes::new()).await.is_err());
    }
}
