//! Texts that are too long, or that would break out of their line.

/// The first bytes of something, at most `limit`, and how many are left out.
pub(crate) fn cut(bytes: &[u8], limit: usize) -> (&[u8], usize) {
    let head = &bytes[..bytes.len().min(limit)];
    (head, bytes.len() - head.len())
}

/// The beginning of a text, at most `limit` bytes of whole characters, and how many bytes are left
/// out.
pub(crate) fn head(text: &str, limit: usize) -> (&str, usize) {
    let head = &text[..text.floor_char_boundary(limit)];
    (head, text.len() - head.len())
}

/// What stands in place of `missing` bytes; nothing when none are missing.
pub(crate) fn marker(missing: usize) -> String {
    if missing == 0 {
        String::new()
    } else {
        format!("[{missing} bytes are missing]")
    }
}

/// A text as a part of one line: at most `limit` bytes of it and then a marker. What would end the
/// line or steer a terminal becomes a space.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let (head, missing) = head(text.trim(), limit);
    let mut line = head.replace(breaks_a_line, " ");
    if missing > 0 {
        line.push_str(" … ");
        line.push_str(&marker(missing));
    }
    line
}

/// Control characters, and those that Unicode calls line and paragraph separators.
fn breaks_a_line(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Text that comes bit by bit, of which the first bytes are kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    text: String,
    missing: usize,
}

impl Kept {
    /// How many bytes are kept, the marker included.
    pub(crate) const LIMIT: usize = 1 << 20;
    /// Room for the marker.
    const MARKER: usize = 64;

    /// Adds what came next.
    pub(crate) fn push(&mut self, text: &str) {
        // Once something is left out, nothing follows: a text with a hole would say something else.
        let room = if self.missing > 0 {
            0
        } else {
            Self::LIMIT - self.text.len()
        };
        let (head, missing) = head(text, room);
        self.text.push_str(head);
        self.missing += missing;
    }

    /// Lets what comes next begin a paragraph, as people separate them: with an empty line.
    pub(crate) fn end_paragraph(&mut self) {
        let lacks = match self.text.as_bytes() {
            [] | [.., b'\n', b'\n'] => "",
            [.., b'\n'] => "\n",
            _ => "\n\n",
        };
        self.push(lacks);
    }

    /// The text, with a last line that says how many bytes are missing, if any are.
    pub(crate) fn into_text(mut self) -> String {
        if self.missing == 0 {
            return self.text;
        }
        let (head, missing) = head(&self.text, Self::LIMIT - Self::MARKER);
        let (end, missing) = (head.len(), self.missing + missing);
        self.text.truncate(end);
        self.text.push('\n');
        self.text.push_str(&marker(missing));
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line(" a\nb\u{2028}c\x1b[1m\t ", 100), "a b c [1m");
        assert_eq!(one_line("€€€", 7), "€€ … [3 bytes are missing]");
    }

    #[test]
    fn what_is_too_long_keeps_its_head_and_says_what_is_missing() {
        let mut kept = Kept::default();
        kept.push("a");
        for _ in 0..3 {
            kept.push(&"€".repeat(150_000));
        }
        kept.push("b");
        let text = kept.into_text();
        assert!(text.len() <= Kept::LIMIT && text.len() > Kept::LIMIT - 128);
        let (head, last) = text.rsplit_once('\n').unwrap();
        let missing = 1 + 3 * 450_000 + 1 - head.len();
        assert_eq!(last, format!("[{missing} bytes are missing]"));
        assert!(head.starts_with("a€") && head.ends_with('€'));
    }

    #[test]
    fn what_fits_is_kept_as_it_is() {
        let mut kept = Kept::default();
        kept.push(&"x".repeat(Kept::LIMIT));
        assert_eq!(kept.into_text(), "x".repeat(Kept::LIMIT));
    }
}
