//! Times, amounts and counts as people read them. `app.js` counts the relative times on with the
//! same words.

use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A moment: relative in sight, exact on hover, for machines in `datetime`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    pub machine: String,
    pub exact: String,
    pub relative: String,
    /// The time of the day alone, `02:14`, for sentences such as "You approved this at 02:14".
    pub clock: String,
}

const EXACT: &[FormatItem<'_>] = format_description!(
    "[day padding:none] [month repr:short] [year], [hour]:[minute]:[second] UTC"
);
const CLOCK: &[FormatItem<'_>] = format_description!("[hour]:[minute]");
const DAY: &[FormatItem<'_>] = format_description!("[day padding:none] [month repr:short] [year]");

impl When {
    /// How `at` reads at the moment `now`.
    pub fn new(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        let text = |format: &[FormatItem<'_>]| at.format(format).unwrap_or_default();
        Self {
            machine: at.format(&Rfc3339).unwrap_or_default(),
            exact: text(EXACT),
            relative: relative((now - at).whole_seconds()).unwrap_or_else(|| text(DAY)),
            clock: text(CLOCK),
        }
    }
}

/// Seconds ago, or to come when negative; after thirty days the day itself says more.
fn relative(seconds: i64) -> Option<String> {
    let past = seconds >= 0;
    let span = seconds.unsigned_abs();
    let amount = match span {
        0..45 => return Some(if past { "just now" } else { "in a moment" }.to_owned()),
        45..3_570 => format!("{} min", (span + 30) / 60),
        3_570..84_600 => format!("{} h", (span + 1_800) / 3_600),
        84_600..2_592_000 => {
            let days = i64::try_from((span + 43_200) / 86_400).unwrap_or(i64::MAX);
            count(days, "day", "days")
        }
        _ => return None,
    };
    Some(if past {
        format!("{amount} ago")
    } else {
        format!("in {amount}")
    })
}

/// A number of something, whichever integer it is kept in; templates pass references as well.
pub trait Amount {
    /// The number; what does not fit is as good as endless.
    fn amount(&self) -> i64;
}

impl Amount for i64 {
    fn amount(&self) -> i64 {
        *self
    }
}

impl Amount for u32 {
    fn amount(&self) -> i64 {
        i64::from(*self)
    }
}

impl Amount for usize {
    fn amount(&self) -> i64 {
        i64::try_from(*self).unwrap_or(i64::MAX)
    }
}

impl<T: Amount> Amount for &T {
    fn amount(&self) -> i64 {
        (*self).amount()
    }
}

/// `4 min 12 s`: two units at most, so that it stays readable at a glance.
pub fn duration(seconds: impl Amount) -> String {
    let seconds = seconds.amount().max(0);
    match seconds {
        0 => "under 1 s".to_owned(),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `12.4 MB`, by thousands; below a thousand the bytes themselves.
pub fn bytes(amount: impl Amount) -> String {
    let amount = amount.amount().max(0);
    let (unit, size) = match amount {
        0..1_000 => return count(amount, "byte", "bytes"),
        1_000..999_950 => ("kB", 1_000),
        999_950..999_950_000 => ("MB", 1_000_000),
        _ => ("GB", 1_000_000_000),
    };
    let tenths = amount / (size / 10) + i64::from(amount % (size / 10) >= size / 20);
    if tenths % 10 == 0 {
        format!("{} {unit}", number(tenths / 10))
    } else {
        format!("{}.{} {unit}", number(tenths / 10), tenths % 10)
    }
}

/// `12,345`.
pub fn number(amount: impl Amount) -> String {
    let amount = amount.amount();
    let digits = amount.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 3);
    if amount < 0 {
        text.push('−');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether there is any.
pub fn some(amount: impl Amount) -> bool {
    amount.amount() > 0
}

/// `1 file`, `2 files`.
pub fn count(amount: impl Amount, one: &str, many: &str) -> String {
    let amount = amount.amount();
    format!(
        "{} {}",
        number(amount),
        if amount == 1 { one } else { many }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_speech() {
        for (seconds, text) in [
            (0, "just now"),
            (44, "just now"),
            (45, "1 min ago"),
            (90, "2 min ago"),
            (3_569, "59 min ago"),
            (3_570, "1 h ago"),
            (84_599, "23 h ago"),
            (84_600, "1 day ago"),
            (200_000, "2 days ago"),
            (-10, "in a moment"),
            (-120, "in 2 min"),
        ] {
            assert_eq!(relative(seconds).as_deref(), Some(text), "{seconds}");
        }
        assert_eq!(relative(2_592_000), None);
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!(bytes(0_i64), "0 bytes");
        assert_eq!(bytes(1_i64), "1 byte");
        assert_eq!(bytes(1_000_i64), "1 kB");
        assert_eq!(bytes(12_449_000_i64), "12.4 MB");
        assert_eq!(bytes(999_949_i64), "999.9 kB");
        assert_eq!(bytes(999_950_i64), "1 MB");
        assert_eq!(number(-1_234_567_i64), "−1,234,567");
        assert_eq!(duration(252_i64), "4 min 12 s");
        assert_eq!(count(1_usize, "file", "files"), "1 file");
        assert_eq!(count(1_200_i64, "file", "files"), "1,200 files");
    }
}
