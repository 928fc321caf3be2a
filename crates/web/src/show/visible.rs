//! Which characters a reader would not see, or would see in a place where they are not.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Characters that their category calls a letter, a mark or a symbol and that are nevertheless blank or
/// change only how their neighbour looks: fillers, joiners, variation selectors, the empty Braille cell.
/// Reserved ranges that Unicode wants ignored are unassigned, and unassigned characters are all drawn.
const BLANK: [(char, char); 14] = [
    ('\u{034F}', '\u{034F}'),
    ('\u{115F}', '\u{1160}'),
    ('\u{17B4}', '\u{17B5}'),
    ('\u{180B}', '\u{180D}'),
    ('\u{180F}', '\u{180F}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{FE00}', '\u{FE0F}'),
    ('\u{FFA0}', '\u{FFA0}'),
    ('\u{13441}', '\u{13442}'),
    ('\u{16FE4}', '\u{16FE4}'),
    ('\u{1D159}', '\u{1D159}'),
    ('\u{1D173}', '\u{1D17A}'),
    ('\u{E0100}', '\u{E01EF}'),
];

/// Whether a character has to be drawn. The only space that is left alone is U+0020; line feed and tab are
/// for the caller to decide. An unassigned character is drawn, too: nobody knows what a later font does.
pub(super) fn is_invisible(c: char) -> bool {
    if matches!(c, ' '..='~') {
        return false;
    }
    BLANK
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&c))
        || matches!(
            c.general_category(),
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::PrivateUse
                | GeneralCategory::Surrogate
                | GeneralCategory::Unassigned
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::SpaceSeparator
        )
}

/// Whether a character is laid over or around the one before it.
pub(super) fn is_mark(c: char) -> bool {
    c >= '\u{0300}'
        && matches!(
            c.general_category(),
            GeneralCategory::NonspacingMark
                | GeneralCategory::SpacingMark
                | GeneralCategory::EnclosingMark
        )
}

/// The name under which a character is drawn: `U+202E`.
pub(super) fn name(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}
