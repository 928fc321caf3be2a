//! Does one of the measured works so many times: `instructions NAME COUNT`; without arguments it
//! prints the names. `cargo xtask bench instructions` runs it under a simulated processor.

#[path = "../benches/works.rs"]
mod works;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        for work in works::WORKS {
            println!("{}", work.name);
        }
        return ExitCode::SUCCESS;
    };
    let count = arguments.next().and_then(|count| count.parse::<u32>().ok());
    let work = works::WORKS.iter().find(|work| work.name == name);
    let (Some(work), Some(count)) = (work, count) else {
        eprintln!("usage: instructions NAME COUNT");
        return ExitCode::from(2);
    };
    let mut once = (work.prepare)();
    (0..count).for_each(|_| once());
    ExitCode::SUCCESS
}
