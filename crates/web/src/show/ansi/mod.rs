//! The output of a terminal program: colours become classes, every other sequence is drawn.
//!
//! Nothing is executed that could move, overwrite, erase or hide text that came before. The sequences are
//! taken apart by [`vte`]; here is only kept which bytes they were made of, so that they can be drawn.

mod colour;
mod name;
mod sequence;
mod style;

use super::pen::{Base, Breaks, Pen};
use super::run::Shown;
use sequence::{Sequence, Step};
use style::Style;

const ESCAPE: u8 = 0x1B;

/// The state of one stream between two pieces of it.
#[derive(Default)]
pub(crate) struct Ansi {
    style: Style,
    base: Base,
    /// A carriage return was the last character; what follows decides what it was.
    carriage_return: bool,
    /// The first bytes of a character, at most three.
    partial: Vec<u8>,
    sequence: Option<Sequence>,
}

impl Ansi {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Shows the next bytes of the stream. A character or sequence that is not complete yet waits for the
    /// next piece; [`Ansi::finish`] shows it when there is none.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Shown {
        let mut pen = self.pen();
        while let Some((&byte, rest)) = bytes.split_first() {
            if let Some(sequence) = self.sequence.take() {
                if self.advance(sequence, byte, &mut pen) {
                    bytes = rest;
                }
            } else if byte == ESCAPE {
                self.settle(&mut pen);
                self.sequence = Some(Sequence::new());
                bytes = rest;
            } else {
                let end = bytes
                    .iter()
                    .position(|byte| *byte == ESCAPE)
                    .unwrap_or(bytes.len());
                let (plain, rest) = bytes.split_at(end);
                self.plain(plain, &mut pen);
                bytes = rest;
            }
        }
        self.base = pen.base();
        pen.finish()
    }

    /// Shows what the end of the stream cut off.
    pub(crate) fn finish(mut self) -> Shown {
        let mut pen = self.pen();
        self.settle(&mut pen);
        if let Some(sequence) = self.sequence.take() {
            pen.escape(sequence.name());
            if sequence.is_closing() {
                pen.escape(Sequence::new().name());
            }
        }
        pen.finish()
    }

    fn pen(&self) -> Pen {
        let mut pen = Pen::continued(Breaks::Kept, self.base);
        pen.set_class(self.style.class());
        pen
    }

    /// Takes the sequence one byte further. False: the byte is not part of it and is still to be shown.
    fn advance(&mut self, mut sequence: Sequence, byte: u8, pen: &mut Pen) -> bool {
        match sequence.push(byte, &mut self.style) {
            Step::More => self.sequence = Some(sequence),
            Step::Styled => pen.set_class(self.style.class()),
            Step::Ended => pen.escape(sequence.name()),
            Step::Broken => {
                pen.escape(sequence.name());
                return false;
            }
            Step::Restarted => {
                pen.escape(sequence.name());
                self.sequence = Some(Sequence::new());
                return false;
            }
        }
        true
    }

    /// Shows bytes without an escape character.
    fn plain(&mut self, bytes: &[u8], pen: &mut Pen) {
        let joined;
        let bytes = if self.partial.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.partial).as_slice(), bytes].concat();
            joined.as_slice()
        };
        let mut left = bytes.len();
        for chunk in bytes.utf8_chunks() {
            left -= chunk.valid().len() + chunk.invalid().len();
            self.text(chunk.valid(), pen);
            if left == 0 && is_partial(chunk.invalid()) {
                self.partial = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                self.settle(pen);
                pen.invalid(chunk.invalid());
            }
        }
    }

    /// A carriage return before a line feed belongs to the line break; any other would let the text after
    /// it overwrite the line.
    fn text(&mut self, mut text: &str, pen: &mut Pen) {
        if !text.is_empty() && std::mem::take(&mut self.carriage_return) && !text.starts_with('\n')
        {
            pen.character('\r');
        }
        while let Some((before, after)) = text.split_once('\r') {
            pen.text(before);
            if after.is_empty() {
                self.carriage_return = true;
            } else if !after.starts_with('\n') {
                pen.character('\r');
            }
            text = after;
        }
        pen.text(text);
    }

    /// Draws what can no longer become a line break or a character.
    fn settle(&mut self, pen: &mut Pen) {
        if std::mem::take(&mut self.carriage_return) {
            pen.character('\r');
        }
        pen.invalid(&std::mem::take(&mut self.partial));
    }
}

/// The name under which a sequence is drawn, for those who check what was drawn.
#[cfg(any(test, fuzzing))]
pub(super) fn name_of(sequence: &[u8]) -> String {
    name::of(sequence)
}

/// Whether these bytes are the beginning of a character.
fn is_partial(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
