//! Points in time as they stand on the wire.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

const SIX_DIGITS: &[BorrowedFormatItem<'static>] = format_description!(
    version = 2,
    "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"
);

/// A point in time. On the wire: RFC 3339 in UTC with exactly six fractional digits,
/// `2026-03-15T10:05:00.000000Z` (contract section 0). Any RFC 3339 text is read; digits beyond the
/// microsecond are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-03-15T10:05:00.000000Z")]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// The point in time itself, in UTC.
    pub const fn get(self) -> OffsetDateTime {
        self.0
    }
}

impl From<OffsetDateTime> for Timestamp {
    /// Converts to UTC and cuts to microseconds.
    fn from(at: OffsetDateTime) -> Self {
        let utc = at.to_offset(UtcOffset::UTC);
        Self(utc.replace_microsecond(utc.microsecond()).unwrap_or(utc))
    }
}

impl From<Timestamp> for OffsetDateTime {
    fn from(at: Timestamp) -> Self {
        at.0
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.format(SIX_DIGITS).map_err(|_| std::fmt::Error)?;
        f.write_str(&text)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = time::error::Parse;

    fn from_str(text: &str) -> Result<Self, time::error::Parse> {
        OffsetDateTime::parse(text, &Rfc3339).map(Self::from)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::custom(format_args!("'{text}' is not an RFC 3339 time")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Timestamp {
        serde_json::from_value(json!(text)).unwrap()
    }

    #[test]
    fn six_digits_and_z_always() {
        for (given, written) in [
            ("2026-03-15T10:05:00Z", "2026-03-15T10:05:00.000000Z"),
            ("2026-03-15T10:05:00.12Z", "2026-03-15T10:05:00.120000Z"),
            (
                "2026-03-15T10:05:00.123456789Z",
                "2026-03-15T10:05:00.123456Z",
            ),
            ("2026-03-15T12:05:00.5+02:00", "2026-03-15T10:05:00.500000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(serde_json::to_value(read(given)).unwrap(), json!(written));
        }
    }

    #[test]
    fn the_same_moment_is_the_same_value() {
        assert_eq!(
            read("2026-03-15T12:05:00+02:00"),
            read("2026-03-15T10:05:00.000000999Z")
        );
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "2026-03-15", "2026-03-15 10:05", "1742032800"] {
            let error = serde_json::from_value::<Timestamp>(json!(text)).unwrap_err();
            assert!(
                error.to_string().contains("is not an RFC 3339 time"),
                "{error}"
            );
        }
    }
}
