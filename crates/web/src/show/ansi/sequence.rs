//! One escape sequence while it is read.

use vte::{Params, Parser, Perform};

use super::style::Style;
use super::{ESCAPE, name};

/// A sequence is drawn at this length, finished or not: the text after it must not vanish in it.
const LONGEST: usize = 4096;

/// A colour needs no more; a longer one is drawn, not obeyed.
const LONGEST_STYLE: usize = 64;

/// What a byte did to the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It is not complete.
    More,
    /// It was a style, which is now in force.
    Styled,
    /// It is complete and has to be drawn.
    Ended,
    /// It is cut off, and the byte does not belong to it.
    Broken,
    /// It is cut off by an escape character that began another one, to which the byte belongs.
    Restarted,
}

/// The bytes of a sequence so far, and the parser that reads it.
pub(super) struct Sequence {
    parser: Parser,
    raw: Vec<u8>,
    /// An escape character stands in a string: perhaps the first half of its end.
    closing: bool,
}

impl Sequence {
    /// A sequence of which the escape character has been read.
    pub(super) fn new() -> Self {
        let mut parser = Parser::new();
        parser.advance(&mut Listener::default(), &[ESCAPE]);
        Self {
            parser,
            raw: vec![ESCAPE],
            closing: false,
        }
    }

    /// The name under which it is drawn.
    pub(super) fn name(&self) -> String {
        name::of(&self.raw)
    }

    /// Whether an escape character has been read after it that is not in its name.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Reads one byte more.
    pub(super) fn push(&mut self, byte: u8, style: &mut Style) -> Step {
        if self.closing {
            return if byte == b'\\' {
                Step::Ended
            } else {
                Step::Restarted
            };
        }
        if !self.can_hold(byte) {
            return Step::Broken;
        }
        if byte == ESCAPE {
            self.closing = true;
            return Step::More;
        }
        self.raw.push(byte);
        let mut heard = Listener::default();
        if self.raw.len() <= LONGEST_STYLE {
            heard.style = Some(style);
        }
        self.parser.advance(&mut heard, &[byte]);
        match heard {
            Listener { styled: true, .. } => Step::Styled,
            Listener { ended: true, .. } => Step::Ended,
            _ if self.raw.len() >= LONGEST || self.is_ignored_to_the_end() => Step::Ended,
            _ => Step::More,
        }
    }

    /// A terminal would execute a control character inside a sequence, ignore a foreign byte, and let a
    /// string run over many lines. Here each of them ends the sequence, so that each is seen.
    fn can_hold(&self, byte: u8) -> bool {
        if self.is_string() {
            !matches!(byte, b'\n' | b'\r')
        } else {
            matches!(byte, b' '..=b'~')
        }
    }

    fn is_string(&self) -> bool {
        matches!(self.raw.get(1), Some(b']' | b'P' | b'X' | b'^' | b'_'))
    }

    /// The parser says nothing at the end of a malformed control sequence; it ends at the same bytes as a
    /// good one.
    fn is_ignored_to_the_end(&self) -> bool {
        matches!(self.raw.as_slice(), [_, b'[', .., b'@'..=b'~'] if self.raw.len() > 2)
    }
}

/// Hears from the parser whether a sequence is over, and obeys it if it is a style.
#[derive(Default)]
struct Listener<'a> {
    style: Option<&'a mut Style>,
    styled: bool,
    ended: bool,
}

impl Perform for Listener<'_> {
    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignored: bool, action: char) {
        self.ended = true;
        if let (Some(style), 'm', [], false) = (&mut self.style, action, intermediates, ignored) {
            style.apply(params);
            self.styled = true;
        }
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, _: u8) {
        self.ended = true;
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], _: bool) {
        self.ended = true;
    }

    fn unhook(&mut self) {
        self.ended = true;
    }

    fn execute(&mut self, _: u8) {
        self.ended = true;
    }
}
