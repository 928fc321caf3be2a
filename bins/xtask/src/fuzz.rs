//! `cargo xtask fuzz`: libFuzzer on what reads bytes of agents and of strangers. The targets are in `fuzz/`,
//! what they call is `fuzz.rs` of `store` and `web`, and what they found worth keeping in
//! `fuzz/corpus/TARGET` is replayed by `cargo xtask test`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::shell::{Failure, Shell, cargo};

/// Give random bytes to what reads bytes of agents and of strangers
///
/// An input that breaks a promise is kept under `target/fuzz/found` and named at the end.
#[derive(Args)]
pub struct Options {
    /// Which target; all of them when absent
    #[arg(value_enum)]
    target: Option<Target>,

    /// How long each of them, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,

    /// Take inputs that reach new code into `fuzz/corpus`
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// Text that claims to be a key
    KeyText,
    /// Bodies of requests
    Bodies,
    /// Paths of changed files
    Paths,
    /// Diffs
    Diff,
    /// Output of terminals
    Terminal,
    /// Titles and blocks of text
    Text,
    /// URLs of databases
    DatabaseUrl,
}

impl Target {
    /// The name of the program and of its corpus.
    const fn name(self) -> &'static str {
        match self {
            Self::KeyText => "key_text",
            Self::Bodies => "bodies",
            Self::Paths => "paths",
            Self::Diff => "diff",
            Self::Terminal => "terminal",
            Self::Text => "text",
            Self::DatabaseUrl => "database_url",
        }
    }
}

/// libFuzzer needs counters in the code, which the compiler makes with these. `--cfg fuzzing` opens the
/// functions that the targets call, in these programs alone.
const FLAGS: &str = "--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1 -Cpasses=sancov-module \
     -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
     -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
/// With a target that is named, build scripts and macros are built without [`FLAGS`].
const HOST: &str = "x86_64-unknown-linux-gnu";
/// The most bytes of an input.
const MOST_BYTES: u32 = 4_096;

/// Builds the targets and runs them.
///
/// # Errors
/// When one cannot be built, or finds something.
pub fn run(shell: &Shell, options: &Options) -> Result<(), Failure> {
    let one = options.target.as_ref();
    let targets = one.map_or(Target::value_variants(), std::slice::from_ref);
    build(shell)?;
    for target in targets {
        println!("==> fuzz: {}", target.name());
        fuzz(shell, *target, options)?;
    }
    Ok(())
}

fn build(shell: &Shell) -> Result<(), Failure> {
    let mut build = cargo(["build", "--release", "--locked", "--target", HOST]);
    build
        .arg("--manifest-path")
        .arg(shell.path("fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(shell.path("target/fuzz"))
        .env("RUSTFLAGS", FLAGS);
    shell.run(&mut build)
}

fn fuzz(shell: &Shell, target: Target, options: &Options) -> Result<(), Failure> {
    let seeds = shell.path("fuzz/corpus").join(target.name());
    let [corpus, found] = ["corpus", "found"].map(|folder| {
        let folder = shell.path("target/fuzz").join(folder);
        folder.join(target.name())
    });
    for path in [&corpus, &found, &seeds] {
        let made = fs::create_dir_all(path);
        let path = path.clone();
        made.map_err(|source| Failure::File { path, source })?;
    }
    let mut run = program(shell, target);
    run.arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-max_len={MOST_BYTES}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args([&corpus, &seeds]);
    shell.run(&mut run)?;
    if options.keep {
        let mut merge = program(shell, target);
        shell.run(merge.arg("-merge=1").args([&seeds, &corpus]))?;
    }
    Ok(())
}

fn program(shell: &Shell, target: Target) -> Command {
    let folder: PathBuf = ["target/fuzz", HOST, "release"].iter().collect();
    Command::new(shell.path(folder).join(target.name()))
}
