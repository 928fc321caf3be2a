//! Every state that one account with a task, a task that depends on it, two runners, a person and an
//! agent can get into, by whatever order of commands: in none is the rule broken (contract section 1,
//! docs/guarantees.md G2, G8, G10, G11).
//!
//! Random sequences (`invariants`) go further, but miss what is rare; here nothing within the bounds is
//! missed. A state is what the rules can tell apart: moments count by their distance from now, tokens
//! by who has them. `cargo xtask torture states` raises the bound, a round being a thousand states.

mod explore;
mod invariants;
mod world;

use std::collections::BTreeSet;

use approval_core::{OnDependencyFailure, Status};

use crate::fixtures::rounds;
use explore::explore;
use world::Plan;

/// Thousands of states of each plan at most: more than there are of these, and enough for what
/// `cargo xtask torture` looks at besides.
const THOUSANDS: usize = 10;

/// The page that tells everybody which steps there are.
const PAGE: &str = include_str!("../../../../docs/architecture.md");

/// The first task gated by its own flag, the dependent run by hand and waiting for a retry.
const FLAGGED: Plan = Plan {
    flag: true,
    by_agent: false,
    require_evidence: false,
    auto_run: false,
    on_dependency_failure: OnDependencyFailure::Block,
    attempts: 1,
    timeout: 3_600,
    retries: 1,
};

/// Only the mode closes the gate, and it is switched; the dependent starts by itself.
const BY_MODE: Plan = Plan {
    flag: false,
    auto_run: true,
    ..FLAGGED
};

/// The agent's own task, which it may withdraw and retry; decisions must name the evidence, and the
/// dependent dies with it.
const BY_AGENT: Plan = Plan {
    flag: false,
    by_agent: true,
    require_evidence: true,
    on_dependency_failure: OnDependencyFailure::Cancel,
    ..BY_MODE
};

/// Leases and the time-out race; a second attempt follows a silent runner.
const SILENT: Plan = Plan {
    attempts: 2,
    timeout: 1,
    retries: 0,
    ..BY_MODE
};

/// The steps of the table in docs/architecture.md.
fn steps_of_the_page() -> BTreeSet<(Status, Status)> {
    let cell = |text: &str| text.trim().trim_matches('`').parse::<Status>().ok();
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|');
        Some((cell(cells.next()?)?, cell(cells.next()?)?))
    };
    PAGE.lines().filter_map(row).collect()
}

/// With one retry and one attempt more, when somebody asks for it.
fn bounds(plan: Plan) -> Plan {
    if rounds(0) == 0 {
        return plan;
    }
    Plan {
        attempts: plan.attempts + 1,
        retries: plan.retries + 1,
        ..plan
    }
}

/// Explores a plan and says how far; returns the steps that happened.
fn check(name: &str, plan: Plan) -> BTreeSet<(Status, Status)> {
    let explored = explore(&bounds(plan), rounds(THOUSANDS) * 1_000);
    println!(
        "{name}: {} states, {} transitions, {} refusals, up to {} commands{}",
        explored.states,
        explored.transitions,
        explored.refusals,
        explored.depth,
        if explored.is_whole { ": all" } else { "" },
    );
    assert!(
        explored.is_whole || rounds(0) > 0,
        "{name}: the bound is too low to see all states"
    );
    let page = steps_of_the_page();
    for step in &explored.steps {
        assert!(page.contains(step), "{name}: {step:?} is not in the table");
    }
    explored.steps
}

/// Here every step of the table happens; one that never did would be a table that lies, or a search that
/// is blind.
#[test]
fn no_state_of_a_flagged_task_breaks_the_rule() {
    assert_eq!(check("flagged", FLAGGED), steps_of_the_page());
}

#[test]
fn no_state_breaks_the_rule_while_the_mode_is_switched() {
    check("by mode", BY_MODE);
}

#[test]
fn no_state_of_an_agents_own_task_breaks_the_rule() {
    check("by agent", BY_AGENT);
}

#[test]
fn no_state_breaks_the_rule_while_time_passes() {
    check("silent", SILENT);
}
