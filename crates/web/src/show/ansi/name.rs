//! What a drawn sequence is called.

use super::super::run::grouped;
use super::super::visible::{is_invisible, is_mark, name};

/// So many characters of a sequence are shown; then its size.
const LONGEST: usize = 40;

const BELL: u8 = 0x07;

/// `ESC[2J`, `OSC 8;;https://example.org`, and for a long one `OSC 52;c;aGVsbG8… 4,094 bytes`.
pub(super) fn of(raw: &[u8]) -> String {
    let (kind, body) = match raw {
        [_, b']', body @ ..] => ("OSC ", body.strip_suffix(&[BELL]).unwrap_or(body)),
        [_, b'P', body @ ..] => ("DCS ", body),
        [_, b'X', body @ ..] => ("SOS ", body),
        [_, b'^', body @ ..] => ("PM ", body),
        [_, b'_', body @ ..] => ("APC ", body),
        [_, body @ ..] => ("ESC", body),
        [] => ("ESC", raw),
    };
    let mut text = String::from(if body.is_empty() {
        kind.trim_end()
    } else {
        kind
    });
    let mut room = LONGEST;
    for piece in pieces(body) {
        let length = piece.chars().count();
        if length > room {
            text.push_str("… ");
            text.push_str(&grouped(body.len()));
            text.push_str(" bytes");
            return text;
        }
        room -= length;
        text.push_str(&piece);
    }
    text
}

/// The characters, with the names of those that would not be seen.
fn pieces(body: &[u8]) -> impl Iterator<Item = String> {
    body.utf8_chunks().flat_map(|chunk| {
        let characters = chunk.valid().chars().map(|c| {
            if is_invisible(c) || is_mark(c) {
                format!("<{}>", name(c))
            } else {
                String::from(c)
            }
        });
        let bytes = chunk.invalid().iter().map(|byte| format!("<{byte:02X}>"));
        characters.chain(bytes)
    })
}
