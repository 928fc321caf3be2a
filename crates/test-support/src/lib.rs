//! Countersign: test-support.
