//! Diffs as rows.

use proptest::prelude::*;

use super::super::{DiffLimits, FileDiff, Row, RowKind, diff};
use super::{assert_accounted, assert_safe, original, picture};

fn read(text: &str) -> FileDiff {
    diff(text.as_bytes(), DiffLimits::default())
}

fn pictures(file: &FileDiff) -> Vec<String> {
    file.rows.iter().map(|row| picture(&row.runs)).collect()
}

/// One character a row.
pub(super) fn kinds(file: &FileDiff) -> String {
    let one = |row: &Row| match row.kind {
        RowKind::Hunk => '@',
        RowKind::Context => '=',
        RowKind::Added => '+',
        RowKind::Removed => '-',
        RowKind::Note => '.',
    };
    file.rows.iter().map(one).collect()
}

fn numbers(file: &FileDiff) -> Vec<(Option<u32>, Option<u32>)> {
    file.rows.iter().map(|row| (row.old, row.new)).collect()
}

const SIMPLE: &str = "--- a/x\n+++ b/x\n@@ -3,3 +3,4 @@ fn x()\n a\n-b c d\n+b e d\n+f\n g\n";

#[test]
fn lines_have_their_numbers() {
    let file = read(SIMPLE);
    assert_eq!(kinds(&file), "..@=-++=");
    let none = (None, None);
    assert_eq!(
        numbers(&file),
        [
            none,
            none,
            none,
            (Some(3), Some(3)),
            (Some(4), None),
            (None, Some(4)),
            (None, Some(5)),
            (Some(5), Some(6)),
        ]
    );
    assert_eq!(
        (file.added, file.removed, file.unparsed, file.is_binary),
        (2, 1, 0, false)
    );
}

#[test]
fn changed_words_are_marked() {
    let rows = pictures(&read(SIMPLE));
    assert_eq!(rows[4], "b [mark|c] d");
    assert_eq!(rows[5], "b [mark|e] d");
    assert_eq!(rows[6], "f");
}

#[test]
fn a_changed_character_that_cannot_be_seen_is_marked() {
    let file = read("@@ -1 +1 @@\n-let a = user\n+let a = us\u{200b}er\n");
    assert_eq!(
        pictures(&file)[2],
        "let a = [mark|us][esc mark|U+200B][mark|er]"
    );
    assert_eq!(file.escapes, 1);
}

#[test]
fn changes_of_blanks_can_be_seen() {
    let file = read("@@ -1,3 +1,3 @@\n-a b\n-\tc d\n-e\n+a b  \n+    c d\n+e\r\n");
    let rows = pictures(&file);
    assert_eq!(rows[4], "a b[mark|  ]");
    assert_eq!(rows[2], "[mark|\t]c d");
    assert_eq!(rows[5], "[mark|    ]c d");
    assert_eq!(rows[6], "e[esc|CR]");
    // a line of blanks only
    assert_eq!(pictures(&read("@@ -0,0 +1 @@\n+ \t\n"))[1], "[mark| \t]");
}

#[test]
fn a_crlf_is_no_alarm_but_another_cr_is() {
    let file = read("@@ -1 +1 @@\r\n-a\r\n+b\rc\r\n");
    assert_eq!(
        pictures(&file),
        ["@@ -1 +1 @@[esc|CR]", "a[esc|CR]", "b[esc|U+000D]c[esc|CR]"]
    );
    assert_eq!(file.escapes, 1);
}

#[test]
fn bytes_that_are_not_text_stand_in_their_row() {
    let file = diff(b"@@ -1 +1 @@\n-a\xff\n+a\xfe\n", DiffLimits::default());
    assert_eq!(pictures(&file), ["@@ -1 +1 @@", "a[esc|FF]", "a[esc|FE]"]);
}

#[test]
fn limits_are_stated() {
    let long = format!("@@ -0,0 +1,3 @@\n+{}\n+b\n+c\n", "é".repeat(2_100));
    let file = diff(
        long.as_bytes(),
        DiffLimits {
            rows: 3,
            line_chars: 2_000,
        },
    );
    assert_eq!(kinds(&file), "@++");
    assert_eq!(
        picture(&file.rows[1].runs),
        format!("{}[cut|… 100 characters more]", "é".repeat(2_000))
    );
    assert_eq!(
        (file.hidden_rows, file.hidden_bytes, file.added),
        (1, 200 + 3, 3)
    );
    let nothing = diff(
        SIMPLE.as_bytes(),
        DiffLimits {
            rows: 0,
            line_chars: 0,
        },
    );
    assert_eq!(
        (nothing.hidden_rows, nothing.hidden_bytes),
        (8, SIMPLE.len())
    );
    assert_eq!((nothing.added, nothing.removed), (2, 1));
}

#[test]
fn a_broken_hunk_is_shown_as_it_stands_and_spoils_no_other() {
    let file = read("@@ -1,9 +1 @@\n-a\n+b\n--- c\n?\n@@ -1 +1 @@\n-a\n+b\n");
    assert_eq!(kinds(&file), "@-+-.@-+");
    assert_eq!(file.unparsed, 5);
    assert_eq!(file.rows[1].old, None);
    assert_eq!(file.rows[6].old, Some(1));
}

#[test]
fn lines_beyond_the_count_of_a_hunk_are_not_hidden() {
    let file = read("@@ -1 +1 @@\n-a\n+b\n+evil\n more\n");
    assert_eq!(kinds(&file), "@-++=");
    assert_eq!((file.added, file.unparsed), (2, 2));
    assert_eq!(file.rows[3].new, None);
}

#[test]
fn side_by_side() {
    let file = read(
        "@@ -1,4 +1,4 @@\n a\n-b\n-c\n+d\n e\n+f\n-g\n\\ No newline at end of file\n+h\n\\ No newline at end of file\n",
    );
    assert_eq!(kinds(&file), "@=--+=+-.+.");
    let row = |at: usize| Some(&file.rows[at]);
    let expected = [
        (row(0), row(0)),
        (row(1), row(1)),
        (row(2), row(4)),
        (row(3), None),
        (row(5), row(5)),
        (None, row(6)),
        (row(7), row(9)),
        (row(8), row(10)),
    ];
    assert_eq!(file.split(), expected);
}

#[test]
fn comparing_words_is_bounded() {
    // too long a line, too many lines, too many words: shown without marks
    let words = "世 ".repeat(900);
    let words = read(&format!(
        "@@ -1,2 +1,2 @@\n-a{words}.\n-b{words}.\n+c{words}.\n+d{words}.\n"
    ));
    let long = "x ".repeat(1_001);
    let line = read(&format!("@@ -1 +1 @@\n-{long}a\n+{long}b\n"));
    let rows: String = (0..300)
        .map(|n| format!("-a {n} x\n"))
        .chain((0..300).map(|n| format!("+a {n} y\n")))
        .collect();
    let block = read(&format!("@@ -1,300 +1,300 @@\n{rows}"));
    for file in [line, block, words] {
        assert_eq!(file.unparsed, 0);
        assert!(
            file.rows
                .iter()
                .flat_map(|row| &row.runs)
                .all(|run| run.class != "mark" && run.class != "esc mark")
        );
    }
}

fn hostile_diff() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..12),
        8 => prop::sample::select(vec![
            "diff --git a/x b/x\n", "--- a/x\n", "+++ b/x\n", "@@ -1,2 +1,2 @@\n", "@@ -1 +1 @@\n", "@@ -0,0 +1 @@ x\n",
            "-a b c\n", "+a d c\n", "+a b c  \n", " a\n", "\n", "\r\n", "-a\r\n", "\\ No newline at end of file\n",
            "-", "+", "+\u{202e}\n", "Binary files a and b differ\n", "@@", "\u{301}",
        ]).prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nothing_is_lost(raw in hostile_diff(), rows in 0usize..30, line_chars in 0usize..20) {
        assert_accounted(&raw, DiffLimits::default());
        assert_accounted(&raw, DiffLimits { rows, line_chars });
        for row in diff(&raw, DiffLimits::default()).rows {
            assert_safe(&row.runs);
        }
    }

    /// What a real diff says is what is read from it.
    #[test]
    fn a_real_diff_is_read_whole(old in "([a-c ]{0,4}\n){0,12}", new in "([a-c ]{0,4}\n){0,12}") {
        let patch = diffy::create_patch(&old, &new).to_string();
        let file = read(&patch);
        prop_assert_eq!(file.unparsed, 0);
        let count = |kind| file.rows.iter().filter(|row| row.kind == kind).count();
        prop_assert_eq!(file.added, count(RowKind::Added));
        prop_assert_eq!(file.removed, count(RowKind::Removed));
        for row in &file.rows {
            let text = |number: Option<u32>, of: &str| {
                let at = usize::try_from(number.unwrap()).unwrap() - 1;
                of.lines().nth(at).unwrap().as_bytes().to_vec()
            };
            if matches!(row.kind, RowKind::Context | RowKind::Removed) {
                prop_assert_eq!(original(&row.runs), text(row.old, &old));
            }
            if matches!(row.kind, RowKind::Context | RowKind::Added) {
                prop_assert_eq!(original(&row.runs), text(row.new, &new));
            }
        }
    }
}
