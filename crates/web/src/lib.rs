//! Countersign: web.
