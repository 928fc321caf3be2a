//! Local sockets, which Landlock does not know before ABI 9.

use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Takes local sockets (`AF_UNIX`) from this thread and what it becomes, for good: whoever takes orders
/// on one (a terminal multiplexer, the user's service manager, a container daemon) would act outside.
/// Pairs of connected sockets, which programs use among themselves, stay. So that nothing goes round
/// by it, `io_uring` is refused too.
///
/// # Errors
/// When the kernel does not take the filter.
pub(super) fn give_up() -> io::Result<()> {
    let program = program().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let family = u64::try_from(libc::AF_UNIX).unwrap_or_default();
    let is_local = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, family)?;
    let rules = [
        (libc::SYS_socket, vec![SeccompRule::new(vec![is_local])?]),
        (libc::SYS_io_uring_setup, Vec::new()),
    ];
    let refused = u32::try_from(libc::EACCES).unwrap_or_default();
    SeccompFilter::new(
        rules.into_iter().collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(refused),
        std::env::consts::ARCH.try_into()?,
    )?
    .try_into()
}
