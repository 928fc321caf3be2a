//! Breadth-first search through the states of a plan, with the way to each.

use std::collections::{BTreeSet, HashMap};

use approval_core::Status;

use super::invariants::check;
use super::world::{Command, Plan, World};

/// What was found.
pub struct Explored {
    pub states: usize,
    /// Commands that were taken, the repeated ones included.
    pub transitions: usize,
    pub refusals: usize,
    /// Commands from the beginning to the farthest state.
    pub depth: usize,
    /// Nothing more can be reached.
    pub is_whole: bool,
    /// Every change of a status that happened.
    pub steps: BTreeSet<(Status, Status)>,
}

/// How each state was reached first: the state before, and the command.
type Ways = Vec<(usize, Command)>;

/// Visits states in the order of their distance until there are `limit`, or no more.
///
/// # Panics
/// When one breaks the rule; says by which commands.
pub fn explore(plan: &Plan, limit: usize) -> Explored {
    let first = World::new(plan);
    let mut known = HashMap::from([(first.key(), 0)]);
    let mut ways: Ways = vec![(0, Command::Follow)];
    let mut level = vec![(0, first)];
    let mut explored = Explored {
        states: 1,
        transitions: 0,
        refusals: 0,
        depth: 0,
        is_whole: false,
        steps: BTreeSet::new(),
    };
    while !level.is_empty() {
        let mut next = Vec::new();
        for (number, world) in &level {
            for command in world.commands() {
                let Some(after) = step(world, command, &mut explored, &|| way(&ways, *number))
                else {
                    continue;
                };
                let fresh = known.len();
                if *known.entry(after.key()).or_insert(fresh) == fresh {
                    ways.push((*number, command));
                    next.push((fresh, after));
                }
            }
            if known.len() >= limit {
                explored.states = known.len();
                return explored;
            }
        }
        explored.depth += usize::from(!next.is_empty());
        level = next;
    }
    explored.states = known.len();
    explored.is_whole = true;
    explored
}

/// The state after a command and what follows from it; `None` when it was refused.
fn step(
    world: &World,
    command: Command,
    explored: &mut Explored,
    way: &dyn Fn() -> Vec<Command>,
) -> Option<World> {
    let mut after = world.clone();
    let answer = after.apply(command);
    if answer.is_ok() {
        after.settle(Some(world));
    }
    check(command, &answer, world, &after, way);
    if answer.is_err() {
        explored.refusals += 1;
        return None;
    }
    note_steps(world, &after, &mut explored.steps);
    explored.transitions += 1;
    let decided = after.clone();
    let answer = after.apply(Command::Follow);
    after.settle(Some(&decided));
    check(Command::Follow, &answer, &decided, &after, way);
    note_steps(&decided, &after, &mut explored.steps);
    Some(after)
}

fn note_steps(before: &World, after: &World, steps: &mut BTreeSet<(Status, Status)>) {
    for (old, new) in before.slots.iter().zip(&after.slots) {
        if old.task.status != new.task.status {
            steps.insert((old.task.status, new.task.status));
        }
    }
}

/// The commands that lead to a state.
fn way(ways: &Ways, mut number: usize) -> Vec<Command> {
    let mut commands = Vec::new();
    while number != 0 {
        let (before, command) = ways[number];
        commands.push(command);
        number = before;
    }
    commands.reverse();
    commands
}
