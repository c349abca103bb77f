//! Posts alerts to where the operator wants them, signed, so that nobody else can make one up.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use psyche_core::audit::sign;
use psyche_core::words::Hash;
use psyche_server::Courier;

pub struct Webhook {
    url: reqwest::Url,
    key: [u8; 32],
    client: reqwest::Client,
}

impl Webhook {
    /// `https`, or `http` to this machine itself.
    pub fn new(url: &str, secret: &str) -> Result<Self> {
        let url = reqwest::Url::parse(url).with_context(|| format!("alert_webhook is {url:?}, which is no address"))?;
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !(url.scheme() == "http" && local) {
            bail!("alert_webhook must be an https address: alerts name people and addresses");
        }
        if secret.len() < 16 {
            bail!("alert_webhook_secret is shorter than 16 characters and could be guessed");
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()
            .context("make the client of alert_webhook")?;
        Ok(Self { url, key: Hash::of(secret.as_bytes()).0, client })
    }
}

#[async_trait]
impl Courier for Webhook {
    async fn deliver(&self, body: String) -> Result<(), String> {
        // HMAC-SHA256 under the SHA-256 of the secret.
        let signature = sign(&self.key, &[body.as_bytes()]).to_string();
        let request = self.client.post(self.url.clone()).header("content-type", "application/json");
        let answer = request.header("x-psyche-signature", signature).body(body).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("alert_webhook answered {}", answer.status())),
            Err(error) => Err(format!("alert_webhook: {}", error.without_url())),
        }
    }
}
