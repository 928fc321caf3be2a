//! Colours and attributes as classes.

use std::borrow::Cow;

use vte::{Params, ParamsIter};

use super::colour;

const BOLD: u8 = 1;
const DIM: u8 = 1 << 1;
const ITALIC: u8 = 1 << 2;
const UNDERLINE: u8 = 1 << 3;
const INVERSE: u8 = 1 << 4;
const STRIKE: u8 = 1 << 5;

const CLASSES: [(u8, &str); 6] = [
    (BOLD, "a-bold"),
    (DIM, "a-dim"),
    (ITALIC, "a-italic"),
    (UNDERLINE, "a-underline"),
    (INVERSE, "a-inverse"),
    (STRIKE, "a-strike"),
];

/// The style in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Style {
    foreground: Option<u8>,
    background: Option<u8>,
    attributes: u8,
}

impl Style {
    /// Its classes: `a-fg-1 a-bg-4 a-bold`.
    pub(super) fn class(self) -> Cow<'static, str> {
        let mut class = String::new();
        let mut add = |name: &str| {
            if !class.is_empty() {
                class.push(' ');
            }
            class.push_str(name);
        };
        if let Some(index) = self.foreground {
            add(&format!("a-fg-{index}"));
        }
        if let Some(index) = self.background.filter(|_| !self.is_unreadable()) {
            add(&format!("a-bg-{index}"));
        }
        for (attribute, name) in CLASSES {
            if self.attributes & attribute != 0 {
                add(name);
            }
        }
        if class.is_empty() {
            Cow::Borrowed("")
        } else {
            Cow::Owned(class)
        }
    }

    /// Text on a ground of its own colour, bright or not, is hidden text: the ground is left away.
    fn is_unreadable(self) -> bool {
        let hue = |index: u8| index % 8;
        self.foreground.map(hue) == self.background.map(hue)
    }

    /// Obeys a style sequence. Concealment, blinking and whatever has no meaning here change nothing.
    pub(super) fn apply(&mut self, params: &Params) {
        let mut params = params.iter();
        while let Some(param) = params.next() {
            match param {
                [] | [0] => *self = Self::default(),
                [1] => self.attributes |= BOLD,
                [2] => self.attributes |= DIM,
                [3] => self.attributes |= ITALIC,
                [4, 0] | [24] => self.attributes &= !UNDERLINE,
                [4, ..] | [21] => self.attributes |= UNDERLINE,
                [7] => self.attributes |= INVERSE,
                [9] => self.attributes |= STRIKE,
                [22] => self.attributes &= !(BOLD | DIM),
                [23] => self.attributes &= !ITALIC,
                [27] => self.attributes &= !INVERSE,
                [29] => self.attributes &= !STRIKE,
                [code @ 30..=37] => self.foreground = byte(code - 30),
                [38, rest @ ..] => self.foreground = wide(rest, &mut params).or(self.foreground),
                [39] => self.foreground = None,
                [code @ 40..=47] => self.background = byte(code - 40),
                [48, rest @ ..] => self.background = wide(rest, &mut params).or(self.background),
                [49] => self.background = None,
                // the colour of an underline; read, so that its numbers are not taken for codes
                [58, rest @ ..] => drop(wide(rest, &mut params)),
                [code @ 90..=97] => self.foreground = byte(code - 82),
                [code @ 100..=107] => self.background = byte(code - 92),
                _ => {}
            }
        }
    }
}

/// A colour by number or by red, green and blue: `38;5;1`, `38;2;255;0;0`, or with colons in one parameter.
fn wide(rest: &[u16], params: &mut ParamsIter<'_>) -> Option<u8> {
    let mut next = || params.next()?.first().copied();
    match rest {
        [] => match next()? {
            5 => byte(next()?).map(colour::of_index),
            2 => rgb([next()?, next()?, next()?]),
            _ => None,
        },
        [5, index, ..] => byte(*index).map(colour::of_index),
        // with or without the number of a colour space before it
        [2, r, g, b] | [2, _, r, g, b, ..] => rgb([*r, *g, *b]),
        _ => None,
    }
}

fn rgb([r, g, b]: [u16; 3]) -> Option<u8> {
    Some(colour::of_rgb([byte(r)?, byte(g)?, byte(b)?]))
}

fn byte(number: u16) -> Option<u8> {
    u8::try_from(number).ok()
}
