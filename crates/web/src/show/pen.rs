//! Writes runs: passes what is visible, draws what is not, and counts it.

use std::borrow::Cow;

use super::run::{ESC, ESC_MARK, MARK, Run, Shown, grouped};
use super::visible::{is_invisible, is_mark, name};

/// More marks than this on one base would grow over the lines above and below.
const MARKS_PER_BASE: u8 = 4;

/// So many equal escapes in a row are shown as one with a count: a file of zeros stays readable.
const REPEATS: usize = 4;

/// What becomes of line feeds and tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaks {
    /// They break the line.
    Kept,
    /// They are drawn.
    Drawn,
}

/// How many more marks the last character can carry. None: there is nothing to carry them, a mark would be
/// laid over one of our own escapes or over what stands before the text.
pub(super) type Base = Option<u8>;

/// Collects runs.
#[derive(Debug)]
pub(super) struct Pen {
    shown: Shown,
    class: Cow<'static, str>,
    breaks: Breaks,
    base: Base,
    repeated: Option<(String, usize)>,
}

impl Pen {
    pub(super) fn new(breaks: Breaks) -> Self {
        Self::continued(breaks, None)
    }

    /// Goes on after text that ended with this base.
    pub(super) fn continued(breaks: Breaks, base: Base) -> Self {
        Self {
            shown: Shown::default(),
            class: Cow::Borrowed(""),
            breaks,
            base,
            repeated: None,
        }
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    /// The class of the visible text from here on.
    pub(super) fn set_class(&mut self, class: impl Into<Cow<'static, str>>) {
        self.draw_repeated();
        self.class = class.into();
    }

    /// Writes text.
    pub(super) fn text(&mut self, mut text: &str) {
        while !text.is_empty() {
            // the common case in one go: ASCII that is always visible
            let plain = text.bytes().position(|byte| !matches!(byte, b' '..=b'~'));
            let (visible, rest) = text.split_at(plain.unwrap_or(text.len()));
            if !visible.is_empty() {
                self.visible(visible);
                self.base = Some(MARKS_PER_BASE);
            }
            let mut rest = rest.chars();
            if let Some(c) = rest.next() {
                self.character(c);
            }
            text = rest.as_str();
        }
    }

    /// Writes bytes; those that are not UTF-8 are drawn one by one.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.utf8_chunks() {
            self.text(chunk.valid());
            self.invalid(chunk.invalid());
        }
    }

    /// Draws bytes that are not UTF-8.
    pub(super) fn invalid(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.escape(format!("{byte:02X}"));
        }
    }

    /// Writes one character, or draws it.
    pub(super) fn character(&mut self, c: char) {
        if matches!(c, '\n' | '\t') && self.breaks == Breaks::Kept {
            self.visible(c.encode_utf8(&mut [0; 4]));
            self.base = None;
        } else if is_invisible(c) {
            self.escape(name(c));
        } else if is_mark(c) {
            match self.base {
                Some(left @ 1..) => {
                    self.visible(c.encode_utf8(&mut [0; 4]));
                    self.base = Some(left - 1);
                }
                _ => self.escape(name(c)),
            }
        } else {
            self.visible(c.encode_utf8(&mut [0; 4]));
            self.base = Some(MARKS_PER_BASE);
        }
    }

    /// Draws something that would not be seen, under this name, and counts it.
    pub(super) fn escape(&mut self, name: String) {
        self.shown.escapes += 1;
        self.base = None;
        match &mut self.repeated {
            Some((last, times)) if *last == name => *times += 1,
            _ => {
                self.draw_repeated();
                self.repeated = Some((name, 1));
            }
        }
    }

    /// Adds a run of our own words; not counted.
    pub(super) fn own(&mut self, run: Run) {
        self.draw_repeated();
        self.base = None;
        self.shown.runs.push(run);
    }

    pub(super) fn finish(mut self) -> Shown {
        self.draw_repeated();
        self.shown
    }

    fn visible(&mut self, text: &str) {
        self.draw_repeated();
        match self.shown.runs.last_mut() {
            Some(run) if run.class == self.class => run.text.push_str(text),
            _ => self.shown.runs.push(Run {
                class: self.class.clone(),
                text: text.to_owned(),
            }),
        }
    }

    fn draw_repeated(&mut self) {
        let Some((name, times)) = self.repeated.take() else {
            return;
        };
        let class = Cow::Borrowed(if self.class == MARK { ESC_MARK } else { ESC });
        if times >= REPEATS {
            let text = format!("{name} ×{}", grouped(times));
            self.shown.runs.push(Run { class, text });
        } else {
            let run = Run { class, text: name };
            self.shown.runs.extend(std::iter::repeat_n(run, times));
        }
    }
}
