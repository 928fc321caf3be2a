//! The server program: flags and environment in, store and web wired together, and the
//! administration of contract section 8.

mod admin;
mod audit;
mod audit_lines;
mod backup;
mod cli;
mod descriptors;
mod listen;
mod prune;
mod quick_start;
mod serve;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use cli::{AccountAction, Arguments, AuditAction, Command, KeyAction, UserAction};

/// A failure, said in one sentence to whoever started the program.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the program.
pub fn main() -> ExitCode {
    if let Some(code) = runner::helper(std::env::args_os()) {
        return code;
    }
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => telemetry::start(&arguments.quick_start.log)
            .and_then(|()| quick_start::run(&arguments.quick_start)),
        Some(Command::Serve(options)) => {
            telemetry::start(&options.log).and_then(|()| serve::run(&options))
        }
        Some(Command::Account {
            action: AccountAction::Create(options),
        }) => admin::create_account(&options),
        Some(Command::User {
            action: UserAction::Create(options),
        }) => admin::create_user(&options),
        Some(Command::SignInLink(options)) => admin::print_sign_in_link(&options),
        Some(Command::Key {
            action: KeyAction::Create(options),
        }) => admin::create_key(&options),
        Some(Command::Audit { action }) => match action {
            AuditAction::Export(options) => audit::export(&options),
            AuditAction::Head(options) => audit::head(&options),
            AuditAction::Verify(options) => return audit::verify(&options),
        },
        Some(Command::Backup(options)) => backup::run(&options),
        Some(Command::Prune(options)) => prune::run(&options),
        Some(Command::Openapi) => print_openapi(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("api: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn print_openapi() -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(&web::openapi())?);
    Ok(())
}
