//! How much a test of what must be survived does: a little in `cargo xtask test`, and what was
//! asked for in `cargo xtask torture`.

/// How many rounds, when nobody asks for more.
///
/// # Panics
/// When `TORTURE_ROUNDS` is no number.
pub fn rounds(fast: usize) -> usize {
    let asked = std::env::var_os("TORTURE_ROUNDS");
    asked.map_or(fast, |text| {
        let number = text.to_str().and_then(|text| text.parse().ok());
        number.expect("TORTURE_ROUNDS is a number")
    })
}
