//! The server over HTTP, on both engines.

mod authz;
mod bodies;
mod live;
mod logs;
mod mission;
mod paths;
mod world;
