//! What a task changed in its folder.
