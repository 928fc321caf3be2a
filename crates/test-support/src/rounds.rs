//! How much a test of what must be survived does: a little in `cargo xtask test`, and what was
//! asked for in `cargo xtask torture`.

/// The number that `cargo xtask torture` asks for with `TORTURE_ROUNDS`; `few` when nobody asks.
///
/// # Panics
/// When the variable holds no number.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no command line of ours to carry configuration"
)]
pub fn rounds(few: usize) -> usize {
    std::env::var("TORTURE_ROUNDS").map_or(few, |text| text.parse().expect("a number"))
}
