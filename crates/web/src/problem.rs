//! From what went wrong to a problem document (contract section 7). The only place that knows both
//! the errors of the layers below and the codes of the contract.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use approval_core::{Invalid, Refusal};
use contract::{Code, Problem};
use serde_json::json;
use store::{Pruning, ReadError, SubmitError};

use crate::render;

/// The answer of a handler.
pub(crate) type Reply = Result<HttpResponse, Failure>;

/// Seconds after which an unavailable server may be asked again.
const UNAVAILABLE_RETRY_SECONDS: u64 = 1;

/// A request that is refused, or that failed: a problem document and the headers that go with it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    problem: Box<Problem>,
    retry_after: Option<u64>,
    allow: Option<String>,
    /// Whether a person who signs in again can go on.
    asks_to_sign_in: bool,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            problem: Box::new(Problem::new(code, detail)),
            retry_after: None,
            allow: None,
            asks_to_sign_in: false,
        }
    }

    /// No credential, or none that is worth anything; never says which.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(Code::Unauthenticated, "a valid API key is needed")
    }

    /// A change by a session that is bound to an origin, without the secret of that origin.
    pub(crate) fn other_origin() -> Self {
        let detail = "the session is bound to the browser that opened it, and the secret of that \
                      browser did not come along; sign in again in this browser";
        Self {
            asks_to_sign_in: true,
            ..Self::new(Code::CrossSite, detail)
        }
    }

    /// Whether a person who signs in again can go on.
    pub(crate) fn asks_to_sign_in(&self) -> bool {
        self.asks_to_sign_in
    }

    /// What a caller cannot see does not exist for it.
    pub(crate) fn not_found(what: &'static str) -> Self {
        Refusal::NotFound(what).into()
    }

    /// The bytes of a log or a file were given up.
    pub(crate) fn pruned(pruning: &Pruning) -> Self {
        let detail = "the log and the files of this attempt were pruned; its evidence is kept";
        Self::new(Code::Pruned, detail).with("prunedAt", pruning.at.to_string())
    }

    /// The budget of a credential or an address is used up for so many seconds.
    pub(crate) fn rate_limited(detail: impl Into<String>, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds.max(1)),
            ..Self::new(Code::RateLimited, detail)
        }
    }

    /// The path exists, but not with this method.
    pub(crate) fn method_not_allowed(allowed: &str) -> Self {
        Self {
            allow: Some(allowed.to_owned()),
            ..Self::new(Code::MethodNotAllowed, format!("this path takes {allowed}"))
        }
    }

    /// The database, or the server as a whole, does not answer now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(UNAVAILABLE_RETRY_SECONDS),
            ..Self::new(Code::Unavailable, detail)
        }
    }

    /// A fault of ours. What it was stands in the log only.
    pub(crate) fn internal() -> Self {
        Self::new(
            Code::Internal,
            "the server made a mistake; its log says more",
        )
    }

    /// Makes a refusal of the protocol, which has no document of its own, a problem.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Code::NotFound, "no such path"),
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(Code::TooLarge, "the request is too large"),
            status if status.is_client_error() => {
                Self::new(Code::InvalidBody, "the request is malformed")
            }
            _ => Self::internal(),
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.problem = Box::new(self.problem.with(name, value));
        self
    }

    /// The code to act on.
    pub(crate) fn code(&self) -> Option<Code> {
        self.problem.known_code()
    }

    /// What happened in this case.
    pub(crate) fn detail(&self) -> &str {
        &self.problem.detail
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status_code()
    }

    pub(crate) fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(Problem::MEDIA_TYPE);
        self.add_headers(&mut response);
        response.body(serde_json::to_vec(&self.problem).unwrap_or_default())
    }

    /// Tells on another answer when to come back.
    pub(crate) fn copy_retry_after(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }

    /// The headers that go with this failure, whatever its document looks like.
    pub(crate) fn add_headers(&self, response: &mut HttpResponseBuilder) {
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if self.problem.status == 401 {
            response.insert_header((WWW_AUTHENTICATE, r#"Bearer realm="countersign""#));
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        let failure = |code| Self::new(code, detail);
        match refusal {
            Refusal::Forbidden(_) => failure(Code::Forbidden),
            Refusal::NotFound(_) => failure(Code::NotFound),
            Refusal::NotPending { status } => {
                failure(Code::NotPending).with("taskStatus", status.as_str())
            }
            Refusal::Blocked { blocked_by } => {
                failure(Code::Blocked).with("blockedBy", render::ids(&blocked_by))
            }
            Refusal::NotInReview { status } => {
                failure(Code::NotInReview).with("taskStatus", status.as_str())
            }
            Refusal::AlreadyDecided { approval } => {
                failure(Code::AlreadyDecided).with("standing", json!(render::standing(&approval)))
            }
            Refusal::AlreadyFinal { status } => {
                failure(Code::AlreadyFinal).with("taskStatus", status.as_str())
            }
            Refusal::NotRetryable { status } => {
                failure(Code::NotRetryable).with("taskStatus", status.as_str())
            }
            Refusal::AlreadyRetried { retried_by } => {
                failure(Code::AlreadyRetried).with("retriedBy", retried_by.to_string())
            }
            Refusal::LeaseLost => failure(Code::LeaseLost),
            Refusal::AlreadyCompleted => failure(Code::AlreadyCompleted),
            Refusal::LogsIncomplete { received, expected } => failure(Code::LogsIncomplete)
                .with("received", received)
                .with("expected", expected),
            Refusal::EvidenceMismatch { sealed } => {
                failure(Code::EvidenceMismatch).with("evidenceSha256", sealed.to_string())
            }
            Refusal::EvidenceRequired => failure(Code::EvidenceRequired),
            Refusal::Invalid { what, field, .. } => {
                failure(code_of_invalid(what)).with("field", field)
            }
            Refusal::TooLarge(_) => failure(Code::TooLarge),
        }
    }
}

/// The code of a broken rule of length, range or reference.
const fn code_of_invalid(what: Invalid) -> Code {
    match what {
        Invalid::Task => Code::InvalidTask,
        Invalid::Decision => Code::InvalidDecision,
        Invalid::Desktop => Code::InvalidDesktop,
        Invalid::Key => Code::InvalidKey,
        Invalid::Logs => Code::InvalidLogs,
        Invalid::Files => Code::InvalidFiles,
        Invalid::Completion => Code::InvalidCompletion,
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        let detail = error.to_string();
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::Revoked => Self::unauthenticated(),
            SubmitError::OtherOrigin => Self::other_origin(),
            SubmitError::IdempotencyMismatch => Self::new(Code::IdempotencyMismatch, detail),
            SubmitError::InProgress => Self::new(Code::InProgress, detail),
            SubmitError::Busy
            | SubmitError::Stale
            | SubmitError::NoRoom
            | SubmitError::Unavailable => Self::unavailable(detail),
            SubmitError::Internal => Self::internal(),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable => Self::unavailable("the database is unavailable"),
            ReadError::Internal => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approval_core::Status;

    fn document(failure: &Failure) -> serde_json::Value {
        serde_json::to_value(&failure.problem).expect("a problem is JSON")
    }

    #[test]
    fn a_refusal_carries_what_the_caller_needs_to_go_on() {
        let refused = Failure::from(Refusal::NotPending {
            status: Status::Done,
        });
        let document = document(&refused);
        assert_eq!(document["code"], "not-pending");
        assert_eq!(document["taskStatus"], "done");
        assert_eq!(document["status"], 409, "`status` is RFC 9457's own");
    }

    #[test]
    fn an_unavailable_server_says_when_to_come_back() {
        for failure in [
            Failure::from(SubmitError::Busy),
            Failure::from(ReadError::Unavailable),
        ] {
            let response = failure.response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers().get(RETRY_AFTER).expect("a header"), "1");
        }
    }

    #[test]
    fn an_internal_fault_says_nothing_about_itself() {
        let failure = Failure::from(SubmitError::Internal);
        assert_eq!(document(&failure)["code"], "internal");
        assert_eq!(failure.response().headers().get(RETRY_AFTER), None);
    }
}
