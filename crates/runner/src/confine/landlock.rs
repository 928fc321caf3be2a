//! Grants as rules of Landlock.

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    PathFdError, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    make_bitflags,
};

use super::grants::{Access, Grant};

/// The rights that are taken, where the kernel knows them. Version 9 is the last that adds rights
/// on files; what later ones may add has to be thought about first.
const RIGHTS: ABI = ABI::V9;
/// What is demanded of a kernel.
const LEAST: ABI = ABI::V1;

/// Why this process cannot be restricted.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestrictError {
    #[error(transparent)]
    Rules(#[from] RulesetError),
    #[error(transparent)]
    Path(#[from] PathFdError),
    #[error("the kernel does not enforce it")]
    NotEnforced,
}

/// Takes all rights from this thread and what it starts, except for the grants, for good. Network
/// connections are not restricted: agents need them.
///
/// # Errors
/// When a grant is gone meanwhile, or the kernel refuses. The process is not to go on then.
pub(super) fn restrict(grants: &[Grant]) -> Result<(), RestrictError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(LEAST))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .scope(Scope::from_all(RIGHTS))?
        .create()?;
    for Grant { path, access } in grants {
        let rights = if path.is_dir() {
            rights(*access)
        } else {
            rights(*access) & AccessFs::from_file(RIGHTS)
        };
        rules = rules.add_rule(PathBeneath::new(PathFd::new(path)?, rights))?;
    }
    // Sets no_new_privs too, without which a set-user-id program had its old rights.
    let status = rules.restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err(RestrictError::NotEnforced);
    }
    Ok(())
}

fn rights(access: Access) -> BitFlags<AccessFs> {
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    // Work needs no new devices, and for root a device is a way to all files of a disk.
    let devices = make_bitflags!(AccessFs::{MakeChar | MakeBlock | IoctlDev});
    match access {
        Access::Read => read | AccessFs::ResolveUnix,
        Access::Execute => read | AccessFs::Execute,
        Access::Write => AccessFs::from_all(RIGHTS) & !devices,
        Access::Device => read | make_bitflags!(AccessFs::{WriteFile | Truncate}),
    }
}
