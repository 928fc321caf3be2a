//! Runs: stretches of text that are shown in one way.

use std::borrow::Cow;

/// Something invisible, drawn.
pub(super) const ESC: &str = "esc";
/// Something invisible that is also a changed word of a diff.
pub(super) const ESC_MARK: &str = "esc mark";
/// A changed word of a diff.
pub(super) const MARK: &str = "mark";
/// A word that mixes alphabets.
pub(super) const MIXED: &str = "mixed";
/// Our statement of how much was left out.
pub(super) const CUT: &str = "cut";

/// A stretch of text that is shown in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// One or more of our own constants with a space between, or empty. Never from the text itself.
    pub(crate) class: Cow<'static, str>,
    /// Plain text without anything invisible; to be escaped as HTML.
    pub(crate) text: String,
}

/// Text made safe to look at: what was invisible is drawn, and counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What to show, in order.
    pub(crate) runs: Vec<Run>,
    /// How many characters, bytes and sequences had to be drawn.
    pub(crate) escapes: usize,
}

impl Shown {
    /// The text alone, for places that take no markup: the title of a tab, a label.
    pub(crate) fn text(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }

    /// At most so many characters as they are drawn; then a run of class `cut` says how many are missing.
    pub(crate) fn cut(mut self, limit: usize) -> Self {
        let mut left = limit;
        let mut missing = 0;
        self.runs.retain_mut(|run| {
            let length = run.text.chars().count();
            if length > left {
                missing += length - left;
                run.text = run.text.chars().take(left).collect();
            }
            left = left.saturating_sub(length);
            !run.text.is_empty()
        });
        if missing > 0 {
            self.runs.push(missing_run(missing));
        }
        self
    }
}

/// States how many characters were left out at the end.
pub(crate) fn missing_run(characters: usize) -> Run {
    Run {
        class: Cow::Borrowed(CUT),
        text: format!("… {} more", counted(characters)),
    }
}

/// States how many characters were left out at the start.
pub(crate) fn missing_before(characters: usize) -> Run {
    Run {
        class: Cow::Borrowed(CUT),
        text: format!("{} before … ", counted(characters)),
    }
}

fn counted(characters: usize) -> String {
    let noun = if characters == 1 {
        "character"
    } else {
        "characters"
    };
    format!("{} {noun}", grouped(characters))
}

/// A number with a comma at every thousand.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
