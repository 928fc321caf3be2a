//! Canonical JSON (RFC 8785) of the few shapes we hash: null, booleans, integers, text, arrays
//! and objects.
//!
//! Integers are limited to what a double holds exactly (RFC 8785 section 3.2.2.3); every integer
//! hashed here is a count, a size or a sequence number far below that.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A JSON value that can be written canonically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canonical<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer within ±2^53
    Int(i64),
    /// A string
    Text(Cow<'a, str>),
    /// An array; the order is kept
    Array(Vec<Canonical<'a>>),
    /// An object; members are sorted when written
    Object(Vec<(Cow<'a, str>, Canonical<'a>)>),
}

impl<'a> Canonical<'a> {
    /// The largest integer that a double holds together with all below it: 2^53.
    pub const MAX_INT: i64 = 1 << 53;

    /// An object of the given members.
    pub fn object<const N: usize>(members: [(&'static str, Canonical<'a>); N]) -> Self {
        Self::Object(
            members
                .into_iter()
                .map(|(key, value)| (Cow::Borrowed(key), value))
                .collect(),
        )
    }

    /// Text, owned or borrowed.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// The text of anything that can be displayed.
    pub fn display(value: impl std::fmt::Display) -> Self {
        Self::Text(Cow::Owned(value.to_string()))
    }

    /// A count or a size; saturates where a double would lose digits.
    pub fn count(value: u64) -> Self {
        let value = i64::try_from(value).unwrap_or(Self::MAX_INT);
        Self::Int(value.min(Self::MAX_INT))
    }

    /// `value` or `null`.
    pub fn option<T>(value: Option<T>, some: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, some)
    }

    /// The canonical bytes, which are UTF-8.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Text(text) => write_text(text, out),
            Self::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                // RFC 8785 section 3.2.3: by UTF-16 code units
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
                out.push('{');
                for (index, (key, value)) in members.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Writes a JSON string as ECMAScript does (RFC 8785 section 3.2.2.2).
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            control if control < ' ' => {
                // writing to a String cannot fail
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
