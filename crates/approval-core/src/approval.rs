//! The one decision about one attempt of one task.

use crate::codes::codes;
use crate::digest::Digest;
use crate::gate::{GateReason, Settings};
use crate::id::{ApprovalId, TaskId};
use crate::principal::{Identity, Reviewer};
use crate::refusal::{Invalid, Refusal};
use crate::timestamp::Timestamp;

/// Longest feedback in characters.
pub const MAX_FEEDBACK: usize = 10_000;

codes! {
    /// What a reviewer says.
    Decision {
        /// The work takes effect: the task is done.
        Approve = "approve",
        /// The work is refused: the task has failed.
        Reject = "reject",
    }
}

codes! {
    /// Where an approval stands.
    ApprovalStatus {
        /// Nobody has decided.
        Pending = "pending",
        /// A person approved.
        Approved = "approved",
        /// A person rejected.
        Rejected = "rejected",
        /// A person withdrew the task instead of deciding.
        Cancelled = "cancelled",
    }
}

impl ApprovalStatus {
    /// The decision behind this status, if it is one.
    pub const fn decision(self) -> Option<Decision> {
        match self {
            Self::Approved => Some(Decision::Approve),
            Self::Rejected => Some(Decision::Reject),
            Self::Pending | Self::Cancelled => None,
        }
    }
}

/// What a reviewer wrote: 1 to 10,000 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Feedback(String);

impl Feedback {
    /// `None` for blank text, which says nothing.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] above [`MAX_FEEDBACK`] characters.
    pub fn new(text: &str) -> Result<Option<Self>, Refusal> {
        if text.chars().count() > MAX_FEEDBACK {
            return Err(Refusal::Invalid {
                what: Invalid::Decision,
                field: "feedback",
                reason: format!("has more than {MAX_FEEDBACK} characters"),
            });
        }
        Ok(if text.trim().is_empty() {
            None
        } else {
            Some(Self(text.to_owned()))
        })
    }

    /// The text as the reviewer wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request to decide, as it comes from `review` or `resolve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRequest {
    /// Approve or reject.
    pub decision: Decision,
    /// What the reviewer wrote.
    pub feedback: Option<String>,
    /// The digest of the evidence the reviewer looked at; a bare decision binds to the sealed one.
    pub evidence_sha256: Option<String>,
}

impl DecisionRequest {
    /// Approves whatever was sealed, without words.
    pub const fn approve() -> Self {
        Self {
            decision: Decision::Approve,
            feedback: None,
            evidence_sha256: None,
        }
    }

    /// Rejects whatever was sealed, and says why.
    pub fn reject(feedback: impl Into<String>) -> Self {
        Self {
            decision: Decision::Reject,
            feedback: Some(feedback.into()),
            evidence_sha256: None,
        }
    }
}

/// Who ended the waiting, when and with which words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Decided {
    /// The person.
    pub by: Identity,
    /// When.
    pub at: Timestamp,
    /// What they wrote.
    pub feedback: Option<Feedback>,
}

/// A request for a person's decision about one sealed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The task that waits.
    pub task: TaskId,
    /// The attempt that was sealed.
    pub attempt: u32,
    /// Why it was gated.
    pub reason: GateReason,
    /// The digest of the sealed evidence.
    pub evidence_sha256: Digest,
    /// When the task entered review.
    pub created_at: Timestamp,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// Who ended the waiting; `None` while pending, never changed afterwards.
    pub decided: Option<Decided>,
}

impl Approval {
    /// Applies a decision to a pending approval.
    ///
    /// # Errors
    /// In the order of contract section 0: already decided, evidence missing, evidence
    /// different, feedback too long.
    pub(crate) fn decide(
        &mut self,
        reviewer: &Reviewer,
        request: &DecisionRequest,
        settings: Settings,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.check_pending()?;
        self.check_evidence(request.evidence_sha256.as_deref(), settings)?;
        let feedback = request
            .feedback
            .as_deref()
            .map(Feedback::new)
            .transpose()?
            .flatten();
        self.status = match request.decision {
            Decision::Approve => ApprovalStatus::Approved,
            Decision::Reject => ApprovalStatus::Rejected,
        };
        self.decided = Some(Decided {
            by: reviewer.identity().clone(),
            at: now,
            feedback,
        });
        Ok(())
    }

    /// Ends a pending approval because the task was withdrawn.
    ///
    /// # Errors
    /// [`Refusal::AlreadyDecided`].
    pub(crate) fn cancel(&mut self, reviewer: &Reviewer, now: Timestamp) -> Result<(), Refusal> {
        self.check_pending()?;
        self.status = ApprovalStatus::Cancelled;
        self.decided = Some(Decided {
            by: reviewer.identity().clone(),
            at: now,
            feedback: None,
        });
        Ok(())
    }

    /// A decided approval never changes.
    fn check_pending(&self) -> Result<(), Refusal> {
        if self.status == ApprovalStatus::Pending {
            Ok(())
        } else {
            Err(Refusal::AlreadyDecided {
                approval: Box::new(self.clone()),
            })
        }
    }

    fn check_evidence(&self, named: Option<&str>, settings: Settings) -> Result<(), Refusal> {
        match named {
            None if settings.require_evidence => Err(Refusal::EvidenceRequired),
            None => Ok(()),
            Some(text) if text.parse() == Ok(self.evidence_sha256) => Ok(()),
            Some(_) => Err(Refusal::EvidenceMismatch {
                sealed: self.evidence_sha256,
            }),
        }
    }
}
