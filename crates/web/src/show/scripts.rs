//! Words that mix alphabets: `pаypal` with a Cyrillic `а`.
//!
//! An aid, not a promise. It knows the alphabets whose letters are most often taken for Latin ones; a word
//! that is foreign as a whole, or that mixes in digits and symbols that look like letters, is not marked.

use super::visible::is_mark;

/// The alphabets that are told apart, as ranges of letters.
const ALPHABETS: [(Alphabet, char, char); 28] = {
    use Alphabet::{Armenian, Cherokee, Cyrillic, Greek, Latin};
    [
        (Latin, 'A', 'Z'),
        (Latin, 'a', 'z'),
        (Latin, '\u{00C0}', '\u{00D6}'),
        (Latin, '\u{00D8}', '\u{00F6}'),
        (Latin, '\u{00F8}', '\u{02AF}'),
        (Greek, '\u{0370}', '\u{0373}'),
        (Greek, '\u{0376}', '\u{0377}'),
        (Greek, '\u{037B}', '\u{037D}'),
        (Greek, '\u{037F}', '\u{037F}'),
        (Greek, '\u{0386}', '\u{0386}'),
        (Greek, '\u{0388}', '\u{03FF}'),
        (Cyrillic, '\u{0400}', '\u{0481}'),
        (Cyrillic, '\u{048A}', '\u{052F}'),
        (Armenian, '\u{0531}', '\u{0556}'),
        (Armenian, '\u{0560}', '\u{0588}'),
        (Cherokee, '\u{13A0}', '\u{13FF}'),
        (Cyrillic, '\u{1C80}', '\u{1C8F}'),
        (Latin, '\u{1D00}', '\u{1D25}'),
        (Greek, '\u{1D26}', '\u{1D2A}'),
        (Cyrillic, '\u{1D2B}', '\u{1D2B}'),
        (Latin, '\u{1E00}', '\u{1EFF}'),
        (Greek, '\u{1F00}', '\u{1FFF}'),
        (Latin, '\u{2C60}', '\u{2C7F}'),
        (Cyrillic, '\u{A640}', '\u{A69F}'),
        (Latin, '\u{A722}', '\u{A7FF}'),
        (Latin, '\u{AB30}', '\u{AB64}'),
        (Cherokee, '\u{AB70}', '\u{ABBF}'),
        (Latin, '\u{FB00}', '\u{FB06}'),
    ]
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
}

/// Cuts text into words and what is between them, and says of each whether it mixes alphabets.
pub(super) fn words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let inside = is_of_word(rest.chars().next()?);
        let end = rest.find(|c| is_of_word(c) != inside).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some((word, inside && is_mixed(word)))
    })
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

fn is_mixed(word: &str) -> bool {
    let mut alphabets = word.chars().filter_map(alphabet);
    let first = alphabets.next();
    alphabets.any(|alphabet| Some(alphabet) != first)
}

fn alphabet(c: char) -> Option<Alphabet> {
    ALPHABETS
        .iter()
        .find(|(_, first, last)| (*first..=*last).contains(&c))
        .map(|(alphabet, ..)| *alphabet)
}
