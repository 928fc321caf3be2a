//! Titles, blocks and bytes.

use proptest::prelude::*;

use super::super::visible::is_invisible;
use super::super::{block, bytes, line};
use super::{assert_safe, original, pictured};

#[test]
fn plain_text_is_left_alone() {
    for text in [
        "",
        "a",
        "fn main() {}\n\tlet x = 1;\n",
        "Grüße, 世界 – “quoted” ½ 🦀",
        "कि ก็ é e\u{301}",
    ] {
        let shown = block(text);
        assert_eq!(shown.text(), text);
        assert_eq!(shown.escapes, 0);
        assert!(shown.runs.len() <= 1);
    }
}

#[test]
fn what_is_invisible_is_drawn() {
    let cases = [
        ("a\u{202E}b", "a[esc|U+202E]b", 1),
        ("\u{200B}\u{200D}", "[esc|U+200B][esc|U+200D]", 2),
        ("a\u{A0}b\u{3000}c", "a[esc|U+00A0]b[esc|U+3000]c", 2),
        (
            "\u{E0041}\u{2800}\u{3164}",
            "[esc|U+E0041][esc|U+2800][esc|U+3164]",
            3,
        ),
        ("❤\u{FE0F}", "❤[esc|U+FE0F]", 1),
        ("👩\u{200D}🚀", "👩[esc|U+200D]🚀", 1),
        (
            "\u{E000}\u{FFFE}\u{10FFFF}",
            "[esc|U+E000][esc|U+FFFE][esc|U+10FFFF]",
            3,
        ),
        ("a\r\nb\rc", "a[esc|U+000D]\nb[esc|U+000D]c", 2),
        ("\u{1b}[31mred", "[esc|U+001B][31mred", 1),
        (
            "\u{7f}\u{85}\u{9b}",
            "[esc|U+007F][esc|U+0085][esc|U+009B]",
            3,
        ),
        ("\0\0\0", "[esc|U+0000][esc|U+0000][esc|U+0000]", 3),
        ("\0\0\0\0", "[esc|U+0000 ×4]", 4),
        ("a\tb\u{2028}c\u{2029}", "a\tb[esc|U+2028]c[esc|U+2029]", 2),
    ];
    for (text, expected, escapes) in cases {
        let shown = block(text);
        assert_eq!(pictured(&shown), expected);
        assert_eq!(shown.escapes, escapes, "{expected}");
    }
}

#[test]
fn a_long_row_of_one_byte_is_counted() {
    let shown = bytes(&[0; 12_345]);
    assert_eq!(pictured(&shown), "[esc|U+0000 ×12,345]");
    assert_eq!(shown.escapes, 12_345);
}

#[test]
fn a_line_has_no_line_breaks() {
    let shown = line("a\nb\tc");
    assert_eq!(pictured(&shown), "a[esc|U+000A]b[esc|U+0009]c");
}

#[test]
fn bytes_that_are_not_text_are_drawn() {
    assert_eq!(
        pictured(&bytes(b"a\xFFb\xE0\xA0")),
        "a[esc|FF]b[esc|E0][esc|A0]"
    );
    // a surrogate, as some programs write it
    assert_eq!(bytes(b"\xED\xA0\x80").escapes, 3);
}

#[test]
fn marks_do_not_grow_into_towers() {
    let four = format!("e{}", "\u{301}".repeat(4));
    assert_eq!(block(&four).text(), four);
    let many = format!("e{}x\u{301}", "\u{301}".repeat(7));
    assert_eq!(
        pictured(&block(&many)),
        format!("{four}[esc|U+0301][esc|U+0301][esc|U+0301]x\u{301}")
    );
}

#[test]
fn a_mark_needs_something_under_it() {
    assert_eq!(pictured(&block("\u{338}a")), "[esc|U+0338]a");
    assert_eq!(pictured(&block("a\n\u{338}")), "a\n[esc|U+0338]");
    assert_eq!(
        pictured(&block("\u{200B}\u{338}")),
        "[esc|U+200B][esc|U+0338]"
    );
}

#[test]
fn a_word_of_two_alphabets_is_marked() {
    let cases = [
        ("fix p\u{430}ypal login", "fix [mixed|p\u{430}ypal] login"),
        ("src/\u{441}ore.rs", "src/[mixed|\u{441}ore].rs"),
        ("gr\u{3BF}up", "[mixed|gr\u{3BF}up]"),
        ("привет world αβγ", "привет world αβγ"),
        ("5 µm, e\u{301}te, naïve", "5 µm, e\u{301}te, naïve"),
        ("a\u{200B}\u{430}", "a[esc|U+200B]\u{430}"),
        ("x\u{301}\u{430}", "[mixed|x\u{301}\u{430}]"),
    ];
    for (text, expected) in cases {
        assert_eq!(pictured(&line(text)), expected);
    }
}

#[test]
fn a_cut_says_what_is_missing() {
    assert_eq!(pictured(&line("abcdef").cut(6)), "abcdef");
    assert_eq!(
        pictured(&line("abcdef").cut(5)),
        "abcde[cut|… 1 character more]"
    );
    assert_eq!(
        pictured(&line("ab\u{202E}cdef").cut(4)),
        "ab[esc|U+][cut|… 8 characters more]"
    );
    assert_eq!(
        pictured(&line(&"x".repeat(5000)).cut(0)),
        "[cut|… 5,000 characters more]"
    );
}

/// `Default_Ignorable_Code_Point` of Unicode, and the blanks it does not know.
#[test]
fn nothing_that_is_ignored_by_default_is_passed() {
    let ignorable = [
        0xAD..=0xAD,
        0x34F..=0x34F,
        0x61C..=0x61C,
        0x115F..=0x1160,
        0x17B4..=0x17B5,
        0x180B..=0x180F,
        0x200B..=0x200F,
        0x202A..=0x202E,
        0x2060..=0x206F,
        0x3164..=0x3164,
        0xFE00..=0xFE0F,
        0xFEFF..=0xFEFF,
        0xFFA0..=0xFFA0,
        0xFFF0..=0xFFF8,
        0x1BCA0..=0x1BCA3,
        0x1D173..=0x1D17A,
        0xE0000..=0xE0FFF,
        0x0..=0x1F,
        0x7F..=0xA0,
        0x1680..=0x1680,
        0x2000..=0x200A,
        0x2028..=0x202F,
        0x205F..=0x205F,
        0x2800..=0x2800,
        0x3000..=0x3000,
        0xE000..=0xF8FF,
        0xFDD0..=0xFDEF,
        0xF0000..=0x10_FFFF,
    ];
    for code in ignorable.into_iter().flatten() {
        let Some(c) = char::from_u32(code) else {
            continue;
        };
        assert!(is_invisible(c), "U+{code:04X}");
    }
}

/// Every character that exists, alone and after a letter.
#[test]
fn every_character_is_shown_or_drawn() {
    for c in '\0'..=char::MAX {
        let text = format!("a{c}");
        for shown in [block(&text), line(&text)] {
            assert_safe(&shown.runs);
            assert_eq!(original(&shown.runs), text.as_bytes());
        }
    }
}

/// Mostly characters that matter here.
fn hostile_text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        any::<char>(),
        prop::sample::select(vec![
            '\0',
            '\t',
            '\n',
            '\r',
            '\u{1b}',
            ' ',
            'a',
            'é',
            '\u{301}',
            '\u{488}',
            '\u{430}',
            '\u{202e}',
            '\u{200d}',
            '\u{fe0f}',
            '\u{3164}',
            '\u{e0061}',
            '×',
            '+',
            'U',
        ]),
    ];
    prop::collection::vec(c, 0..60).prop_map(|text| text.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn text_can_be_read_back(text in hostile_text()) {
        for shown in [line(&text), block(&text)] {
            assert_safe(&shown.runs);
            prop_assert_eq!(original(&shown.runs), text.as_bytes());
        }
    }

    #[test]
    fn what_is_shown_is_visible(text in hostile_text()) {
        let once = block(&text).text();
        let twice = block(&once);
        prop_assert_eq!(twice.escapes, 0);
        prop_assert_eq!(twice.text(), once);
    }

    #[test]
    fn bytes_can_be_read_back(raw in prop::collection::vec(any::<u8>(), 0..80)) {
        let shown = bytes(&raw);
        assert_safe(&shown.runs);
        prop_assert_eq!(original(&shown.runs), raw);
    }

    #[test]
    fn a_cut_keeps_its_limit(text in hostile_text(), limit in 0usize..40) {
        let whole = block(&text);
        let length = whole.text().chars().count();
        let cut = whole.cut(limit);
        assert_safe(&cut.runs);
        let kept: usize =
            cut.runs.iter().filter(|run| run.class != "cut").map(|run| run.text.chars().count()).sum();
        prop_assert_eq!(kept, length.min(limit));
        prop_assert_eq!(cut.runs.iter().any(|run| run.class == "cut"), length > limit);
    }
}
