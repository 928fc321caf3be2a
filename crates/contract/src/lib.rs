//! Countersign: contract.
