//! What an account does according to sections 1, 3, 5 and 6 of the contract, and nothing else: no rows,
//! no locks, no batches. Written from the contract; it shares words with the product, not code.

use approval_core::{ApprovalStatus, Status};

use crate::ops::{Call, Op, Who, Wish};

/// Why something is refused: the codes of the contract.
pub type No = &'static str;

/// One task as the contract speaks of it. Tasks, desktops and tokens are numbers.
#[derive(Debug, Clone)]
pub struct Task {
    /// What was asked for; its flag is the task's.
    pub wish: Wish,
    pub by_agent: bool,
    pub gated: bool,
    pub status: Status,
    pub attempt: u32,
    pub retry_of: Option<usize>,
    pub retried_by: Option<usize>,
    /// The attempt that asks, or asked, for a decision, and what became of it.
    pub approval: Option<(u32, ApprovalStatus)>,
    pub lease: Option<Lease>,
    /// When it was queued.
    place: usize,
    /// The token that completed it, and whether it said that it succeeded.
    completed: Option<(usize, bool)>,
}

/// A runner's hold on a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub token: usize,
    pub heard: bool,
}

/// One account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    pub tasks: Vec<Task>,
    pub mode: bool,
    /// Desktops that were deleted.
    pub deleted: Vec<usize>,
    tokens: usize,
    now: usize,
}

impl Account {
    /// What the account answers, and becomes. A claim is asked for by [`Self::claim`].
    pub fn apply(&mut self, op: &Op) -> Result<(), No> {
        self.now += 1;
        if let Some(Who::Agent(desktop)) = op.who()
            && self.deleted.contains(&desktop)
        {
            return Err("revoked");
        }
        match *op {
            Op::Create { by, ref wish } => self.create(by, wish),
            Op::Run { by, task } => self.run(by, task),
            Op::Call {
                desktop,
                task,
                token,
                call,
            } => self.call(desktop, task, token, call),
            Op::Decide {
                by,
                task,
                approve,
                other_evidence,
                ..
            } => self.decide(by, task, approve, other_evidence),
            Op::Cancel { by, task } => self.cancel(by, task),
            Op::Retry { by, task, flag } => self.retry(by, task, flag),
            Op::Expire { task } => {
                self.expire(task);
                Ok(())
            }
            Op::TimeOut { task } => {
                if self.is_held(task) {
                    self.end(task, Status::Failed);
                }
                Ok(())
            }
            Op::Mode { by, on } => {
                allow(by.is_human())?;
                self.mode = on;
                Ok(())
            }
            Op::DeleteDesktop { by, desktop } => self.delete_desktop(by, desktop),
            Op::Claim { .. } => Ok(()),
        }?;
        self.follow();
        Ok(())
    }

    /// The tasks that a claim on this desktop may be given: queued, nobody at work, and none queued
    /// before them.
    pub fn offered(&self, desktop: usize) -> Vec<usize> {
        let waits = |t: &Task| {
            t.wish.desktop == desktop && t.status == Status::Running && t.lease.is_none()
        };
        let waiting = || (0..self.tasks.len()).filter(|n| waits(&self.tasks[*n]));
        let first = waiting().map(|n| self.tasks[n].place).min();
        waiting()
            .filter(|n| Some(self.tasks[*n].place) == first)
            .collect()
    }

    /// A runner has claimed this task; returns the number of its token.
    pub fn claim(&mut self, task: usize) -> usize {
        let token = self.tokens;
        self.tokens += 1;
        let mode = self.mode;
        let task = &mut self.tasks[task];
        task.attempt += 1;
        task.gated |= mode;
        task.lease = Some(Lease {
            token,
            heard: false,
        });
        token
    }

    /// The newest retry of a task.
    pub fn newest(&self, task: usize) -> usize {
        self.tasks[task].retried_by.map_or(task, |n| self.newest(n))
    }

    /// The dependencies that count and are not done, in the order they were given.
    pub fn blocked_by(&self, task: usize) -> Vec<usize> {
        let parents = self.tasks[task]
            .wish
            .parents
            .iter()
            .map(|p| self.newest(*p));
        parents
            .filter(|p| self.tasks[*p].status != Status::Done)
            .collect()
    }

    fn create(&mut self, by: Who, wish: &Wish) -> Result<(), No> {
        allow(!(by.is_agent() && wish.auto_run))?;
        let elsewhere = by.is_agent() && by != Who::Agent(wish.desktop);
        let out_of_reach =
            |p: &usize| by.is_agent() && by != Who::Agent(self.tasks[*p].wish.desktop);
        if elsewhere
            || self.deleted.contains(&wish.desktop)
            || wish.parents.iter().any(out_of_reach)
        {
            return Err("invalid");
        }
        self.add(by, wish);
        Ok(())
    }

    fn add(&mut self, by: Who, wish: &Wish) {
        let flag = wish.flag || by.is_agent();
        self.tasks.push(Task {
            wish: Wish {
                flag,
                ..wish.clone()
            },
            by_agent: by.is_agent(),
            gated: flag,
            status: Status::Pending,
            attempt: 0,
            retry_of: None,
            retried_by: None,
            approval: None,
            lease: None,
            place: 0,
            completed: None,
        });
    }

    fn run(&mut self, by: Who, task: usize) -> Result<(), No> {
        allow(!by.is_agent())?;
        if self.tasks[task].status != Status::Pending {
            return Err("not-pending");
        }
        if !self.blocked_by(task).is_empty() {
            return Err("blocked");
        }
        self.queue(task);
        Ok(())
    }

    fn queue(&mut self, task: usize) {
        self.tasks[task].status = Status::Running;
        self.tasks[task].place = self.now;
    }

    fn call(&mut self, desktop: usize, task: usize, token: usize, call: Call) -> Result<(), No> {
        if self.tasks[task].wish.desktop != desktop {
            return Err("not-found");
        }
        let mode = self.mode;
        let task = &mut self.tasks[task];
        let holds = task.lease.is_some_and(|l| l.token == token);
        if call == Call::Heartbeat && holds && task.status == Status::Cancelled {
            return Ok(());
        }
        let (Call::Succeed | Call::Fail) = call else {
            if !(holds && task.status == Status::Running) {
                return Err("lease-lost");
            }
            task.lease = Some(Lease { token, heard: true });
            return Ok(());
        };
        let succeeded = call == Call::Succeed;
        if let Some((by, said)) = task.completed
            && by == token
        {
            return if said == succeeded {
                Ok(())
            } else {
                Err("already-completed")
            };
        }
        if !(holds && task.status == Status::Running) {
            return Err("lease-lost");
        }
        task.completed = Some((token, succeeded));
        task.lease = None;
        task.gated |= mode;
        task.status = match (succeeded, task.gated) {
            (false, _) => Status::Failed,
            (true, false) => Status::Done,
            (true, true) => {
                task.approval = Some((task.attempt, ApprovalStatus::Pending));
                Status::Review
            }
        };
        Ok(())
    }

    fn decide(&mut self, by: Who, task: usize, approve: bool, other: bool) -> Result<(), No> {
        allow(by.decides())?;
        let task = &mut self.tasks[task];
        match task.approval {
            None => return Err("not-in-review"),
            Some((_, ApprovalStatus::Pending)) if other => return Err("evidence-mismatch"),
            Some((_, ApprovalStatus::Pending)) => {}
            Some(_) => return Err("already-decided"),
        }
        let (status, decided) = if approve {
            (Status::Done, ApprovalStatus::Approved)
        } else {
            (Status::Failed, ApprovalStatus::Rejected)
        };
        task.status = status;
        task.approval = Some((task.attempt, decided));
        Ok(())
    }

    fn cancel(&mut self, by: Who, id: usize) -> Result<(), No> {
        self.see(by, id)?;
        if self.tasks[id].status == Status::Review {
            allow(by.decides())?;
        } else {
            self.own(by, id)?;
        }
        let task = &mut self.tasks[id];
        if matches!(
            task.status,
            Status::Done | Status::Failed | Status::Cancelled
        ) {
            return Err("already-final");
        }
        if task.status == Status::Review {
            task.approval = Some((task.attempt, ApprovalStatus::Cancelled));
        }
        // its lease stays known, so that the runner can be told
        task.status = Status::Cancelled;
        Ok(())
    }

    fn retry(&mut self, by: Who, id: usize, flag: Option<bool>) -> Result<(), No> {
        self.see(by, id)?;
        self.own(by, id)?;
        let old = &self.tasks[id];
        allow(!(old.gated && flag == Some(false)) || by.is_agent() || by.decides())?;
        allow(!(old.wish.auto_run && by.is_agent()))?;
        if !is_dead(old.status) {
            return Err("not-retryable");
        }
        if old.retried_by.is_some() {
            return Err("already-retried");
        }
        let wish = Wish {
            flag: flag.unwrap_or(old.gated),
            ..old.wish.clone()
        };
        self.create(by, &wish)?;
        let new = self.tasks.len() - 1;
        self.tasks[new].retry_of = Some(id);
        self.tasks[id].retried_by = Some(new);
        Ok(())
    }

    fn expire(&mut self, id: usize) {
        if !self.is_held(id) {
            return;
        }
        let task = &mut self.tasks[id];
        let heard = task.lease.take().is_some_and(|l| l.heard);
        if !heard {
            task.attempt -= 1;
        } else if task.attempt == task.wish.max_attempts {
            self.end(id, Status::Failed);
        }
    }

    fn delete_desktop(&mut self, by: Who, desktop: usize) -> Result<(), No> {
        allow(by.is_human())?;
        if self.deleted.contains(&desktop) {
            return Err("not-found");
        }
        self.deleted.push(desktop);
        for id in 0..self.tasks.len() {
            match self.tasks[id].status {
                Status::Running if self.tasks[id].wish.desktop == desktop => {
                    self.end(id, Status::Failed);
                }
                Status::Pending if self.tasks[id].wish.desktop == desktop => {
                    self.end(id, Status::Cancelled);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn end(&mut self, id: usize, status: Status) {
        self.tasks[id].status = status;
        self.tasks[id].lease = None;
    }

    /// Dependents start or are cancelled, onward until nothing more follows.
    fn follow(&mut self) {
        let mut again = true;
        while again {
            again = false;
            for id in 0..self.tasks.len() {
                let task = &self.tasks[id];
                if task.status != Status::Pending {
                    continue;
                }
                let blocked_by = self.blocked_by(id);
                let dead = blocked_by.iter().any(|p| is_dead(self.tasks[*p].status));
                if dead && task.wish.dies_with_parent {
                    self.tasks[id].status = Status::Cancelled;
                    again = true;
                } else if task.wish.auto_run && blocked_by.is_empty() {
                    self.queue(id);
                }
            }
        }
    }

    fn is_held(&self, id: usize) -> bool {
        self.tasks[id].status == Status::Running && self.tasks[id].lease.is_some()
    }

    /// An agent sees its desktop and the direct dependencies of the tasks there.
    fn see(&self, by: Who, id: usize) -> Result<(), No> {
        let Who::Agent(desktop) = by else {
            return Ok(());
        };
        let own = |t: &&Task| t.wish.desktop == desktop;
        let wanted = self.newest(id);
        let mut parents = self.tasks.iter().filter(own).flat_map(|t| &t.wish.parents);
        if self.tasks[id].wish.desktop == desktop || parents.any(|p| self.newest(*p) == wanted) {
            Ok(())
        } else {
            Err("not-found")
        }
    }

    /// An agent withdraws and retries only what an agent of its desktop created.
    fn own(&self, by: Who, id: usize) -> Result<(), No> {
        let Who::Agent(desktop) = by else {
            return Ok(());
        };
        if self.tasks[id].wish.desktop != desktop {
            return Err("invalid");
        }
        allow(self.tasks[id].by_agent)
    }
}

fn allow(allowed: bool) -> Result<(), No> {
    if allowed { Ok(()) } else { Err("forbidden") }
}

fn is_dead(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Cancelled)
}
