//! What a form or an address brings: names and texts, some of them several times.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use approval_core::{Invalid, Refusal};
use contract::Code;
use futures_util::future::LocalBoxFuture;
use store::{Idempotency, random_digest};

use crate::call::Caller;
use crate::problem::Failure;
use crate::request::{place, too_large, whole};

/// Most bytes of a form: 100,000 characters of content, each up to four bytes in three letters.
pub(crate) const LIMIT: usize = 2 << 20;
/// Most bytes of a form of somebody who is not signed in: an e-mail address and a password.
const LIMIT_OF_STRANGERS: usize = 16 << 10;
/// The field that makes a form repeatable.
const KEY: &str = "idempotencyKey";

/// The parameters of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The parameters of the address of a request.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        Self::parse(request.query_string().as_bytes())
    }

    fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), unix_lines(&value)))
                .collect(),
        )
    }

    /// The text of a field, unless it is missing or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().filter(|(n, _)| n == name);
        named
            .map(|(_, text)| text.as_str())
            .find(|text| !text.is_empty())
    }

    /// The text of a field, empty when missing.
    pub(crate) fn owned(&self, name: &str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// The texts of a field that may be there several times.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(n, _)| n == name);
        named.map(|(_, text)| text.as_str())
    }

    /// Whether a box is ticked or a switch is on.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// A field that is one of a few words. Nothing is assumed for another or a missing one.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], naming the field and the words there are.
    pub(crate) fn word<T>(&self, what: Invalid, field: &'static str) -> Result<T, Refusal>
    where
        T: std::str::FromStr<Err = String>,
    {
        let text = self.text(field).unwrap_or_default();
        text.parse().map_err(|reason| Refusal::Invalid {
            what,
            field,
            reason,
        })
    }

    /// A field that is an id or a number; `None` too when it is malformed.
    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }
}

impl FromRequest for Fields {
    type Error = Failure;
    type Future = std::future::Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self::of(request)))
    }
}

/// Browsers send the ends of lines as CR LF, whatever was typed or filled in.
fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// A form that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) fields: Fields,
    /// Of a form that was sent again, or by an impatient second press.
    pub(crate) idempotency: Option<Idempotency>,
}

impl Form {
    /// The identity of the second of two commands of one form.
    pub(crate) fn second(&self, request: &HttpRequest) -> Option<Idempotency> {
        let key = format!("{} 2", self.fields.text(KEY)?);
        self.idempotency.map(|first| Idempotency {
            scope: Idempotency::new(&key, "POST", request.path(), &[]).scope,
            ..first
        })
    }
}

impl FromRequest for Form {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        let request = request.clone();
        Box::pin(async move {
            let limit = limit(&request);
            check(&request, limit)?;
            let _place = place(&request).await?;
            let body = whole(payload, limit).await?;
            let fields = Fields::parse(&body);
            if fields.0.iter().any(|(_, text)| text.contains('\0')) {
                return Err(Failure::new(Code::InvalidBody, "U+0000 is not allowed"));
            }
            let path = request.path();
            let idempotency = fields
                .text(KEY)
                .map(|key| Idempotency::new(key, "POST", path, &body));
            Ok(Self {
                fields,
                idempotency,
            })
        })
    }
}

/// Whoever is not signed in has little to say.
fn limit(request: &HttpRequest) -> usize {
    if request.extensions().contains::<Caller>() {
        LIMIT
    } else {
        LIMIT_OF_STRANGERS
    }
}

fn check(request: &HttpRequest, limit: usize) -> Result<(), Failure> {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let declared = request.content_type();
    // a form without fields is sent without a type by some clients
    if declared.is_empty() || declared.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(());
    }
    let detail = "expected content-type: application/x-www-form-urlencoded";
    Err(Failure::new(Code::UnsupportedMediaType, detail))
}

/// A new key for a form.
pub(super) fn new_key() -> String {
    random_digest().map_or_else(
        |_| uuid::Uuid::now_v7().to_string(),
        |digest| digest.to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_some_of_them_several_times() {
        let fields =
            Fields::parse(b"title=a+b&dependsOn=task_1&dependsOn=task_2&empty=&content=1%0D%0A2");
        assert_eq!(fields.text("title"), Some("a b"));
        assert_eq!(
            fields.all("dependsOn").collect::<Vec<_>>(),
            ["task_1", "task_2"]
        );
        assert_eq!(fields.text("empty"), None);
        assert!(!fields.is_on("empty") && !fields.is_on("absent"));
        assert_eq!(fields.owned("content"), "1\n2");
    }
}
