//! Problem documents (RFC 9457) and the one table of their codes (contract section 7).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Declares the codes: variant, word, status, title, and what a client should do.
macro_rules! problem_codes {
    ($($variant:ident, $word:literal, $status:literal, $title:literal, $advice:literal;)+) => {
        /// Why a request was refused. The list is part of the contract; `docs/errors.md` explains it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ToSchema)]
        pub enum Code {
            $(
                #[doc = $title]
                #[schema(rename = $word)]
                $variant,
            )+
        }

        impl Code {
            /// Every code, by status.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The member `code` of the document.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The member `type` of the document.
            pub const fn type_uri(self) -> &'static str {
                match self { $(Self::$variant => concat!("urn:countersign:problem:", $word)),+ }
            }

            /// The HTTP status it comes with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// The member `title`: what the problem is, the same in every document of this code.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }

            /// What a client should do about it, in one sentence.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice),+ }
            }
        }
    };
}

problem_codes! {
    InvalidBody, "invalid-body", 400, "The body is not what this call takes",
        "Correct the JSON as `detail` says: unknown members, wrong types and malformed text are refused.";
    InvalidQuery, "invalid-query", 400, "A query parameter is unknown or has a bad value",
        "Correct the parameter named in `detail`; take cursors from the `Link` header only.";
    InvalidIdempotencyKey, "invalid-idempotency-key", 400, "The Idempotency-Key is malformed",
        "Send 1 to 255 printable ASCII characters.";
    Unauthenticated, "unauthenticated", 401, "No valid credential",
        "Send a valid, unrevoked API key in `x-api-key` or `Authorization: Bearer`, and only one; or sign in again.";
    Forbidden, "forbidden", 403, "The credential may not do this",
        "Use a credential with the capability that `detail` names.";
    CrossSite, "cross-site", 403, "The request comes from another site",
        "Send requests that rely on the session cookie from the dashboard's own origin, or use an API key.";
    NotFound, "not-found", 404, "There is no such thing",
        "Check the path and the id; what belongs to another account or lies outside an agent's desktop answers the same.";
    MethodNotAllowed, "method-not-allowed", 405, "This path does not take this method",
        "Use one of the methods in the `Allow` header.";
    AlreadyDecided, "already-decided", 409, "A decision already exists",
        "Read the decision in `standing`; it stands and cannot be changed.";
    NotInReview, "not-in-review", 409, "The task is not in review",
        "Look at `taskStatus`: only a task in review can be decided.";
    NotPending, "not-pending", 409, "The task is not pending",
        "Look at `taskStatus`: only a pending task can be run.";
    Blocked, "blocked", 409, "The task waits for others",
        "Wait until the tasks in `blockedBy` are done, or create it with `autoRun`.";
    AlreadyFinal, "already-final", 409, "The task has already ended",
        "Nothing is left to cancel; look at `taskStatus`.";
    NotRetryable, "not-retryable", 409, "Only a failed or cancelled task can be retried",
        "Look at `taskStatus`; create a new task otherwise.";
    AlreadyRetried, "already-retried", 409, "The task has been retried already",
        "Go on with the task in `retriedBy`; retry that one if it has ended.";
    LeaseLost, "lease-lost", 409, "The lease is not, or no longer, yours",
        "Stop working on this attempt and send nothing more about it; nothing of this call was written.";
    AlreadyCompleted, "already-completed", 409, "The attempt was completed with another body",
        "Keep the first result; what was sealed cannot be changed.";
    LogsIncomplete, "logs-incomplete", 409, "Log entries are missing",
        "Send the missing entries again, then repeat the completion.";
    EvidenceMismatch, "evidence-mismatch", 409, "The evidence is not the one that was sealed",
        "Read the evidence again and decide about what it says now.";
    InProgress, "in-progress", 409, "A request with this Idempotency-Key is still running",
        "Repeat the request after a moment.";
    SecretNotRepeatable, "secret-not-repeatable", 409, "The answer held a secret and was not kept",
        "The thing with the given `id` exists; revoke it and create another if its secret is lost.";
    Pruned, "pruned", 410, "These bytes were given up to make room",
        "Nothing brings them back: they went at `prunedAt`. The evidence still has the size and the digest of each.";
    TooLarge, "too-large", 413, "The request is larger than allowed",
        "Send less at once, within the limit named in `detail`.";
    UnsupportedMediaType, "unsupported-media-type", 415, "The body is not declared as JSON",
        "Send `content-type: application/json`.";
    InvalidTask, "invalid-task", 422, "The task breaks a rule",
        "Correct what `detail` names: a length, a range, an unknown desktop or dependency.";
    InvalidDecision, "invalid-decision", 422, "The decision breaks a rule",
        "Correct what `detail` names, such as the length of the feedback.";
    InvalidDesktop, "invalid-desktop", 422, "The desktop breaks a rule",
        "Correct what `detail` names, such as the length of the name.";
    InvalidKey, "invalid-key", 422, "The key breaks a rule",
        "Correct what `detail` names: the name, a capability its kind cannot have, or its desktop.";
    InvalidLogs, "invalid-logs", 422, "The log entries break a rule",
        "Correct what `detail` names, such as a negative `seq` or text that is not base64.";
    InvalidFiles, "invalid-files", 422, "The files break a rule",
        "Correct what `detail` names, such as a missing path or text that is not base64.";
    InvalidCompletion, "invalid-completion", 422, "The completion breaks a rule",
        "Correct what `detail` names, such as the length of the error.";
    IdempotencyMismatch, "idempotency-mismatch", 422, "The Idempotency-Key was used with another body",
        "Use a new key for a new request.";
    EvidenceRequired, "evidence-required", 428, "The decision must name its evidence",
        "Send `evidenceSha256` of the evidence you looked at: the account requires it.";
    RateLimited, "rate-limited", 429, "Too many requests",
        "Wait as long as `Retry-After` says.";
    Internal, "internal", 500, "Something went wrong in the server",
        "Report it with the `x-request-id` of the answer; nothing of this request was written.";
    Unavailable, "unavailable", 503, "The server cannot answer now",
        "Wait as long as `Retry-After` says and repeat with the same Idempotency-Key: the outcome of this request is unknown.";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A problem document: the body of every answer with a status of 400 or more.
///
/// Its media type is [`Problem::MEDIA_TYPE`]. `code` is text, so that a client can read codes that
/// are newer than itself; [`Problem::known_code`] gives the ones known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:countersign:problem:CODE`; on the wire `type`.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// What the problem is, the same in every document of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened in this case.
    pub detail: String,
    /// The code to act on.
    pub code: String,
    /// Members of the code at hand, such as `standing` or `blockedBy`.
    #[serde(flatten)]
    pub members: Map<String, Value>,
}

impl Problem {
    /// The media type of a problem document.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// A document of `code` with what happened in this case.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            type_uri: code.type_uri().to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code: code.as_str().to_owned(),
            members: Map::new(),
        }
    }

    /// The same with one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The code, if it is one of [`Code::ALL`].
    pub fn known_code(&self) -> Option<Code> {
        Code::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == self.code)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_has_its_members_beside_the_five() {
        let problem = Problem::new(Code::Blocked, "2 tasks are not done")
            .with("blockedBy", json!(["task_a", "task_b"]));
        let wire = json!({
            "type": "urn:countersign:problem:blocked",
            "title": "The task waits for others",
            "status": 409,
            "detail": "2 tasks are not done",
            "code": "blocked",
            "blockedBy": ["task_a", "task_b"],
        });
        assert_eq!(serde_json::to_value(&problem).unwrap(), wire);
        assert_eq!(serde_json::from_value::<Problem>(wire).unwrap(), problem);
    }

    #[test]
    fn codes_are_unique_ordered_and_of_one_form() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].status() <= pair[1].status(), "{}", pair[1]);
        }
        for (n, code) in Code::ALL.iter().enumerate() {
            assert!(
                !Code::ALL[..n].iter().any(|c| c.as_str() == code.as_str()),
                "{code}"
            );
            assert!(
                code.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{code}"
            );
            assert!(
                code.advice().ends_with('.') && !code.title().ends_with('.'),
                "{code}"
            );
            assert_eq!(Problem::new(*code, "").known_code(), Some(*code));
        }
    }

    #[test]
    fn a_newer_code_is_read_and_unknown() {
        let mut problem = Problem::new(Code::Internal, "");
        problem.code = "from-the-future".to_owned();
        assert_eq!(problem.known_code(), None);
    }
}
