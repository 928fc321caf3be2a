//! How many lines a diff adds and removes, counted when it arrives, so that lists need not read it.

/// Lines that a unified diff adds and removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffLines {
    /// Added.
    pub added: i64,
    /// Removed.
    pub removed: i64,
}

impl DiffLines {
    /// Counts inside hunks only, by the lengths in their heads: `--- a` is a head of the file or a
    /// removed line, depending on where it stands. What is no diff has no such lines.
    pub fn of(diff: &[u8]) -> Self {
        let mut counted = Self::default();
        let (mut old, mut new) = (0, 0);
        for line in diff.split(|byte| *byte == b'\n') {
            if old <= 0 && new <= 0 {
                (old, new) = hunk(line).unwrap_or_default();
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
        counted
    }
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
        let DiffLines { added, removed } = DiffLines::of(diff.as_bytes());
        (added, removed)
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
        let latin = DiffLines::of(b"@@ -1 +1,2 @@ f\xfcr\n-a\n+b\n+c\n");
        assert_eq!((latin.added, latin.removed), (2, 1));
        assert_eq!(counted("@@ -1,99999999999999999999 +1 @@\n+a"), (0, 0));
    }
}
