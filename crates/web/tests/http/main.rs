//! The server over HTTP, on both engines.

mod attempt;
mod authz;
mod bodies;
mod bound;
mod diffs;
mod headers;
mod live;
mod logs;
mod mission;
mod origin;
mod page_authz;
mod page_live;
mod pages;
mod paths;
mod people;
mod pruned;
mod safe;
mod sessions;
mod shown;
mod spoofs;
mod stored;
mod tenants;
mod world;
