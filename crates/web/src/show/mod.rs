//! Makes text that an agent wrote safe and honest to look at.
//!
//! Everything here is a pure function from bytes to [`Run`]s: stretches of text with a class of ours. What
//! would not be seen on a page (control, format and direction-changing characters, blanks that are not the
//! space, bytes that are not UTF-8, terminal sequences) is drawn as text of class `esc` and counted. Nothing
//! is dropped: what is left out for its size is counted in the same place. The runs hold plain text; it is
//! the template that escapes HTML.

mod ansi;
mod diff;
#[cfg(any(test, fuzzing))]
pub(crate) mod invariants;
mod pen;
mod run;
mod scripts;
#[cfg(test)]
mod tests;
mod visible;

pub(crate) use ansi::Ansi;
#[cfg(any(test, fuzzing))]
use diff::Row;
pub(crate) use diff::{DiffLimits, FileDiff, RowKind, diff};
pub(crate) use run::{Run, Shown, missing_before, missing_run};

use pen::{Breaks, Pen};

/// A title, a path or a name: one line, so line breaks and tabs are drawn as well. A word that mixes
/// alphabets gets the class `mixed`.
pub(crate) fn line(text: &str) -> Shown {
    let mut pen = Pen::new(Breaks::Drawn);
    for (word, mixed) in scripts::words(text) {
        pen.set_class(if mixed { run::MIXED } else { "" });
        pen.text(word);
    }
    pen.finish()
}

/// As [`line`], for a text that may not be UTF-8: a byte that is not is drawn as `FF`.
pub(crate) fn line_bytes(bytes: &[u8]) -> Shown {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return line(text);
    }
    let mut pen = Pen::new(Breaks::Drawn);
    pen.bytes(bytes);
    pen.finish()
}

/// Text of many lines: line feeds and tabs stay what they are, everything else is drawn as in [`line`].
pub(crate) fn block(text: &str) -> Shown {
    bytes(text.as_bytes())
}

/// As [`block`], for text that may not be UTF-8: a byte that is not is drawn as `FF`.
pub(crate) fn bytes(bytes: &[u8]) -> Shown {
    let mut pen = Pen::new(Breaks::Kept);
    pen.bytes(bytes);
    pen.finish()
}
