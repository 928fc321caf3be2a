#![doc = include_str!("../README.md")]

mod assets;
mod auth;
mod call;
mod clock;
mod connections;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gate;
mod large;
mod limits;
mod live;
mod metrics;
mod observe;
mod openapi;
mod page;
mod pages;
mod problem;
mod render;
mod request;
#[expect(
    unused_qualifications,
    reason = "utoipa writes whole paths into the code it generates"
)]
mod rest;
mod routes;
mod server;
mod show;
mod state;
mod vocabulary;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

pub use auth::{Cidr, password};
pub use metrics::Metrics;
pub use openapi::openapi;
pub use routes::{Access, PAGES, ROUTES, Route, Surface, Verb};
pub use server::{ServeConfig, serve};
pub use state::{AppState, WebConfig};

/// Everything the server answers, for an [`actix_web::App`] of one's own. Whoever uses this
/// instead of [`serve`] also keeps [`AppState::run`] going.
pub fn configure(state: &AppState) -> impl FnOnce(&mut ServiceConfig) + use<> {
    let state = state.clone();
    move |config| {
        let all = web::scope("")
            .app_data(web::Data::new(state))
            .wrap(from_fn(observe::observe))
            .configure(routes::register)
            .configure(routes::register_pages)
            .default_service(web::to(gate::unknown_path));
        config.service(all);
    }
}
