//! Terminal output.

use proptest::prelude::*;

use super::super::{Ansi, Run, Shown};
use super::{assert_safe, picture, pictured};

/// The whole of a stream fed in these pieces.
fn fed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Shown {
    let mut ansi = Ansi::new();
    let mut whole = Shown::default();
    for piece in pieces {
        let shown = ansi.feed(piece);
        whole.escapes += shown.escapes;
        whole.runs.extend(shown.runs);
    }
    let rest = ansi.finish();
    whole.escapes += rest.escapes;
    whole.runs.extend(rest.runs);
    whole
}

fn shown(bytes: &[u8]) -> String {
    pictured(&fed([bytes]))
}

#[test]
fn colours_and_attributes_become_classes() {
    let cases: [(&str, &str); 26] = [
        ("\x1b[31mred\x1b[0m plain", "[a-fg-1|red] plain"),
        ("\x1b[1;31mred\x1b[m plain", "[a-fg-1 a-bold|red] plain"),
        ("\x1b[92;44mx", "[a-fg-10 a-bg-4|x]"),
        ("\x1b[107;30mx", "[a-fg-0 a-bg-15|x]"),
        (
            "\x1b[2;3;4;7;9mx",
            "[a-dim a-italic a-underline a-inverse a-strike|x]",
        ),
        ("\x1b[1;2mx\x1b[22my", "[a-bold a-dim|x]y"),
        (
            "\x1b[3;4;7;9mx\x1b[23;24;27;29my",
            "[a-italic a-underline a-inverse a-strike|x]y",
        ),
        (
            "\x1b[31;42mx\x1b[39my\x1b[49mz",
            "[a-fg-1 a-bg-2|x][a-bg-2|y]z",
        ),
        ("\x1b[38;5;9mx", "[a-fg-9|x]"),
        ("\x1b[38;5;196mx", "[a-fg-9|x]"),
        ("\x1b[38;5;244mx", "[a-fg-8|x]"),
        ("\x1b[48;5;232mx", "[a-bg-0|x]"),
        ("\x1b[38;2;250;5;5mx", "[a-fg-9|x]"),
        ("\x1b[48;2;0;0;0;1mx", "[a-bg-0 a-bold|x]"),
        ("\x1b[38:5:2mx", "[a-fg-2|x]"),
        ("\x1b[38:2:255:255:255mx", "[a-fg-15|x]"),
        ("\x1b[38:2::255:255:255mx", "[a-fg-15|x]"),
        ("\x1b[4:3mx\x1b[4:0my", "[a-underline|x]y"),
        ("\x1b[58;5;1mx", "x"),
        ("\x1b[58;2;1;31;31mx", "x"),
        ("\x1b[38;5;999mx", "x"),
        ("\x1b[38;5mx", "x"),
        ("\x1b[38mx", "x"),
        ("\x1b[5;6;53;999mx", "x"),
        ("\x1b[1m\x1b[1mx\x1b[1my", "[a-bold|xy]"),
        ("\x1b[31mé\n\tz", "[a-fg-1|é\n\tz]"),
    ];
    for (text, expected) in cases {
        let whole = fed([text.as_bytes()]);
        assert_eq!(pictured(&whole), expected, "{text:?}");
        assert_eq!(whole.escapes, 0, "{text:?}");
    }
}

#[test]
fn text_cannot_be_hidden_by_a_style() {
    assert_eq!(shown(b"\x1b[8mhidden"), "hidden");
    assert_eq!(shown(b"\x1b[30;40mx"), "[a-fg-0|x]");
    assert_eq!(shown(b"\x1b[31;101mx"), "[a-fg-1|x]");
    assert_eq!(shown(b"\x1b[31;41;7mx"), "[a-fg-1 a-inverse|x]");
    // the ground is back as soon as it can be told apart
    assert_eq!(
        shown(b"\x1b[31;41mx\x1b[32my"),
        "[a-fg-1|x][a-fg-2 a-bg-1|y]"
    );
}

#[test]
fn every_other_sequence_is_drawn() {
    let cases: [(&[u8], &str); 33] = [
        (b"\x1b[2Jx", "[esc|ESC[2J]x"),
        (b"\x1b[1;1Hx", "[esc|ESC[1;1H]x"),
        (b"a\x1b[1Ab", "a[esc|ESC[1A]b"),
        (b"\x1b[?25lx", "[esc|ESC[?25l]x"),
        (b"\x1b[>4;2mx", "[esc|ESC[>4;2m]x"),
        (b"\x1b[?1mx", "[esc|ESC[?1m]x"),
        (b"\x1bcx", "[esc|ESCc]x"),
        (b"\x1b(Bx", "[esc|ESC(B]x"),
        (b"\x1b7x\x1b8", "[esc|ESC7]x[esc|ESC8]"),
        (b"\x1b]0;title\x07x", "[esc|OSC 0;title]x"),
        (b"\x1b]0;title\x1b\\x", "[esc|OSC 0;title]x"),
        (
            b"\x1b]8;;https://e.org\x07link\x1b]8;;\x07",
            "[esc|OSC 8;;https://e.org]link[esc|OSC 8;;]",
        ),
        (b"\x1bPq#0\x1b\\x", "[esc|DCS q#0]x"),
        (b"\x1bP1;2|17/ab\x1b\\x", "[esc|DCS 1;2|17/ab]x"),
        (b"\x1bP:::q\x1b\\x", "[esc|DCS :::q]x"),
        (b"\x1bXsecret\x1b\\x", "[esc|SOS secret]x"),
        (b"\x1b^secret\x1b\\x", "[esc|PM secret]x"),
        (b"\x1b_secret\x1b\\x", "[esc|APC secret]x"),
        (b"\x1b]\x07x", "[esc|OSC]x"),
        // malformed ones end where good ones end
        (b"\x1b[1?2mx", "[esc|ESC[1?2m]x"),
        (b"\x1b[ 1mx", "[esc|ESC[ 1m]x"),
        // nothing hides inside of one
        (b"\x1b[3\n1mx", "[esc|ESC[3]\n1mx"),
        (b"\x1b[3\x081mx", "[esc|ESC[3][esc|U+0008]1mx"),
        ("\x1b[3é1mx".as_bytes(), "[esc|ESC[3]é1mx"),
        (b"\x1b[3\x1b[32mx", "[esc|ESC[3][a-fg-2|x]"),
        (b"\x1b\x1b[32mx", "[esc|ESC][a-fg-2|x]"),
        (b"\x1b]0;a\nrm -rf /", "[esc|OSC 0;a]\nrm -rf /"),
        (b"\x1bPa\r\nb", "[esc|DCS a]\nb"),
        (b"\x1b]0;a\x1b[31mx", "[esc|OSC 0;a][a-fg-1|x]"),
        (b"\x1bXa\x18x", "[esc|SOS a<U+0018>]x"),
        ("\x1b]0;\u{202e}é\x07x".as_bytes(), "[esc|OSC 0;<U+202E>é]x"),
        (b"\x1b]0;\xff\x9c\x07x", "[esc|OSC 0;<FF><9C>]x"),
        (b"\x1b[31", "[esc|ESC[31]"),
    ];
    for (bytes, expected) in cases {
        let whole = fed([bytes]);
        assert_eq!(
            pictured(&whole),
            expected,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
        assert_eq!(whole.escapes, expected.matches("[esc|").count());
    }
}

#[test]
fn c1_controls_are_not_obeyed() {
    assert_eq!(shown("\u{9b}31mx".as_bytes()), "[esc|U+009B]31mx");
    assert_eq!(shown(b"\x9b31mx"), "[esc|9B]31mx");
    assert_eq!(shown(b"\x9d8;;x"), "[esc|9D]8;;x");
}

#[test]
fn nothing_overwrites_what_came_before() {
    assert_eq!(shown(b"bad\rgood\n"), "bad[esc|U+000D]good\n");
    assert_eq!(
        shown(b"bad\x08\x08\x08ok"),
        "bad[esc|U+0008][esc|U+0008][esc|U+0008]ok"
    );
    assert_eq!(
        shown(b"a\x0bb\x0cc\x07"),
        "a[esc|U+000B]b[esc|U+000C]c[esc|U+0007]"
    );
    assert_eq!(shown(b"a\r\nb\r\n"), "a\nb\n");
    assert_eq!(shown(b"a\r\r\nb"), "a[esc|U+000D]\nb");
    assert_eq!(shown(b"a\r"), "a[esc|U+000D]");
    assert_eq!(shown(b"a\r\xff"), "a[esc|U+000D][esc|FF]");
    assert_eq!(shown(b"a\r\x1b[0m\n"), "a[esc|U+000D]\n");
}

#[test]
fn a_piece_may_end_anywhere() {
    assert_eq!(pictured(&fed([b"a\r".as_slice(), b"\nb"])), "a\nb");
    let joined = |pieces: &[&[u8]]| fed(pieces.iter().copied());
    assert_eq!(joined(&[b"\xf0\x9f", b"\xa6", b"\x80!"]).escapes, 0);
    assert_eq!(pictured(&joined(&[b"\xf0\x9f", b"x"])), "[esc|F0][esc|9F]x");
    assert_eq!(
        pictured(&joined(&[b"\xe2\x82", b"\x1b[1mx"])),
        "[esc|E2][esc|82][a-bold|x]"
    );
    assert_eq!(pictured(&joined(&[b"\xe2\x82"])), "[esc|E2][esc|82]");
    assert_eq!(
        pictured(&joined(&[b"\x1b", b"[3", b"1", b"mx"])),
        "[a-fg-1|x]"
    );
    assert_eq!(
        pictured(&joined(&[b"\x1b]0;t\x1b", b"\\x"])),
        "[esc|OSC 0;t]x"
    );
    assert_eq!(
        pictured(&joined(&[b"\x1b]0;t\x1b"])),
        "[esc|OSC 0;t][esc|ESC]"
    );
    assert_eq!(
        pictured(&joined(&[b"\x1b[31ma", b"b"])),
        "[a-fg-1|a][a-fg-1|b]"
    );
    // a mark in the next piece still counts for the character before
    let tower = [
        b"e".as_slice(),
        "\u{301}\u{301}\u{301}".as_bytes(),
        "\u{301}\u{301}".as_bytes(),
    ];
    assert_eq!(fed(tower).escapes, 1);
}

#[test]
fn a_long_sequence_is_cut_and_counted() {
    let long = [b"\x1b]52;c;".as_slice(), &[b'A'; 100], b"\x07x"].concat();
    assert_eq!(
        shown(&long),
        format!("[esc|OSC 52;c;{}… 105 bytes]x", "A".repeat(35))
    );
    let style = [b"\x1b[".as_slice(), &[b'0'; 80], b"31mx"].concat();
    assert_eq!(
        shown(&style),
        format!("[esc|ESC[{}… 84 bytes]x", "0".repeat(39))
    );
}

#[test]
fn an_endless_sequence_hides_no_more_than_its_limit() {
    for start in [
        b"\x1b]0;".as_slice(),
        b"\x1bP",
        b"\x1bX",
        b"\x1b_",
        b"\x1b[",
    ] {
        let filler: u8 = if start == b"\x1b[" { b'1' } else { b'a' };
        let mut ansi = Ansi::new();
        let mut runs = ansi.feed(start).runs;
        for _ in 0..100 {
            runs.extend(ansi.feed(&[filler; 1000]).runs);
        }
        runs.extend(ansi.finish().runs);
        assert!(
            runs.iter()
                .any(|run| run.class == "esc" && run.text.contains("… 4,09"))
        );
        let seen: usize = runs
            .iter()
            .filter(|run| run.class.is_empty())
            .map(|run| run.text.len())
            .sum();
        assert_eq!(seen, 100_000 + start.len() - 4096);
    }
}

/// Runs of one class next to each other as one, since pieces end runs; repeated escapes one by one.
fn merged(runs: &[Run]) -> String {
    let mut merged: Vec<Run> = Vec::new();
    for run in runs {
        let (name, times) = match run.text.split_once(" ×") {
            Some((name, times)) if run.class == "esc" && times.parse::<usize>().is_ok() => {
                (name.to_owned(), times.parse().unwrap())
            }
            _ => (run.text.clone(), 1),
        };
        for _ in 0..times {
            match merged.last_mut() {
                Some(last) if last.class == run.class && run.class != "esc" => {
                    last.text.push_str(&name);
                }
                _ => merged.push(Run {
                    class: run.class.clone(),
                    text: name.clone(),
                }),
            }
        }
    }
    picture(&merged)
}

fn hostile_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        prop::sample::select(vec![
            "\x1b[", "\x1b]", "\x1bP", "\x1b_", "\x1b\\", "\x07", "\x18", "31", ";", ":", "m", "J",
            "\r", "\n", "é", "🦀", "\u{301}", "\u{9b}", "\x1b", "38;5;", "7", "?",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn pieces_make_no_difference(stream in hostile_stream(), size in 1usize..8) {
        let whole = fed([stream.as_slice()]);
        let pieces = fed(stream.chunks(size));
        assert_safe(&whole.runs);
        assert_safe(&pieces.runs);
        prop_assert_eq!(whole.escapes, pieces.escapes);
        prop_assert_eq!(merged(&whole.runs), merged(&pieces.runs));
    }

    #[test]
    fn without_escapes_it_is_the_same_as_a_block(stream in "[^\x1b\r]*") {
        prop_assert_eq!(fed([stream.as_bytes()]), super::super::block(&stream));
    }

    #[test]
    fn what_is_shown_stays_as_it_is(stream in hostile_stream()) {
        let once = fed([stream.as_slice()]).text();
        let twice = fed([once.as_bytes()]);
        prop_assert_eq!(twice.escapes, 0);
        prop_assert_eq!(twice.text(), once);
    }
}
