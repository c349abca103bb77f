//! The one list of routes. A route enters only with its permission, so the table is whole by construction.

use std::collections::BTreeMap;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodRouter, get};
use psyche_core::permission::Permission;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::access::guard;
use crate::api::{
    account, analysis, audit, auth, casts, comparison, configuration, docs, exports, forks, health, history, judge,
    models, participants, privacy, providers, second_factor, sessions, setup, system, tickets, timeline, users,
};
use crate::app::Shared;
use crate::error::{ApiError, ErrorKind};
use crate::live;
use crate::memory;

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub method: &'static str,
    pub path: String,
    pub permission: Permission,
}

pub struct Routes {
    router: OpenApiRouter<Shared>,
    pub rows: Vec<Row>,
}

/// Every route of the server.
pub fn all() -> Routes {
    use Permission as P;
    Routes { router: OpenApiRouter::new(), rows: Vec::new() }
        .add(P::Public, routes!(health::health))
        .add(P::Public, routes!(health::live))
        .add(P::Public, routes!(health::ready))
        // Asks for itself: a scrape token is no access token.
        .add(P::Public, routes!(health::metrics))
        .alias(P::Public, "/health", get(health::health))
        .alias(P::Public, "/live", get(health::live))
        .alias(P::Public, "/ready", get(health::ready))
        .alias(P::Public, "/api/openapi.json", get(docs::document))
        .alias(P::Public, "/api/docs", get(docs::swagger))
        .alias(P::Public, "/api/redoc", get(docs::redoc))
        .alias(P::Public, "/api/viewers/{file}", get(docs::asset))
        .add(P::Public, routes!(setup::state))
        .add(P::Public, routes!(setup::set_up))
        .add(P::Public, routes!(auth::register))
        .add(P::Public, routes!(auth::login))
        .add(P::Public, routes!(auth::refresh))
        .add(P::Public, routes!(account::reset_password))
        .add(P::OwnAccount, routes!(auth::logout))
        .add(P::OwnAccount, routes!(account::me))
        .add(P::OwnAccount, routes!(account::change_me))
        .add(P::OwnAccount, routes!(account::change_password))
        .add(P::OwnAccount, routes!(account::devices))
        .add(P::OwnAccount, routes!(account::end_devices))
        .add(P::OwnAccount, routes!(account::end_device))
        .add(P::OwnAccount, routes!(second_factor::enrol))
        .add(P::OwnAccount, routes!(second_factor::confirm))
        .add(P::OwnAccount, routes!(second_factor::disable))
        .add_heavy(P::OwnAccount, routes!(privacy::export))
        .add(P::OwnAccount, routes!(privacy::erase))
        .add(P::OwnAccount, routes!(tickets::issue))
        .add(P::UserAdmin, routes!(users::list))
        .add(P::UserAdmin, routes!(users::create))
        .add(P::UserAdmin, routes!(users::get))
        .add(P::UserAdmin, routes!(users::change))
        .add(P::UserAdmin, routes!(users::erase))
        .add(P::UserAdmin, routes!(users::unlock))
        .add(P::UserAdmin, routes!(users::reset_password))
        .add(P::AuditRead, routes!(audit::rows))
        .add(P::AuditRead, routes!(audit::verify))
        .add(P::SecurityAdmin, routes!(audit::alerts))
        .add(P::SecurityAdmin, routes!(audit::blocked))
        .add(P::SecurityAdmin, routes!(audit::unblock))
        .add(P::SystemConfig, routes!(configuration::get))
        .add(P::SystemConfig, routes!(configuration::change))
        .add(P::SystemConfig, routes!(providers::list))
        .add(P::SystemConfig, routes!(providers::put))
        .add(P::SystemConfig, routes!(providers::delete))
        .add(P::CastView, routes!(casts::list))
        .add(P::CastEdit, routes!(casts::create))
        .add(P::CastView, routes!(casts::get))
        .add(P::CastEdit, routes!(casts::replace))
        .add(P::CastEdit, routes!(casts::delete))
        .add(P::ModelView, routes!(models::list))
        .add(P::ModelTest, routes!(models::test))
        .add_heavy(P::SessionCreate, routes!(sessions::create))
        .add(P::SessionList, routes!(sessions::list))
        // Asks for each of the sessions itself.
        .add_heavy(P::SessionList, routes!(comparison::compare))
        .add(P::SessionRead, routes!(sessions::get))
        .add_heavy(P::SessionFork, routes!(forks::fork))
        .add(P::SessionConfigure, routes!(sessions::change))
        .add(P::SessionDelete, routes!(sessions::delete))
        .add(P::SessionConfigure, routes!(sessions::change_agent))
        .add(P::SessionConfigure, routes!(sessions::change_paths))
        .add(P::SessionControl, routes!(sessions::command))
        .add(P::SessionAnnotate, routes!(sessions::annotate))
        .add(P::SessionRead, routes!(history::events))
        .add(P::SessionRead, routes!(history::messages))
        .add_heavy(P::SessionRead, routes!(timeline::timeline))
        .add_heavy(P::SessionRead, routes!(history::state))
        .add_heavy(P::SessionRead, routes!(history::context))
        .add_heavy(P::SessionRead, routes!(analysis::session))
        .add_heavy(P::SessionControl, routes!(judge::judge))
        .add_heavy(P::SessionExport, routes!(exports::export))
        .add_heavy(P::SessionCreate, routes!(exports::import))
        .add(P::SessionConfigure, routes!(participants::accesses))
        .add(P::SessionRead, routes!(participants::list))
        .add(P::SessionShare, routes!(participants::invite))
        .add(P::SessionRead, routes!(participants::get))
        .add(P::SessionShare, routes!(participants::put))
        .add(P::SessionShare, routes!(participants::delete))
        .add(P::SessionList, routes!(analysis::self_test))
        .add_heavy(P::SessionList, routes!(analysis::begin_history))
        .add(P::SessionList, routes!(analysis::history))
        .add(P::SystemMonitor, routes!(system::status))
        .add(P::SystemMonitor, routes!(system::statistics))
        // Sockets ask on the socket: a browser cannot read a refused upgrade.
        .add_heavy(P::Public, routes!(live::system_socket))
        .add_heavy(P::Public, routes!(live::session_socket))
}

impl Routes {
    fn add(self, permission: Permission, (schemas, paths, router): UtoipaMethodRouter<Shared>) -> Self {
        self.add_guarded(permission, (schemas, paths, guarded(permission, router)))
    }

    /// One that takes much memory, or some for long: refused while that is short.
    fn add_heavy(self, permission: Permission, (schemas, paths, router): UtoipaMethodRouter<Shared>) -> Self {
        let spared = guarded(permission, router).route_layer(from_fn(memory::spare));
        self.add_guarded(permission, (schemas, paths, spared))
    }

    fn add_guarded(mut self, permission: Permission, (schemas, paths, router): UtoipaMethodRouter<Shared>) -> Self {
        for (path, item) in &paths.paths {
            let methods = [
                ("GET", item.get.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            for (method, _) in methods.into_iter().filter(|(_, there)| *there) {
                self.rows.push(Row { method, path: path.clone(), permission });
            }
        }
        self.router = self.router.routes((schemas, paths, router));
        self
    }

    /// A GET that the document does not describe.
    fn alias(mut self, permission: Permission, path: &str, router: MethodRouter<Shared>) -> Self {
        self.rows.push(Row { method: "GET", path: path.to_owned(), permission });
        self.router = self.router.route(path, guarded(permission, router));
        self
    }

    /// The router, and the raw document of its operations.
    pub fn split(self) -> (axum::Router<Shared>, utoipa::openapi::OpenApi, Vec<Row>) {
        let (router, document) = self.router.split_for_parts();
        let router = router.method_not_allowed_fallback(async || {
            ApiError::new(ErrorKind::MethodNotAllowed, "This path does not take this method.")
        });
        (router, document, self.rows)
    }
}

fn guarded(permission: Permission, router: MethodRouter<Shared>) -> MethodRouter<Shared> {
    router.route_layer(from_fn(move |request: Request, next: Next| guard(permission, request, next)))
}

/// Permissions by method and path, for the document.
pub fn by_operation(rows: &[Row]) -> BTreeMap<(String, String), Permission> {
    rows.iter().map(|row| ((row.path.clone(), row.method.to_lowercase()), row.permission)).collect()
}
