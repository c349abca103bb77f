//! Addresses that guessed too often, and nobody may come from for a while.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use psyche_core::audit::{AuditDraft, AuditType, Outcome};
use psyche_core::port::{AddressBlock, StoreError};
use psyche_core::{TenantId, Timestamp};
use serde_json::json;

use crate::app::App;
use crate::client::bucket;
use crate::context::Context;
use crate::error::Answer;

const HOUR_MS: u64 = 3_600_000;
/// Failed sign-ins of one client within an hour, whatever the names.
const FAILURES: u64 = 25;
const LONGEST_MS: u64 = 24 * HOUR_MS;

/// What the directory holds, for a look at every request.
#[derive(Default)]
pub struct Blocks(Mutex<HashMap<IpAddr, Timestamp>>);

impl Blocks {
    /// Until when this client is blocked.
    pub fn until(&self, address: IpAddr, now: Timestamp) -> Option<Timestamp> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&bucket(address)).copied().filter(|until| *until > now)
    }
}

/// Reads the blocks anew: at the start, and when the directory says that something changed.
pub async fn reload(app: &App) -> Result<(), StoreError> {
    let stored = app.ports.directory.blocks(TenantId::DEFAULT).await?;
    let read = stored.into_iter().filter_map(|block| Some((block.address.parse().ok()?, block.until)));
    *app.blocks.0.lock().unwrap_or_else(PoisonError::into_inner) = read.collect();
    Ok(())
}

/// Counts a failed sign-in of a client; at the twenty-fifth within an hour it is blocked, each time for twice as long.
pub async fn failed(app: &App, context: &Context) -> Answer<()> {
    let client = bucket(context.address);
    let exempt = !app.options.block_addresses || app.options.trusted_proxies.contain(context.address);
    if exempt || app.ports.counters.increment(&format!("failures:{client}"), HOUR_MS).await? != FAILURES {
        return Ok(());
    }
    app.ports.counters.take(&format!("failures:{client}")).await?;
    let address = client.to_string();
    let before = app.ports.directory.blocks(TenantId::DEFAULT).await?.into_iter().find(|b| b.address == address);
    let times = before.map_or(1, |block| block.times + 1);
    let lasts = HOUR_MS.saturating_mul(1 << (times - 1).min(16)).min(LONGEST_MS);
    let now = app.ports.clock.now();
    let block = AddressBlock {
        address,
        reason: format!("{FAILURES} failed sign-ins within an hour"),
        blocked_at: now,
        until: now.plus_ms(i64::try_from(lasts).unwrap_or(i64::MAX)),
        times,
    };
    let details = json!({
        "rule": "address_blocked", "message": "An address failed to sign in too often and is blocked.",
        "until": block.until, "times": times,
    });
    let row = AuditDraft { details, ..context.row(app, AuditType::IpBlocked, Outcome::Success) };
    app.directory_with(vec![row]).put_block(TenantId::DEFAULT, block).await?;
    reload(app).await?;
    Ok(())
}
