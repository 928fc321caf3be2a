//! Many thousand byte strings that mean harm.

use super::super::{Ansi, DiffLimits, bytes, diff, invariants};

/// A small generator of numbers; the same ones at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn pick<'a>(&mut self, of: &[&'a [u8]]) -> &'a [u8] {
        of[self.below(of.len())]
    }

    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(24) {
            match self.below(4) {
                0 => bytes.push(u8::try_from(self.below(256)).unwrap()),
                1 => bytes.extend(self.pick(SEQUENCES)),
                _ => bytes.extend(self.pick(LINES)),
            }
        }
        bytes
    }
}

const SEQUENCES: &[&[u8]] = &[
    b"\x1b[31m",
    b"\x1b[",
    b"\x1b]8;;",
    b"\x1bP",
    b"\x07",
    b"\x1b\\",
    b"\x9b",
    b"\r",
    b"\x08",
    b"\x18",
    b"\xc2\x9b",
    b"\xe2\x80\xae",
    b"\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81",
    b"\xf0\x9f\xa6\x80",
    b"\xef\xb8\x8f",
    b"<script>",
    b"&lt;",
    b"\"'>",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
];

const LINES: &[&[u8]] = &[
    b"diff --git a/a b/a\n",
    b"--- a/a\n",
    b"+++ b/a\n",
    b"@@ -1 +1 @@\n",
    b"@@ -1,2 +1,2 @@ fn x\n",
    b"-old\n",
    b"+new\n",
    b"+new word\r\n",
    b"-old word\n",
    b" same\n",
    b"\n",
    b"\\ No newline at end of file\n",
    b"@@ -18446744073709551615,1 +0,0 @@\n",
    b"@@ -1,99999999 +1 @@\n",
    b"@@ -0,0 +0,0 @@\n",
    b"@@@ -1 -1 +1 @@@\n",
    b"@@ -4294967295 +4294967296 @@\n",
    b"@@ ",
    b"@@\n",
    b"GIT binary patch\n",
    b"Binary files a and b differ\n",
    b"old mode 100644\n",
    b"rename to \"\\303\\n\n",
    b"From \n---\n",
    b"\r\n",
    b"+",
    b"-",
    b" ",
];

/// How many byte strings: twenty thousand, or 2,000 for each round that `cargo xtask torture` asks for.
fn strings() -> usize {
    2_000 * test_support::rounds(10)
}

#[test]
fn byte_strings_that_mean_harm() {
    let mut numbers = Numbers(7);
    let strings = strings();
    for _ in 0..strings {
        let raw = numbers.bytes();
        println!("RAW {:?}", String::from_utf8_lossy(&raw));
        invariants::text(&raw);
        invariants::terminal(&raw, 1 + numbers.below(30));
        invariants::diff(&raw, 1 + numbers.below(20), 1 + numbers.below(30));
    }
    println!("{strings} byte strings as text, as output of a terminal and as a diff");
}

/// A few megabytes of the worst of each kind; a cost that grows faster than the input would be felt.
#[test]
fn large_input_takes_no_longer_than_its_size() {
    let worst: [Vec<u8>; 9] = [
        b"\x1b]0;".repeat(200_000),
        b"\x1b[".repeat(400_000),
        b"\x1b[31m\x1b[0mx".repeat(60_000),
        "e\u{301}".repeat(200_000).into_bytes(),
        b"@@ -1 +1 @@\n".repeat(40_000),
        b"@@ -1,2 +1,2 @@\n-a\n".repeat(30_000),
        [
            b"@@ -1,9 +1,9 @@\n".to_vec(),
            b"-a b c d e f g\n+h i j k l m n\n".repeat(20_000),
        ]
        .concat(),
        (0..20_000)
            .flat_map(|n| format!("@@ -1 +1 @@\n-{n} a b {n}\n+{n} c\n").into_bytes())
            .collect(),
        [b"+".to_vec(), vec![0xFF; 800_000]].concat(),
    ];
    for raw in worst {
        let mut ansi = Ansi::new();
        for piece in raw.chunks(4096) {
            ansi.feed(piece);
        }
        ansi.finish();
        diff(
            &raw,
            DiffLimits {
                rows: usize::MAX,
                line_chars: 2_000,
            },
        )
        .split();
        bytes(&raw);
    }
}
