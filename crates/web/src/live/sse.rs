//! The text of server-sent events, and answers made of them (contract section 4).

use std::fmt::Write as _;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use store::ActivityRow;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often a comment shows that the stream lives. It is also how a vanished client is noticed.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b": \n\n";

/// Something that gives one frame after the other until it ends.
pub(crate) trait Source: 'static {
    /// The next frame or comment; `None` is the end.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>>;
}

/// Adds an event of the log: its number and, on one line, its data. The payload is canonical JSON, so
/// there is no line break in it.
pub(crate) fn event(text: &mut String, row: &ActivityRow) {
    let ActivityRow {
        seq, kind, payload, ..
    } = row;
    // writing to a string cannot fail
    let _ = write!(
        text,
        "id: {seq}\ndata: {{\"type\":\"{kind}\",\"payload\":{payload}}}\n\n"
    );
}

/// A frame with JSON as its data and a number to go on from.
pub(crate) fn numbered(seq: i64, data: &impl serde::Serialize) -> Bytes {
    format!("id: {seq}\ndata: {}\n\n", json(data)).into()
}

/// A frame of another type than `message`.
pub(crate) fn named(name: &str, data: &impl serde::Serialize) -> Bytes {
    format!("event: {name}\ndata: {}\n\n", json(data)).into()
}

/// A frame of another type than `message`, with an id to go on from; its data may have lines.
pub(crate) fn event_of(name: &str, id: impl std::fmt::Display, data: &str) -> Bytes {
    let data = data.replace('\r', "\n").replace('\n', "\ndata: ");
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n").into()
}

fn json(data: &impl serde::Serialize) -> String {
    serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned())
}

/// The beat of comments.
pub(crate) fn comments() -> Interval {
    let mut ticks = interval_at(Instant::now() + COMMENT_EVERY, COMMENT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// A comment.
pub(crate) const fn comment() -> Bytes {
    Bytes::from_static(COMMENT)
}

/// The answer that streams `source`; to `HEAD`, its headers.
pub(crate) fn response(request: &HttpRequest, source: impl Source) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"));
    if request.method() == Method::HEAD {
        return response.finish();
    }
    response.streaming(Box::pin(stream::unfold(source, async |mut source| {
        let frame = source.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), source))
    })))
}

#[cfg(test)]
mod tests {
    use approval_core::{Identity, Timestamp};

    use super::*;

    #[test]
    fn an_event_is_two_lines_and_an_empty_one() {
        let row = ActivityRow {
            seq: 7,
            kind: "key.revoked".to_owned(),
            payload: r#"{"keyId":"key_a"}"#.to_owned(),
            actor: Identity::system(),
            at: Timestamp::from_micros(0),
            prev_hash: String::new(),
            hash: String::new(),
        };
        let expected =
            "id: 7\ndata: {\"type\":\"key.revoked\",\"payload\":{\"keyId\":\"key_a\"}}\n\n";
        let mut text = String::new();
        event(&mut text, &row);
        assert_eq!(text, expected);
    }

    #[test]
    fn data_never_breaks_its_line() {
        assert_eq!(numbered(1, &"a\nb\r"), "id: 1\ndata: \"a\\nb\\r\"\n\n");
        assert_eq!(named("end", &0), "event: end\ndata: 0\n\n");
    }
}
