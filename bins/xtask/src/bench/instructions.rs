//! The workload `instructions`: how many instructions the works of the rules take, counted on a
//! simulated processor (callgrind). The count does not depend on what else the machine does, so it shows
//! a slow-down that no clock shows; `docs/instructions.json` has the counts to compare with.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::report::{Goal, Report};
use super::{failed, server};
use crate::shell::{Failure, Shell, cargo};

const RECORDED: &str = "docs/instructions.json";
/// How much more than recorded is a slow-down.
const TOLERATED: f64 = 1.03;
/// Counted with so many rounds more and fewer, so that start and preparation fall out.
const FEW: u32 = 10;
const MANY: u32 = 110;

/// Counts, and compares with what is recorded or records anew.
///
/// # Errors
/// When valgrind is missing, or a work takes more than 3 % more than recorded.
pub fn measure(shell: &Shell, record: bool) -> Result<(), Failure> {
    let mut build = cargo(["build", "--release", "-p", "approval-core"]);
    shell.run(build.args(["--example", "instructions"]))?;
    let names = shell.output(&mut server::program(shell, "examples/instructions"))?;
    let mut counts = BTreeMap::new();
    for name in names.lines() {
        let once = (count(shell, name, MANY)? - count(shell, name, FEW)?) / f64::from(MANY - FEW);
        counts.insert(name.to_owned(), once.round());
    }
    if record {
        let text = serde_json::to_string_pretty(&counts).map_err(|e| failed(RECORDED, &e))?;
        return fs::write(shell.path(RECORDED), text + "\n").map_err(|e| failed(RECORDED, &e));
    }
    compare(shell, &counts)
}

fn compare(shell: &Shell, counts: &BTreeMap<String, f64>) -> Result<(), Failure> {
    let recorded = shell.read(RECORDED)?;
    let recorded: BTreeMap<String, f64> =
        serde_json::from_str(&recorded).map_err(|e| failed(RECORDED, &e))?;
    let mut report = Report::new("instructions", "the rules");
    let mut slower = Vec::new();
    for (name, count) in counts {
        let before = recorded.get(name).copied().unwrap_or(f64::NAN);
        report.add(name, *count, "", Some(Goal::AtMost(before * TOLERATED)));
        // what is not recorded is not at most anything
        if (count / before).is_nan() || count / before > TOLERATED {
            slower.push(name.as_str());
        }
    }
    if slower.is_empty() {
        return report.save(shell);
    }
    let why = format!(
        "more instructions than {RECORDED} has: {}. When that is meant: cargo xtask bench instructions --record",
        slower.join(", ")
    );
    Err(Failure::Check(why))
}

/// Instructions of the whole program with so many rounds.
fn count(shell: &Shell, name: &str, rounds: u32) -> Result<f64, Failure> {
    let program = server::program(shell, "examples/instructions");
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program.get_program())
        .args([name, &rounds.to_string()]);
    let said = valgrind.output().map_err(|source| Failure::Start {
        command: "valgrind (Debian: apt-get install valgrind)".to_owned(),
        source,
    })?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let counted = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    counted
        .and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| failed("valgrind", &said))
}
