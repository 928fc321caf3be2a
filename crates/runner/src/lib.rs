//! Countersign: runner.
