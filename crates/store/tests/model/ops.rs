//! What is asked of an account, and how a sequence of it is made up.

use approval_core::Status;
use proptest::prelude::*;

use crate::reference::Account;

/// How many desktops an account has.
pub const DESKTOPS: usize = 2;
/// A token that nobody was ever given.
pub const ALIEN: usize = usize::MAX;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A person, who may do everything.
    Person,
    /// A human key without `approvals:decide`.
    Clerk,
    /// A service key.
    Service,
    /// The agent key of a desktop, which may also read and write tasks.
    Agent(usize),
}

impl Who {
    pub fn is_agent(self) -> bool {
        matches!(self, Self::Agent(_))
    }

    pub fn is_human(self) -> bool {
        matches!(self, Self::Person | Self::Clerk)
    }

    pub fn decides(self) -> bool {
        self == Self::Person
    }
}

/// A runner's call about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Heartbeat,
    Log,
    File,
    Succeed,
    Fail,
}

/// A new task.
#[derive(Debug, Clone)]
pub struct Wish {
    pub desktop: usize,
    pub flag: bool,
    pub auto_run: bool,
    pub dies_with_parent: bool,
    pub max_attempts: u32,
    pub parents: Vec<usize>,
}

/// One operation. [`aim`] makes its numbers point at what exists.
#[derive(Debug, Clone)]
pub enum Op {
    Create {
        by: Who,
        wish: Wish,
    },
    Run {
        by: Who,
        task: usize,
    },
    Claim {
        desktop: usize,
    },
    Call {
        desktop: usize,
        task: usize,
        token: usize,
        call: Call,
    },
    Decide {
        by: Who,
        task: usize,
        /// By the door of the approval, where there is one.
        resolve: bool,
        approve: bool,
        /// Names evidence that is not the sealed one.
        other_evidence: bool,
    },
    Cancel {
        by: Who,
        task: usize,
    },
    Retry {
        by: Who,
        task: usize,
        flag: Option<bool>,
    },
    /// The time of the task's lease passes.
    Expire {
        task: usize,
    },
    /// The task's time-out passes, and the minute of grace.
    TimeOut {
        task: usize,
    },
    Mode {
        by: Who,
        on: bool,
    },
    DeleteDesktop {
        by: Who,
        desktop: usize,
    },
}

impl Op {
    /// Whose credential it comes with; time has none.
    pub fn who(&self) -> Option<Who> {
        match *self {
            Self::Create { by, .. }
            | Self::Run { by, .. }
            | Self::Decide { by, .. }
            | Self::Cancel { by, .. }
            | Self::Retry { by, .. }
            | Self::Mode { by, .. }
            | Self::DeleteDesktop { by, .. } => Some(by),
            Self::Claim { desktop } | Self::Call { desktop, .. } => Some(Who::Agent(desktop)),
            Self::Expire { .. } | Self::TimeOut { .. } => None,
        }
    }
}

/// Any operation: mostly what takes work forward, sometimes anything by anybody.
pub fn op() -> impl Strategy<Value = Op> {
    let some = || 0_usize..64;
    let by = || {
        prop_oneof![
            8 => Just(Who::Person),
            1 => Just(Who::Clerk),
            1 => Just(Who::Service),
            2 => (0..DESKTOPS).prop_map(Who::Agent),
        ]
    };
    let desktop = || prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    let token = prop_oneof![6 => Just(0_usize), 1 => 1_usize..3, 1 => Just(ALIEN)];
    let call = prop_oneof![
        3 => Just(Call::Heartbeat),
        1 => Just(Call::Log),
        1 => Just(Call::File),
        8 => Just(Call::Succeed),
        2 => Just(Call::Fail),
    ];
    prop_oneof![
        10 => (by(), wish()).prop_map(|(by, wish)| Op::Create { by, wish }),
        14 => (by(), some()).prop_map(|(by, task)| Op::Run { by, task }),
        14 => some().prop_map(|desktop| Op::Claim { desktop }),
        24 => (some(), token, call).prop_map(|(task, token, call)| Op::Call {
            desktop: 0, task, token, call,
        }),
        14 => (by(), some(), any::<[bool; 2]>(), prop::bool::weighted(0.25)).prop_map(
            |(by, task, [resolve, approve], other_evidence)| Op::Decide {
                by, task, resolve, approve, other_evidence,
            }
        ),
        3 => (by(), some()).prop_map(|(by, task)| Op::Cancel { by, task }),
        6 => (by(), some(), any::<Option<bool>>()).prop_map(|(by, task, flag)| Op::Retry {
            by, task, flag,
        }),
        5 => some().prop_map(|task| Op::Expire { task }),
        2 => some().prop_map(|task| Op::TimeOut { task }),
        6 => (by(), any::<bool>()).prop_map(|(by, on)| Op::Mode { by, on }),
        1 => (by(), desktop()).prop_map(|(by, desktop)| Op::DeleteDesktop { by, desktop }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let desktop = prop_oneof![3 => Just(0_usize), 1 => Just(1)];
    let parents = prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(0_usize..64, 1..4),
    ];
    (desktop, any::<[bool; 3]>(), 1_u32..4, parents).prop_map(
        |(desktop, [flag, auto_run, dies_with_parent], max_attempts, parents)| Wish {
            desktop,
            flag,
            auto_run,
            dies_with_parent,
            max_attempts,
            parents,
        },
    )
}

/// Points an operation at a task it is meant for, three times out of four, else at any; `tokens` are
/// those of each task, the newest last. `None`: there is no such task.
pub fn aim(mut op: Op, account: &Account, tokens: &[Vec<usize>]) -> Option<Op> {
    if let Op::Create { wish, .. } = &mut op {
        let all = account.tasks.len();
        wish.parents.iter_mut().for_each(|p| *p %= all.max(1));
        wish.parents.sort_unstable();
        wish.parents.dedup();
        wish.parents.truncate(all);
        return Some(op);
    }
    if let Op::Claim { desktop } = &mut op {
        let offering = (0..DESKTOPS).filter(|d| !account.offered(*d).is_empty());
        let offering: Vec<usize> = offering.collect();
        let (number, anywhere) = (*desktop / 8, desktop.is_multiple_of(8));
        *desktop = if anywhere {
            number % DESKTOPS
        } else {
            *offering.get(number.checked_rem(offering.len())?)?
        };
        return Some(op);
    }
    if let Some((task, fits)) = target(&mut op) {
        *task = choose(account, *task, fits)?;
    }
    if let Op::Call {
        desktop,
        task,
        token,
        ..
    } = &mut op
    {
        *desktop = account.tasks[*task].wish.desktop;
        if *token == 2 {
            // an agent of another desktop, with a good token
            (*desktop, *token) = ((*desktop + 1) % DESKTOPS, 0);
        }
        let known = &tokens[*task];
        let back = known.len().checked_sub(token.saturating_add(1));
        *token = back.map_or(ALIEN, |n| known[n]);
    }
    Some(op)
}

/// For which tasks an operation makes sense.
type Fits = fn(&Account, usize) -> bool;

/// The task that an operation is about, and for which tasks it makes sense.
fn target(op: &mut Op) -> Option<(&mut usize, Fits)> {
    let held = |a: &Account, n: usize| a.tasks[n].lease.is_some();
    Some(match op {
        Op::Run { task, .. } => (task, |a, n| a.tasks[n].status == Status::Pending),
        Op::Call { task, .. } | Op::Expire { task } | Op::TimeOut { task } => (task, held),
        Op::Decide { task, .. } => (task, |a, n| a.tasks[n].status == Status::Review),
        Op::Cancel { task, .. } => (task, |_, _| true),
        Op::Retry { task, .. } => (task, |a, n| {
            matches!(a.tasks[n].status, Status::Failed | Status::Cancelled)
                && a.tasks[n].retried_by.is_none()
        }),
        Op::Create { .. } | Op::Claim { .. } | Op::Mode { .. } | Op::DeleteDesktop { .. } => {
            return None;
        }
    })
}

fn choose(account: &Account, number: usize, fits: Fits) -> Option<usize> {
    let all = account.tasks.len();
    let fitting: Vec<usize> = (0..all).filter(|n| fits(account, *n)).collect();
    let (number, anywhere) = (number / 4, number.is_multiple_of(4));
    if anywhere {
        number.checked_rem(all)
    } else {
        fitting.get(number.checked_rem(fitting.len())?).copied()
    }
}
