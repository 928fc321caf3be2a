//! Identifiers: a prefix and a UUIDv7 in base32, sortable by time (TypeID).

use type_safe_id::{StaticType, TypeSafeId};

macro_rules! ids {
    ($($(#[$doc:meta])* $id:ident, $tag:ident, $prefix:literal;)+) => {$(
        #[doc(hidden)]
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $tag;

        impl StaticType for $tag {
            const TYPE: &'static str = $prefix;
        }

        $(#[$doc])*
        pub type $id = TypeSafeId<$tag>;
    )+};
}

ids! {
    /// An account: a world of its own (`acct_…`).
    AccountId, AccountTag, "acct";
    /// A task (`task_…`).
    TaskId, TaskTag, "task";
    /// An approval (`appr_…`).
    ApprovalId, ApprovalTag, "appr";
    /// A desktop (`desk_…`).
    DesktopId, DesktopTag, "desk";
    /// An API key (`key_…`); the id is public, the key text is not.
    KeyId, KeyTag, "key";
    /// A person with a login (`user_…`).
    UserId, UserTag, "user";
    /// A login of a person (`sess_…`); the id is public, the text in the cookie is not.
    SessionId, SessionTag, "sess";
}
