//! Keeps a task away from everything but its work folder and what a build needs.
