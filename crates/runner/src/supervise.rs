//! Follows all processes of a task to their end.
