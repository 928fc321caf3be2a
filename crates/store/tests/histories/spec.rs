//! What one task of an account answers when it is asked by one client after the other: sections 1, 3 and 5
//! of the contract, for what the clients here do.

use approval_core::{ApprovalStatus, Status};

/// What is asked. Lease tokens are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Task Approval Mode of the account.
    Mode(bool),
    Run,
    /// A claim that was given this task, or may have been.
    Claim(usize),
    Heartbeat(usize),
    /// The end of an attempt, and whether it succeeded.
    Complete(usize, bool),
    /// A decision, and whether it approves.
    Decide(bool),
    Cancel,
    Read,
    /// Time runs out for the holder of a lease; nobody asks for it.
    Expire(usize),
}

/// What a task looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    pub status: Status,
    pub attempt: u32,
    pub gated: bool,
    pub approval: Option<ApprovalStatus>,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The mode was set, or a lease ended.
    Done,
    Task(View),
    /// The lease is renewed, unless the task was withdrawn.
    Beat {
        cancel_requested: bool,
    },
    NotPending(Status),
    NotInReview(Status),
    AlreadyDecided(ApprovalStatus),
    AlreadyFinal(Status),
    LeaseLost,
    AlreadyCompleted,
    /// Nothing that the contract knows: no order explains it.
    Failure,
}

impl Answer {
    /// Whether nothing has changed by what was asked.
    pub fn is_refusal(self) -> bool {
        match self {
            Self::Done | Self::Task(_) | Self::Beat { .. } => false,
            Self::NotPending(_)
            | Self::NotInReview(_)
            | Self::AlreadyDecided(_)
            | Self::AlreadyFinal(_)
            | Self::LeaseLost
            | Self::AlreadyCompleted
            | Self::Failure => true,
        }
    }
}

/// A runner's hold on the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lease {
    token: usize,
    heard: bool,
}

/// The task and what of its account matters to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    mode: bool,
    status: Status,
    gated: bool,
    attempt: u32,
    lease: Option<Lease>,
    /// The token that completed it, and whether it said that it succeeded.
    completed: Option<(usize, bool)>,
    approval: Option<ApprovalStatus>,
}

impl State {
    /// A new task in an account whose mode is off.
    pub fn pending(requires_approval: bool) -> Self {
        Self {
            mode: false,
            status: Status::Pending,
            gated: requires_approval,
            attempt: 0,
            lease: None,
            completed: None,
            approval: None,
        }
    }

    /// The answer, and the state after it; `None` when this cannot have happened now.
    pub fn apply(mut self, op: Op) -> Option<(Self, Answer)> {
        let answer = match op {
            Op::Mode(on) => {
                self.mode = on;
                Answer::Done
            }
            Op::Run => self.run(),
            Op::Claim(token) => self.claim(token)?,
            Op::Heartbeat(token) => self.heartbeat(token),
            Op::Complete(token, succeeded) => self.complete(token, succeeded),
            Op::Decide(approve) => self.decide(approve),
            Op::Cancel => self.cancel(),
            Op::Read => self.view(),
            Op::Expire(token) => self.expire(token)?,
        };
        Some((self, answer))
    }

    fn view(&self) -> Answer {
        let open = matches!(self.status, Status::Pending | Status::Running);
        Answer::Task(View {
            status: self.status,
            attempt: self.attempt,
            gated: self.gated || open && self.mode,
            approval: self.approval,
        })
    }

    fn run(&mut self) -> Answer {
        if self.status != Status::Pending {
            return Answer::NotPending(self.status);
        }
        self.status = Status::Running;
        self.view()
    }

    fn claim(&mut self, token: usize) -> Option<Answer> {
        if self.status != Status::Running || self.lease.is_some() {
            return None;
        }
        self.attempt += 1;
        self.gated |= self.mode;
        self.lease = Some(Lease {
            token,
            heard: false,
        });
        Some(self.view())
    }

    fn holds(&self, token: usize) -> bool {
        self.lease.is_some_and(|lease| lease.token == token)
    }

    fn heartbeat(&mut self, token: usize) -> Answer {
        if self.holds(token) && self.status == Status::Cancelled {
            return Answer::Beat {
                cancel_requested: true,
            };
        }
        if !self.holds(token) || self.status != Status::Running {
            return Answer::LeaseLost;
        }
        self.lease = Some(Lease { token, heard: true });
        Answer::Beat {
            cancel_requested: false,
        }
    }

    fn complete(&mut self, token: usize, succeeded: bool) -> Answer {
        if let Some((by, said)) = self.completed
            && by == token
        {
            return if said == succeeded {
                self.view()
            } else {
                Answer::AlreadyCompleted
            };
        }
        if !self.holds(token) || self.status != Status::Running {
            return Answer::LeaseLost;
        }
        self.completed = Some((token, succeeded));
        self.lease = None;
        self.gated |= self.mode;
        self.status = match (succeeded, self.gated) {
            (false, _) => Status::Failed,
            (true, false) => Status::Done,
            (true, true) => {
                self.approval = Some(ApprovalStatus::Pending);
                Status::Review
            }
        };
        self.view()
    }

    fn decide(&mut self, approve: bool) -> Answer {
        match self.approval {
            None => Answer::NotInReview(self.status),
            Some(ApprovalStatus::Pending) => {
                (self.status, self.approval) = if approve {
                    (Status::Done, Some(ApprovalStatus::Approved))
                } else {
                    (Status::Failed, Some(ApprovalStatus::Rejected))
                };
                self.view()
            }
            Some(decided) => Answer::AlreadyDecided(decided),
        }
    }

    fn cancel(&mut self) -> Answer {
        match self.status {
            Status::Done | Status::Failed | Status::Cancelled => {
                return Answer::AlreadyFinal(self.status);
            }
            Status::Review => self.approval = Some(ApprovalStatus::Cancelled),
            Status::Pending | Status::Running => {}
        }
        self.status = Status::Cancelled;
        self.view()
    }

    /// The task is offered again; an attempt of which nothing was heard does not count.
    fn expire(&mut self, token: usize) -> Option<Answer> {
        let lease = self.lease.filter(|lease| lease.token == token)?;
        if self.status != Status::Running {
            return None;
        }
        self.attempt -= u32::from(!lease.heard);
        self.lease = None;
        Some(Answer::Done)
    }
}
