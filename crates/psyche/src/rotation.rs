//! Changes the master key while the server runs, when `psyche key rotate master` asks for it or an earlier change broke off.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use psyche_core::TenantId;
use psyche_core::audit::{AuditDraft, AuditType, Outcome, Personal, Severity};
use psyche_core::port::Clock;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::backends::{self, Store};
use crate::config::Config;

/// How often it is looked for a new key.
const LOOK: Duration = Duration::from_secs(1);
/// Pause after a change that failed.
const PAUSE: Duration = Duration::from_mins(1);

pub async fn watch(config: Config, store: Arc<Store>, clock: Arc<dyn Clock>, token: CancellationToken) {
    let mut first = true;
    loop {
        // Keys of the configuration are changed once, at the start; kept ones whenever there is a new one.
        let asked = if config.text("master_key").is_some() {
            std::mem::take(&mut first)
        } else {
            !matches!(backends::new_master_key(&config), Ok(None))
        };
        let pause = if asked { change(&config, &store, clock.as_ref()).await } else { LOOK };
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn change(config: &Config, store: &Store, clock: &dyn Clock) -> Duration {
    match wrap_and_record(config, store, clock).await {
        Ok(()) => LOOK,
        Err(error) => {
            tracing::error!("the master key could not be changed; it is tried again in a minute: {error:#}");
            PAUSE
        }
    }
}

/// The old key goes last: what breaks off before is done again.
async fn wrap_and_record(config: &Config, store: &Store, clock: &dyn Clock) -> Result<()> {
    let Some(changed) = backends::wrap_by_new_master_key(config, store).await? else { return Ok(()) };
    let row = AuditDraft {
        tenant: TenantId::DEFAULT,
        event_type: AuditType::ConfigChanged,
        severity: Severity::Medium,
        at: clock.now(),
        user_id: None,
        session_id: None,
        request_id: "server".to_owned(),
        outcome: Outcome::Success,
        personal: Personal::default(),
        details: json!({"message": "The master key was changed.", "keys": changed}),
    };
    store.audit().record(vec![row]).await?;
    backends::keep_new_master_key(config)?;
    tracing::info!(changed, "all keys are wrapped by the new master key");
    Ok(())
}
