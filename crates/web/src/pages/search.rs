//! A search in bytes that are mostly text: without regard to case, and what it shows is what was found.

use std::ops::Range;

use crate::show;

/// Characters around a match in a long line.
const CONTEXT: usize = 200;

/// A text as it is compared: every character in lower case, and U+FFFD for what is not UTF-8.
pub(super) fn lower(bytes: &[u8]) -> String {
    characters(bytes)
        .flat_map(|(c, _)| c.to_lowercase())
        .collect()
}

/// Where the first match of `needle`, which is in lower case, is in a line.
pub(super) fn first(line: &[u8], needle: &str) -> Option<Range<usize>> {
    let begin = lower(line).find(needle)?;
    let end = begin + needle.len();
    // the lower case of a character may be longer than itself, or shorter
    let (mut read, mut compared) = (0, 0);
    let mut start = None;
    for (c, bytes) in characters(line) {
        let next = compared + c.to_lowercase().map(char::len_utf8).sum::<usize>();
        if next > begin {
            start.get_or_insert(read);
        }
        read += bytes;
        compared = next;
        if compared >= end {
            break;
        }
    }
    start.map(|start| start..read)
}

/// The part of a line around a match, the match marked. What is left out of it is counted.
pub(super) fn shown(line: &[u8], hit: Range<usize>) -> Vec<show::Run> {
    let (before, rest) = line.split_at(hit.start);
    let (hit, after) = rest.split_at(hit.len());
    let skipped = characters(before).count().saturating_sub(CONTEXT);
    let start: usize = characters(before)
        .take(skipped)
        .map(|(_, bytes)| bytes)
        .sum();
    let end: usize = characters(after)
        .take(CONTEXT)
        .map(|(_, bytes)| bytes)
        .sum();
    let (after, rest) = after.split_at(end);
    let left_out = characters(rest).count();

    let mut runs = Vec::new();
    runs.extend((skipped > 0).then(|| show::missing_before(skipped)));
    runs.extend(show::line_bytes(before.get(start..).unwrap_or_default()).runs);
    runs.extend(show::line_bytes(hit).runs.into_iter().map(|run| show::Run {
        class: "mark".into(),
        ..run
    }));
    runs.extend(show::line_bytes(after).runs);
    runs.extend((left_out > 0).then(|| show::missing_run(left_out)));
    runs
}

/// The characters with the number of their bytes. What is not UTF-8 counts as U+FFFD.
fn characters(bytes: &[u8]) -> impl Iterator<Item = (char, usize)> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().len();
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        valid.chain((invalid > 0).then_some((char::REPLACEMENT_CHARACTER, invalid)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &[u8], needle: &str) -> Vec<(String, String)> {
        let hit = first(line, &lower(needle.as_bytes())).expect("a match");
        let runs = shown(line, hit);
        runs.into_iter()
            .map(|run| (run.class.into_owned(), run.text))
            .collect()
    }

    fn runs<const N: usize>(wanted: [(&str, &str); N]) -> Vec<(String, String)> {
        wanted
            .map(|(class, text)| (class.to_owned(), text.to_owned()))
            .into()
    }

    #[test]
    fn the_match_is_marked_where_it_is_whatever_its_case() {
        assert_eq!(
            found("one DEPLOYED ok".as_bytes(), "deployed"),
            runs([("", "one "), ("mark", "DEPLOYED"), ("", " ok")])
        );
        // lower case is longer here, and shorter there
        assert_eq!(
            found("\u{130}\u{130} Rm \u{1e9e}".as_bytes(), "RM"),
            runs([("", "\u{130}\u{130} "), ("mark", "Rm"), ("", " \u{1e9e}")])
        );
        assert_eq!(
            found("x\u{1e9e}y".as_bytes(), "\u{df}"),
            runs([("", "x"), ("mark", "\u{1e9e}"), ("", "y")])
        );
        assert_eq!(first(b"one", "two"), None);
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let line = [&[b'a'; 1_234][..], b"needle", &[b'b'; 201]].concat();
        let shown = found(&line, "needle");
        assert_eq!(shown[0].1, "1,034 characters before \u{2026} ");
        assert_eq!(shown[1].1.len(), CONTEXT);
        assert_eq!(shown[4], runs([("cut", "\u{2026} 1 character more")])[0]);
    }

    #[test]
    fn bytes_that_are_not_text_are_drawn_as_what_they_are() {
        assert_eq!(
            found(b"a\xffb\x1bneedle\xe2\x82", "needle"),
            runs([
                ("", "a"),
                ("esc", "FF"),
                ("", "b"),
                ("esc", "U+001B"),
                ("mark", "needle"),
                ("esc", "E2"),
                ("esc", "82")
            ])
        );
    }
}
