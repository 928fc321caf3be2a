//! How often a test does its work.

/// The number that `cargo xtask torture` asks for with `TORTURE_ROUNDS`; `few` when nobody asks.
///
/// # Panics
/// When the variable holds no number.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no command line of ours to carry configuration"
)]
pub fn rounds(few: u32) -> u32 {
    std::env::var("TORTURE_ROUNDS").map_or(few, |text| text.parse().expect("a number"))
}
