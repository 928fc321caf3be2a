//! What developers and continuous integration run on the workspace: `cargo xtask COMMAND`. One
//! module a command; the others are what the commands share.

mod bench;
mod browser;
mod ci;
mod controls;
mod debian;
mod fuzz;
mod layers;
mod mutants;
mod openapi;
mod postgres;
mod schemathesis;
mod shell;
mod steps;
mod test;
mod tools;
mod torture;
mod vendor_assets;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use shell::{Failure, Shell};

/// Tasks of the Countersign workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Test(test::Options),
    Ci(ci::Options),
    Controls(controls::Options),
    Bench(bench::Options),
    Torture(torture::Options),
    Fuzz(fuzz::Options),
    Layers(layers::Options),
    Mutants(mutants::Options),
    Openapi(openapi::Options),
    VendorAssets(vendor_assets::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(&arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn perform(command: &Command) -> Result<(), Failure> {
    let shell = Shell::new()?;
    match command {
        Command::Test(options) => test::run(&shell, options),
        Command::Ci(options) => ci::run(&shell, options),
        Command::Controls(options) => controls::run(&shell, options),
        Command::Bench(options) => bench::run(&shell, options),
        Command::Torture(options) => torture::run(&shell, options),
        Command::Fuzz(options) => fuzz::run(&shell, options),
        Command::Layers(_) => layers::check(&shell),
        Command::Mutants(options) => mutants::run(&shell, options),
        Command::Openapi(options) => openapi::run(&shell, options),
        Command::VendorAssets(options) => vendor_assets::run(&shell, options),
    }
}
