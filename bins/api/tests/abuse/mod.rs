//! Abuse of the HTTP side (rows E6 and E7 of the guarantees): requests that never end, that are too
//! large, and that two readers would read in two ways.

mod giant;
mod slow;
mod smuggle;
mod wire;
