//! The secret of the origin at which a session was opened ([ADR
//! 20](../../../../docs/adr/0020-sessions-bound-to-the-origin.md)).
//!
//! A browser sends the cookies of a host to every port of it, so whatever listens on another port of
//! this machine can come by a session cookie. Storage it keeps by origin, port included: there the
//! script of the sign-in page puts 256 random bits, and every change by the session must bring them.

use actix_web::HttpMessage as _;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::web::Bytes;
use approval_core::Digest;
use contract::Code;
use futures_util::stream;

use crate::pages::FORM_LIMIT;
use crate::problem::Failure;
use crate::request::whole;

/// The field of a form that has it.
pub(crate) const FIELD: &str = "originSecret";
/// The same for requests that are no forms.
const HEADER: HeaderName = HeaderName::from_static("x-countersign-origin");

/// What is kept of the secret that a new session is bound to; `None` without script.
///
/// # Errors
/// 400 for something that is no such secret: a session that was meant to be bound is never opened
/// unbound.
pub(crate) fn chosen(text: Option<&str>) -> Result<Option<Digest>, Failure> {
    let digest = |text| {
        let detail = format!("{FIELD} must be 64 hexadecimal digits");
        digest_of(text).ok_or_else(|| Failure::new(Code::InvalidBody, detail))
    };
    text.map(digest).transpose()
}

/// What is kept of the secret in the header; `None` also for two different ones.
pub(crate) fn in_header(headers: &HeaderMap) -> Option<Digest> {
    let texts = headers.get_all(HEADER).map(|value| value.to_str().ok());
    the_one(texts)
}

/// Takes the secret out of a form: what handlers read, and what says whether a form was sent
/// before, is without it.
///
/// # Errors
/// 413; 400 when the body breaks off or takes too long.
pub(crate) async fn taken_from_form(
    request: &mut ServiceRequest,
) -> Result<Option<Digest>, Failure> {
    let body = whole(request.take_payload(), FORM_LIMIT).await?;
    let (digest, rest) = without_secret(&body);
    let payload = stream::iter([Ok(rest)]);
    request.set_payload(Payload::Stream {
        payload: Box::pin(payload),
    });
    Ok(digest)
}

/// What is kept of the secret in a form, and the other fields as they were sent.
fn without_secret(body: &[u8]) -> (Option<Digest>, Bytes) {
    let fields = || body.split(|byte| *byte == b'&');
    let others: Vec<&[u8]> = fields().filter(|pair| secret(pair).is_none()).collect();
    let texts = fields().filter_map(secret);
    let digest = the_one(texts.map(|text| std::str::from_utf8(text).ok()));
    (digest, others.join(&b'&').into())
}

/// The text of the field with the secret. Its name and its digits need no escapes, so a form has
/// them as they are.
fn secret(pair: &[u8]) -> Option<&[u8]> {
    pair.strip_prefix(FIELD.as_bytes())?.strip_prefix(b"=")
}

/// The digest of the one text there is; `None` for none, for something else, and for two.
fn the_one<'a>(mut texts: impl Iterator<Item = Option<&'a str>>) -> Option<Digest> {
    let text = texts.next()?;
    let is_unique = texts.all(|other| other == text);
    text.filter(|_| is_unique).and_then(digest_of)
}

fn digest_of(text: &str) -> Option<Digest> {
    let is_secret = text.parse::<Digest>().is_ok();
    is_secret.then(|| Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_taken_out_of_a_form_and_the_rest_stays_as_it_is() {
        let one = "a".repeat(64);
        let digest = Some(Digest::of(one.as_bytes()));
        let taken = |body: &str| {
            let (digest, rest) = without_secret(body.as_bytes());
            (digest, String::from_utf8(rest.into()).expect("text"))
        };
        for (body, rest) in [
            (format!("originSecret={one}"), ""),
            (format!("a=1&originSecret={one}"), "a=1"),
            (format!("originSecret={one}&a=%26&a=+"), "a=%26&a=+"),
            (
                format!("a&originSecret={one}&b=&originSecret={one}"),
                "a&b=",
            ),
        ] {
            assert_eq!(taken(&body), (digest, rest.to_owned()), "{body}");
        }
        for body in [
            "",
            "a=1",
            "xoriginSecret=1",
            "originSecretx=1",
            "originSecret",
        ] {
            assert_eq!(taken(body), (None, body.to_owned()), "{body}");
        }
        // half a secret, none, two different ones: nothing, and no handler sees them either
        let other = "b".repeat(64);
        for body in [
            "a=1&originSecret=".to_owned(),
            format!("a=1&originSecret={}", &one[1..]),
            format!("originSecret={one}&a=1&originSecret={other}"),
            format!("a=1&originSecret={one}&originSecret="),
        ] {
            assert_eq!(taken(&body), (None, "a=1".to_owned()), "{body}");
        }
    }

    #[test]
    fn a_session_is_bound_by_a_whole_secret_or_not_opened() {
        let secret = "0123456789abcdef".repeat(4);
        let kept = Some(Digest::of(secret.as_bytes()));
        assert_eq!(chosen(Some(&secret)).expect("a secret"), kept);
        assert_eq!(chosen(None).expect("no secret"), None);
        for text in ["", "x", &secret[1..], &format!("{secret}0")] {
            assert!(chosen(Some(text)).is_err(), "{text}");
        }
    }
}
