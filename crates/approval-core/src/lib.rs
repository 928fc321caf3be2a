//! Countersign: approval-core.
