//! Guessing passwords is slow: few tries for a name from one client, and delays when many clients try one name.
//!
//! A try is counted before its password is looked at, so that fifty at once are not fifty tries. Names nobody has count
//! like all others.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use psyche_core::audit::sign;
use psyche_core::port::folded;
use psyche_core::words::Hash;
use subtle::ConstantTimeEq as _;

use crate::app::App;
use crate::client::bucket;
use crate::error::{Answer, ApiError};

/// Failures of one name, from everywhere, within an hour, after which devices that were never signed in wait.
const NAME_FAILURES: u64 = 100;
const HOUR_MS: u64 = 3_600_000;
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// A try that counts until it succeeds: where its client's tries are counted.
pub struct Try(String);

/// Counts a try, or says how long the client has to wait.
pub async fn begin(app: &App, username: &str, address: IpAddr, known_device: bool) -> Answer<Try> {
    let rules = &app.options.limits;
    let name = folded(username);
    // A device this person signed in on before has tries of its own: nobody else can lock its owner out.
    let from = if known_device { "device".to_owned() } else { bucket(address).to_string() };
    let counters = &app.ports.counters;
    let era = counters.get(&key("era", &[&name])).await?.unwrap_or_default();
    let client = key("client", &[&name, &from, &hex::encode(era)]);
    let ttl = u64::try_from(rules.lockout.as_millis()).unwrap_or(u64::MAX);
    let tries = counters.increment(&client, ttl).await?;
    // Replicas share no other clock. It only says how long to wait: the count ends by itself.
    let now = u64::try_from(app.ports.clock.now().micros() / 1000).unwrap_or(0);
    let began = counters.put_new(&began(&client), now.to_string().into_bytes(), ttl).await?;
    if tries > rules.sign_in_tries {
        let began = began.and_then(|at| String::from_utf8(at).ok()?.parse().ok()).unwrap_or(now);
        let left = began.saturating_add(ttl).saturating_sub(now).min(ttl).div_ceil(1000).max(1);
        return Err(ApiError::too_many("Too many failed sign-ins. Wait, or ask an admin to lift this.", left));
    }
    let all = counters.increment(&key("name", &[&name]), HOUR_MS).await?;
    if all > NAME_FAILURES && !known_device {
        let delay = Duration::from_millis(100).saturating_mul(u32::try_from(all - NAME_FAILURES).unwrap_or(u32::MAX));
        tokio::time::sleep(delay.min(LONGEST_DELAY)).await;
    }
    Ok(Try(client))
}

impl Try {
    /// The client's tries are forgiven. The name's own count falls by itself: others may be guessing at this moment.
    pub async fn succeeded(self, app: &App) -> Answer<()> {
        app.ports.counters.take(&self.0).await?;
        app.ports.counters.take(&began(&self.0)).await?;
        Ok(())
    }
}

/// Where it is kept when a client's first try was.
fn began(client: &str) -> String {
    format!("{client}:began")
}

/// Forgives what was tried for a name, from everywhere: counts of the era before are not looked at any more.
pub async fn unlock(app: &App, username: &str) -> Answer<()> {
    let name = folded(username);
    let counters = &app.ports.counters;
    counters.take(&key("name", &[&name])).await?;
    // Longer than any count of that era lives.
    let ttl = u64::try_from(app.options.limits.lockout.as_millis()).unwrap_or(u64::MAX).saturating_mul(2);
    counters.increment(&key("era", &[&name]), ttl).await?;
    Ok(())
}

/// Keys hold digests: names do not belong into other stores.
fn key(kind: &str, parts: &[&str]) -> String {
    format!("lockout:{kind}:{}", Hash::of(parts.join("\0").as_bytes()))
}

/// What a browser keeps to show that this person signed in there before.
pub fn device_token(app: &App, username: &str) -> String {
    URL_SAFE_NO_PAD.encode(sign(&app.device_key, &[b"psyche.device\0", folded(username).as_bytes()]).0)
}

/// Whether the person of this name signed in before where the token was kept.
pub fn is_known(app: &App, username: &str, token: &str) -> bool {
    device_token(app, username).as_bytes().ct_eq(token.as_bytes()).into()
}
