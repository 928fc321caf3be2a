//! The table of all calls. From it come the registration, the authorisation of each call, the
//! tests over all calls, and what `/openapi.json` says about refusals: a call without a row does
//! not exist.

use actix_web::http::Method;
use actix_web::middleware::{Compat, Compress, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, Responder, guard};
use approval_core::Capability::{
    self, ApprovalsDecide, DesktopsWrite, KeysWrite, SettingsWrite, TasksRead, TasksRun, TasksWrite,
};
use contract::Code;
use utoipa::OpenApi;

use crate::gate;
use crate::pages::{
    account, approvals_panel, board, changes, decision, desktop_list, entry, key_list, log,
    new_task, sign_in, steps, switches, task,
};
use crate::rest::{
    activity, approvals, dashboard, decisions, desktops, evidence, health, keys, runner, settings,
    tasks,
};

/// The methods there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `POST`.
    Post,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl Verb {
    /// The name of the method.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// What an `Allow` header says.
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Get => "GET, HEAD",
            Self::Post | Self::Patch | Self::Delete => self.as_str(),
        }
    }

    fn takes(self, method: &Method) -> bool {
        method.as_str() == self.as_str() || (self == Self::Get && method == Method::HEAD)
    }
}

/// Who may make a call (contract section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a credential.
    Public,
    /// Whoever has the capability; an agent, within its world.
    Capability(Capability),
    /// Whoever has one of them; the state of the task decides which one is needed.
    AnyOf(&'static [Capability]),
    /// Whoever has the capability and sees the whole account: never an agent.
    Account(Capability),
    /// The agent key of the desktop.
    Runner,
    /// A person who is signed in: what belongs to a person and not to the account.
    Person,
}

/// For whom a call answers, refusals included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Programs: JSON and problem documents.
    Rest,
    /// People: pages and parts of them.
    Page,
}

impl Access {
    /// Whether the call is a decision, which has a budget of its own.
    pub(crate) fn is_decision(self) -> bool {
        self == Self::Capability(ApprovalsDecide)
    }
}

/// A call.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Its method.
    pub verb: Verb,
    /// Its path; `{id}` and the like stand for one segment.
    pub path: &'static str,
    /// Who may make it.
    pub access: Access,
    /// For whom it answers.
    pub surface: Surface,
    /// How it may be refused, beyond what its access, path, query and body bring with them.
    pub refusals: &'static [Code],
}

/// Registers a handler behind the gate of its row.
fn guarded<F, Args>(route: &'static Route, handler: F) -> actix_web::Route
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let guarded = web::route()
        .guard(guard::fn_guard(|context| {
            route.verb.takes(&context.head().method)
        }))
        .to(handler)
        .wrap(from_fn(move |request, next| {
            gate::gate(route, request, next)
        }));
    match route.surface {
        Surface::Rest => guarded,
        Surface::Page => guarded.wrap(Compat::new(Compress::default())),
    }
}

macro_rules! routes {
    (
        calls { $($path:literal { $($verb:ident $module:ident::$handler:ident, $access:expr, [$($code:ident)*];)+ })+ }
        also at { $($alias:literal { $($alias_verb:ident $alias_module:ident::$alias_handler:ident, $alias_access:expr, [$($alias_code:ident)*];)+ })+ }
        pages { $($page:literal { $($page_verb:ident $page_module:ident::$page_handler:ident, $page_access:expr;)+ })+ }
    ) => {
        /// Every page of the dashboard, every part of one, and every form.
        pub const PAGES: &[Route] = &[
            $($(Route { verb: Verb::$page_verb, path: $page, access: $page_access, surface: Surface::Page, refusals: &[] },)+)+
        ];

        /// Every call of the REST API.
        pub const ROUTES: &[Route] = &[
            $($(Route { verb: Verb::$verb, path: $path, access: $access, surface: Surface::Rest, refusals: &[$(Code::$code),*] },)+)+
            $($(Route { verb: Verb::$alias_verb, path: $alias, access: $alias_access, surface: Surface::Rest, refusals: &[$(Code::$alias_code),*] },)+)+
        ];

        /// Registers every call.
        pub(crate) fn register(config: &mut ServiceConfig) {
            routes!(@register config Rest { $($path { $($verb $module::$handler, $access, [$($code)*];)+ })+ });
            routes!(@register config Rest { $($alias { $($alias_verb $alias_module::$alias_handler, $alias_access, [$($alias_code)*];)+ })+ });
        }

        /// Registers every page.
        pub(crate) fn register_pages(config: &mut ServiceConfig) {
            routes!(@register config Page { $($page { $($page_verb $page_module::$page_handler, $page_access, [];)+ })+ });
        }

        /// The operations as their handlers describe them.
        #[derive(OpenApi)]
        #[openapi(paths($($($module::$handler),+),+))]
        pub(crate) struct Operations;
    };
    (@register $config:ident $surface:ident { $($path:literal { $($verb:ident $module:ident::$handler:ident, $access:expr, [$($code:ident)*];)+ })+ }) => {$(
        $config.service(
            web::resource($path)
                $(.route({
                    static ROUTE: Route = Route { verb: Verb::$verb, path: $path, access: $access, surface: Surface::$surface, refusals: &[$(Code::$code),*] };
                    guarded(&ROUTE, $module::$handler)
                }))+
                .default_service(web::to(gate::unknown_method)),
        );
    )+};
}

routes! {
    calls {
        "/healthz" { Get health::live, Access::Public, []; }
        "/readyz" { Get health::ready, Access::Public, []; }
        "/openapi.json" { Get health::openapi, Access::Public, []; }

        "/api/mission-control/tasks" {
            Get tasks::list, Access::Capability(TasksRead), [];
            Post tasks::create, Access::Capability(TasksWrite), [InvalidTask];
        }
        "/api/mission-control/tasks/{id}" { Get tasks::get, Access::Capability(TasksRead), []; }
        "/api/mission-control/tasks/{id}/run" {
            Post tasks::run, Access::Capability(TasksRun), [NotPending Blocked];
        }
        "/api/mission-control/tasks/{id}/cancel" {
            Post tasks::cancel, Access::AnyOf(&[TasksWrite, ApprovalsDecide]), [AlreadyFinal];
        }
        "/api/mission-control/tasks/{id}/retry" {
            Post tasks::retry, Access::Capability(TasksWrite), [NotRetryable AlreadyRetried InvalidTask];
        }
        "/api/mission-control/tasks/{id}/review" {
            Post decisions::review, Access::Capability(ApprovalsDecide),
                [AlreadyDecided NotInReview EvidenceMismatch EvidenceRequired InvalidDecision];
        }
        "/api/mission-control/tasks/{id}/output" { Get evidence::output, Access::Capability(TasksRead), [Pruned]; }
        "/api/mission-control/tasks/{id}/logs" {
            Get evidence::logs, Access::Capability(TasksRead), [Pruned];
            Post runner::logs, Access::Runner, [LeaseLost InvalidLogs];
        }
        "/api/mission-control/tasks/{id}/logs/stream" {
            Get evidence::log_stream, Access::Capability(TasksRead), [Pruned];
        }
        "/api/mission-control/tasks/{id}/files" {
            Get evidence::files, Access::Capability(TasksRead), [Pruned];
            Post runner::files, Access::Runner, [LeaseLost InvalidFiles];
        }
        "/api/mission-control/tasks/{id}/files/{n}/raw" {
            Get evidence::raw, Access::Capability(TasksRead), [Pruned];
        }
        "/api/mission-control/tasks/{id}/files/{n}/diff" {
            Get evidence::diff, Access::Capability(TasksRead), [Pruned];
        }
        "/api/mission-control/tasks/{id}/evidence" { Get evidence::sealed, Access::Capability(TasksRead), []; }
        "/api/mission-control/tasks/{id}/heartbeat" { Post runner::heartbeat, Access::Runner, [LeaseLost]; }
        "/api/mission-control/tasks/{id}/complete" {
            Post runner::complete, Access::Runner, [LeaseLost AlreadyCompleted LogsIncomplete InvalidCompletion];
        }

        "/api/mission-control/approvals" { Get approvals::list, Access::Capability(TasksRead), []; }
        "/api/mission-control/approvals/{id}" { Get approvals::get, Access::Capability(TasksRead), []; }
        "/api/mission-control/approvals/{id}/resolve" {
            Post decisions::resolve, Access::Capability(ApprovalsDecide),
                [AlreadyDecided NotInReview EvidenceMismatch EvidenceRequired InvalidDecision];
        }

        "/api/mission-control/settings" {
            Get settings::get, Access::Account(TasksRead), [];
            Patch settings::change, Access::Capability(SettingsWrite), [];
        }
        "/api/mission-control/dashboard" { Get dashboard::get, Access::Account(TasksRead), []; }
        "/api/mission-control/activity" { Get activity::list, Access::Account(TasksRead), []; }
        "/api/mission-control/activity/stream" { Get activity::stream, Access::Account(TasksRead), []; }

        "/api/desktops" {
            Get desktops::list, Access::Account(TasksRead), [];
            Post desktops::create, Access::Capability(DesktopsWrite), [InvalidDesktop];
        }
        "/api/desktops/{id}" {
            Get desktops::get, Access::Account(TasksRead), [];
            Delete desktops::delete, Access::Capability(DesktopsWrite), [];
        }
        "/api/desktops/{id}/claim" { Post runner::claim, Access::Runner, []; }

        "/api/auth/api-keys" {
            Get keys::list, Access::Capability(KeysWrite), [];
            Post keys::create, Access::Capability(KeysWrite), [InvalidKey SecretNotRepeatable];
        }
        "/api/auth/api-keys/{id}" { Delete keys::revoke, Access::Capability(KeysWrite), []; }
    }
    // the runner calls of a task, beside its desktop's claim
    also at {
        "/api/desktops/{desktop}/tasks/{id}/heartbeat" { Post runner::heartbeat, Access::Runner, [LeaseLost]; }
        "/api/desktops/{desktop}/tasks/{id}/logs" { Post runner::logs, Access::Runner, [LeaseLost InvalidLogs]; }
        "/api/desktops/{desktop}/tasks/{id}/files" { Post runner::files, Access::Runner, [LeaseLost InvalidFiles]; }
        "/api/desktops/{desktop}/tasks/{id}/complete" {
            Post runner::complete, Access::Runner, [LeaseLost AlreadyCompleted LogsIncomplete InvalidCompletion];
        }
    }
    pages {
        "/" { Get entry::home, Access::Account(TasksRead); }
        "/assets/{name}" { Get entry::asset, Access::Public; }
        "/sign-in" { Get sign_in::form, Access::Public; Post sign_in::by_password, Access::Public; }
        "/sign-in/link" { Post sign_in::by_link, Access::Public; }
        "/sign-out" { Post account::sign_out, Access::Person; }
        "/sign-out/everywhere" { Post account::sign_out_everywhere, Access::Person; }

        "/board" { Get board::page, Access::Account(TasksRead); }
        "/board/columns" { Get board::columns, Access::Account(TasksRead); }
        "/board/older" { Get board::older, Access::Account(TasksRead); }

        "/approvals" { Get approvals_panel::page, Access::Account(TasksRead); }
        "/approvals/list" { Get approvals_panel::list, Access::Account(TasksRead); }

        "/tasks/new" {
            Get new_task::form, Access::Capability(TasksWrite);
            Post new_task::create, Access::Capability(TasksWrite);
        }
        "/tasks/{id}" { Get task::page, Access::Account(TasksRead); }
        "/tasks/{id}/facts" { Get task::facts, Access::Account(TasksRead); }
        "/tasks/{id}/run" { Post steps::run, Access::Capability(TasksRun); }
        "/tasks/{id}/cancel" {
            Get steps::confirm_cancel, Access::AnyOf(&[TasksWrite, ApprovalsDecide]);
            Post steps::cancel, Access::AnyOf(&[TasksWrite, ApprovalsDecide]);
        }
        "/tasks/{id}/retry" {
            Get steps::retry_form, Access::Capability(TasksWrite);
            Post steps::retry, Access::Capability(TasksWrite);
        }
        "/tasks/{id}/decide" {
            Get decision::confirm, Access::Capability(ApprovalsDecide);
            Post decision::decide, Access::Capability(ApprovalsDecide);
        }

        "/desktops" {
            Get desktop_list::page, Access::Account(TasksRead);
            Post desktop_list::add, Access::Capability(DesktopsWrite);
        }
        "/desktops/list" { Get desktop_list::list, Access::Account(TasksRead); }
        "/desktops/{id}/remove" {
            Get desktop_list::confirm_removal, Access::Capability(DesktopsWrite);
            Post desktop_list::remove, Access::Capability(DesktopsWrite);
        }

        "/activity" { Get log::page, Access::Account(TasksRead); }
        "/activity/list" { Get log::list, Access::Account(TasksRead); }

        "/settings/mission-control" {
            Get switches::page, Access::Account(TasksRead);
            Post switches::change, Access::Capability(SettingsWrite);
        }
        "/settings/account" { Get account::page, Access::Person; }
        "/settings/account/password" { Post account::set_password, Access::Person; }
        "/settings/account/sessions/{id}/end" { Post account::end_session, Access::Person; }
        "/settings/api-keys" {
            Get key_list::page, Access::Capability(KeysWrite);
            Post key_list::create, Access::Capability(KeysWrite);
        }
        "/settings/api-keys/{id}/revoke" {
            Get key_list::confirm_revocation, Access::Capability(KeysWrite);
            Post key_list::revoke, Access::Capability(KeysWrite);
        }

        "/live" { Get changes::stream, Access::Account(TasksRead); }
    }
}
