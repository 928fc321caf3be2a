//! `cargo xtask ci`: everything that must hold before a change is accepted.

use std::process::Command;

use clap::Args;

use crate::shell::{Failure, Shell, cargo};
use crate::steps::Steps;
use crate::{layers, openapi, tools, vendor_assets};

/// Check format, lints, dependencies, layers and documents, then run the README's test command
#[derive(Args)]
pub struct Options {}

/// What the README must give as the way to run the tests.
const TEST_COMMAND: &str = "cargo xtask test";

/// Runs every check; the first failure ends it.
///
/// # Errors
/// The first check that failed.
pub fn run(shell: &Shell, _: &Options) -> Result<(), Failure> {
    let mut steps = Steps::new("ci");
    steps.step("format", || {
        shell.run(&mut cargo(["fmt", "--all", "--check"]))
    })?;
    steps.step("lints", || {
        let mut clippy = cargo(["clippy", "--workspace", "--all-targets", "--locked"]);
        shell.run(clippy.args(["--", "-D", "warnings"]))
    })?;
    let mut deny = steps.step("cargo-deny", || tools::cargo_deny(shell))?;
    steps.step("dependencies", || {
        shell.run(deny.args(["check", "bans", "licenses", "sources"]))
    })?;
    steps.step("layers", || layers::check(shell))?;
    steps.step("documentation", || {
        let mut doc = cargo(["doc", "--workspace", "--no-deps"]);
        shell.run(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    steps.step("docs/openapi.json", || openapi::check(shell))?;
    steps.step("vendored assets", || vendor_assets::check(shell))?;
    let mut test = steps.step("the README's test command", || {
        readme_test_command(&shell.read("README.md")?)
    })?;
    steps.step(TEST_COMMAND, || shell.run(&mut test))?;
    steps.finish();
    Ok(())
}

/// The test command as a reader of the README would type it.
fn readme_test_command(readme: &str) -> Result<Command, Failure> {
    let commands = commands(readme);
    let mut tests = commands
        .iter()
        .filter(|line| line.starts_with("cargo") && line.contains("test"));
    match tests.next() {
        Some(&line) if line == TEST_COMMAND && tests.next().is_none() => {
            let mut words = line.split_whitespace();
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            Ok(command)
        }
        _ => Err(Failure::Check(format!(
            "README.md must give one test command in a code block, and it must be `{TEST_COMMAND}`"
        ))),
    }
}

/// The lines of the fenced code blocks, without comments at their ends.
fn commands(markdown: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            lines.push(line.split(" #").next().unwrap_or(line).trim());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::readme_test_command;

    fn accepted(readme: &str) -> bool {
        readme_test_command(readme).is_ok()
    }

    #[test]
    fn the_readme_gives_exactly_one_test_command() {
        assert!(accepted(
            "Run\n```sh\ncargo run --release\ncargo xtask test   # all\n```\n"
        ));
        assert!(!accepted("Run `cargo xtask test`."), "not in a block");
        assert!(!accepted("```\ncargo test --workspace\n```"));
        assert!(!accepted("```\ncargo xtask test\ncargo test\n```"));
    }
}
