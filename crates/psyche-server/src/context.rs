//! What is known of a request before anybody looks at what it asks for.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use psyche_core::audit::{AuditDraft, AuditType, Outcome, Personal, Severity};
use psyche_core::{TenantId, UserId};
use serde_json::json;

use crate::app::{App, Shared};
use crate::error::{Answer, ApiError};

#[derive(Clone, Debug)]
pub struct Context {
    pub request_id: Arc<str>,
    pub address: IpAddr,
}

impl Context {
    /// A row of the audit trail about this request, with the severity that is usual for its type.
    pub fn row(&self, app: &App, event_type: AuditType, outcome: Outcome) -> AuditDraft {
        AuditDraft {
            tenant: TenantId::DEFAULT,
            event_type,
            severity: severity(event_type, outcome),
            at: app.ports.clock.now(),
            user_id: None,
            session_id: None,
            request_id: self.request_id.to_string(),
            outcome,
            personal: Personal { username: None, ip_address: Some(self.address.to_string()) },
            details: json!({}),
        }
    }

    /// The same about somebody we know.
    pub fn row_about(
        &self,
        app: &App,
        user: UserId,
        username: &str,
        event_type: AuditType,
        outcome: Outcome,
    ) -> AuditDraft {
        let mut row = self.row(app, event_type, outcome);
        row.user_id = Some(user);
        row.personal.username = Some(username.to_owned());
        row
    }
}

/// A row about what the server did by itself.
pub fn own_row(app: &App, event_type: AuditType) -> AuditDraft {
    let nobody = Context { request_id: "server".into(), address: IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    AuditDraft { personal: Personal::default(), ..nobody.row(app, event_type, Outcome::Success) }
}

fn severity(event_type: AuditType, outcome: Outcome) -> Severity {
    use AuditType as T;
    match event_type {
        T::LoginSuccess | T::Logout | T::TokenRefresh | T::AccessGranted | T::SessionCreated | T::SessionExpired => {
            Severity::Low
        }
        T::LoginFailure | T::AccessDenied | T::TokenRevoked | T::RateLimit | T::InvalidToken | T::SessionTerminated => {
            Severity::Medium
        }
        T::PermissionChanged | T::ConfigChanged | T::DataExported if outcome == Outcome::Success => Severity::Medium,
        T::TokenReuse => Severity::Critical,
        _ => Severity::High,
    }
}

impl FromRequestParts<Shared> for Context {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Answer<Self> {
        parts.extensions.get().cloned().ok_or_else(|| ApiError::internal("a request outside the envelope"))
    }
}
