//! The dashboard: pages for people, one file a page. A handler parses, calls the store by the same
//! commands and reads as REST, fills a struct of `view` and renders it.
//!
//! Every page works without script: links, forms, and a redirect after each change. The script
//! asks for parts of pages with the header `HX-Request`.

pub(crate) mod account;
pub(crate) mod approvals_panel;
pub(crate) mod board;
pub(crate) mod changes;
pub(crate) mod decision;
pub(crate) mod desktop_list;
pub(crate) mod entry;
pub(crate) mod key_list;
pub(crate) mod log;
pub(crate) mod new_task;
pub(crate) mod sign_in;
pub(crate) mod steps;
pub(crate) mod switches;
pub(crate) mod task;

mod events;
mod fields;
mod frame;
mod html;
mod material;
mod search;
mod translate;
mod view;

pub(crate) use fields::LIMIT as FORM_LIMIT;
pub(crate) use html::refusal;
