//! The server over HTTP, on both engines.

mod authz;
mod bodies;
mod bound;
mod live;
mod logs;
mod mission;
mod origin;
mod page_authz;
mod page_live;
mod pages;
mod paths;
mod people;
mod sessions;
mod world;
