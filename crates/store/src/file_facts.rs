//! What lists say of a changed file, found when it arrives, so that they need not read its bytes.

/// How far a NUL byte is looked for in a content, as git does it.
const LOOKED_AT: usize = 8_000;

/// Facts about one changed file, as far as a part of it tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileFacts {
    /// Lines that its diff adds and removes. Unknown without a diff, none of a binary file.
    pub lines: Option<DiffLines>,
    /// Whether its diff says so, or its content has a NUL byte among the first 8,000.
    pub is_binary: bool,
}

impl FileFacts {
    /// What a diff tells.
    pub fn of_diff(diff: &[u8]) -> Self {
        let (lines, is_binary) = read_diff(diff);
        Self {
            lines: Some(lines),
            is_binary,
        }
    }

    /// What a content tells.
    pub fn of_content(content: &[u8]) -> Self {
        let is_binary = content.iter().take(LOOKED_AT).any(|byte| *byte == 0);
        Self {
            lines: is_binary.then(DiffLines::default),
            is_binary,
        }
    }

    /// What both tell.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            lines: self.lines.or(other.lines),
            is_binary: self.is_binary || other.is_binary,
        }
    }
}

/// Lines that a unified diff adds and removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffLines {
    /// Added.
    pub added: i64,
    /// Removed.
    pub removed: i64,
}

/// Counts inside hunks only, by the lengths in their heads: `--- a` is a head of the file or a
/// removed line, depending on where it stands. What is no diff has no such lines. Outside of hunks
/// a diff may say that the file is binary.
fn read_diff(diff: &[u8]) -> (DiffLines, bool) {
    let mut counted = DiffLines::default();
    let mut is_binary = false;
    let (mut old, mut new) = (0, 0);
    for line in diff.split(|byte| *byte == b'\n') {
        if old <= 0 && new <= 0 {
            (old, new) = hunk(line).unwrap_or_default();
            is_binary |= says_binary(line);
            continue;
        }
        match line.first() {
            Some(b'+') => {
                counted.added += 1;
                new -= 1;
            }
            Some(b'-') => {
                counted.removed += 1;
                old -= 1;
            }
            Some(b'\\') => {}
            _ => {
                old -= 1;
                new -= 1;
            }
        }
    }
    (counted, is_binary)
}

/// The two ways in which git says it.
fn says_binary(line: &[u8]) -> bool {
    line == b"GIT binary patch"
        || (line.starts_with(b"Binary files ") && line.ends_with(b" differ"))
}

/// The lengths in the head of a hunk, `@@ -1,3 +1,4 @@`; one that is missing is 1.
fn hunk(line: &[u8]) -> Option<(i64, i64)> {
    // what stands behind the second @@ is the agent's and may be anything
    let mut words = line.strip_prefix(b"@@ ")?.split(|byte| *byte == b' ');
    let mut word = || std::str::from_utf8(words.next()?).ok();
    let old = length(word()?.strip_prefix('-')?)?;
    let new = length(word()?.strip_prefix('+')?)?;
    Some((old, new))
}

fn length(range: &str) -> Option<i64> {
    match range.split_once(',') {
        Some((_, length)) => length.parse().ok(),
        None => Some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(diff: &str) -> (i64, i64) {
        let (lines, _) = read_diff(diff.as_bytes());
        (lines.added, lines.removed)
    }

    #[test]
    fn heads_are_no_lines_and_lines_that_look_like_heads_are() {
        let diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n--- b\n+++ c\n d\n\
                    @@ -9 +9,2 @@ fn\n-e\n+f\n+g\n\\ No newline at end of file\n";
        assert_eq!(counted(diff), (3, 2));
        assert_eq!(counted(""), (0, 0));
        assert_eq!(counted("+ not a diff\n- at all\n"), (0, 0));
        let stacked = "\u{300}".repeat(90);
        assert_eq!(
            counted(&format!("@@ -1 +1,2 @@ f{stacked}\n-a\n+b\n+c\n")),
            (2, 1)
        );
        let (latin, _) = read_diff(b"@@ -1 +1,2 @@ f\xfcr\n-a\n+b\n+c\n");
        assert_eq!((latin.added, latin.removed), (2, 1));
        assert_eq!(counted("@@ -1,99999999999999999999 +1 @@\n+a"), (0, 0));
    }

    #[test]
    fn binary_is_what_git_calls_so() {
        let says = |diff: &str| FileFacts::of_diff(diff.as_bytes());
        for diff in [
            "diff --git a/x b/x\nBinary files a/x and b/x differ\n",
            "diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 1\n",
        ] {
            assert!(says(diff).is_binary, "{diff}");
            assert_eq!(says(diff).lines, Some(DiffLines::default()), "{diff}");
        }
        assert!(!says("@@ -0,0 +1 @@\n+Binary files a and b differ\n").is_binary);

        let holds = FileFacts::of_content;
        assert!(holds(b"\x89PNG\0").is_binary);
        assert_eq!(holds(b"\0").lines, Some(DiffLines::default()));
        assert_eq!(holds(b"text"), FileFacts::default(), "lines need a diff");
        let late = [&[b'x'; LOOKED_AT][..], b"\0"].concat();
        assert!(!holds(&late).is_binary);
        assert!(holds(&late[1..]).is_binary);
    }

    #[test]
    fn a_diff_of_text_and_a_binary_content_are_both_told() {
        let text = FileFacts::of_diff(b"@@ -0,0 +1 @@\n+x\n");
        let both = text.and(FileFacts::of_content(b"\0"));
        assert_eq!(both.lines, text.lines);
        assert!(both.is_binary);
    }
}
