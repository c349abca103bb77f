//! What an operator writes about a model: one `[models.<id>]` table.

use std::fmt;

use psyche_core::port::{Price, PromptStyle};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroize;

/// A text that is never printed or written, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// White space around a key comes from the file it was in.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        let secret = Self::new(&text);
        text.zeroize();
        Ok(secret)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The model inside the program, or a GGUF file of one's own.
    Embedded,
    /// Any chat-completions server.
    Openai,
    /// Lines from a script, for demonstrations and tests; labelled as such.
    Scripted,
}

impl Provider {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Openai => "openai",
            Self::Scripted => "scripted",
        }
    }
}

/// One `[models.<id>]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    pub provider: Provider,
    /// Where the server is, mostly ending in `/v1`.
    pub base_url: Option<String>,
    /// The model's name at its server.
    pub model: Option<String>,
    pub api_key: Option<Secret>,
    /// Hosts, or hosts with ports, that may be spoken to without encryption and on addresses that are not public.
    #[serde(default)]
    pub allow_http_hosts: Vec<String>,
    /// A GGUF file for `embedded`.
    pub path: Option<std::path::PathBuf>,
    pub prompt_style: Option<PromptStyle>,
    pub first_byte_timeout_ms: Option<u64>,
    pub idle_timeout_ms: Option<u64>,
    pub total_timeout_ms: Option<u64>,
    pub requests_per_minute: Option<u32>,
    /// Per million tokens.
    pub price: Option<Price>,
    /// Context length in tokens.
    pub context: Option<u32>,
    /// How long a scripted reply takes as a whole.
    pub latency_ms: Option<u64>,
}

impl ModelConfig {
    /// A table that says nothing but its provider.
    pub fn of(provider: Provider) -> Self {
        Self {
            provider,
            base_url: None,
            model: None,
            api_key: None,
            allow_http_hosts: Vec::new(),
            path: None,
            prompt_style: None,
            first_byte_timeout_ms: None,
            idle_timeout_ms: None,
            total_timeout_ms: None,
            requests_per_minute: None,
            price: None,
            context: None,
            latency_ms: None,
        }
    }

    /// The first key that is set but means nothing to this provider: better refused than silently ignored.
    pub fn misplaced_key(&self) -> Option<&'static str> {
        use Provider::{Embedded, Openai, Scripted};
        let keys = [
            ("base_url", self.base_url.is_some(), Openai),
            ("model", self.model.is_some(), Openai),
            ("api_key", self.api_key.is_some(), Openai),
            ("allow_http_hosts", !self.allow_http_hosts.is_empty(), Openai),
            ("first_byte_timeout_ms", self.first_byte_timeout_ms.is_some(), Openai),
            ("idle_timeout_ms", self.idle_timeout_ms.is_some(), Openai),
            ("total_timeout_ms", self.total_timeout_ms.is_some(), Openai),
            ("path", self.path.is_some(), Embedded),
            ("latency_ms", self.latency_ms.is_some(), Scripted),
        ];
        keys.into_iter().find(|&(_, is_set, owner)| is_set && owner != self.provider).map(|(key, _, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let config: ModelConfig = toml::from_str(
            r#"
            provider = "openai"
            base_url = "https://api.example.com/v1"
            model = "large"
            api_key = " sk-secret\n"
            allow_http_hosts = ["localhost"]
            prompt_style = "compact"
            first_byte_timeout_ms = 1
            idle_timeout_ms = 2
            total_timeout_ms = 3
            requests_per_minute = 60
            price = { input = 0.5, output = 1.5 }
            context = 65536
            "#,
        )
        .unwrap();
        assert_eq!(config.api_key.as_ref().unwrap().expose(), "sk-secret");
        assert_eq!(config.price, Some(Price { input: 0.5, output: 1.5 }));
        assert_eq!(config.prompt_style, Some(PromptStyle::Compact));
        assert_eq!(config.misplaced_key(), None);
    }

    #[test]
    fn a_key_is_never_printed() {
        let mut config = ModelConfig::of(Provider::Openai);
        config.api_key = Some(Secret::new("sk-secret"));
        assert!(!format!("{config:?}").contains("sk-"));
    }

    #[test]
    fn unknown_and_misplaced_keys_are_named() {
        let error = toml::from_str::<ModelConfig>("provider = \"openai\"\nbase_ur = \"x\"").unwrap_err();
        assert!(error.message().contains("base_ur"), "{error}");
        assert!(toml::from_str::<ModelConfig>("provider = \"magic\"").is_err());
        let cases = [
            ("provider = \"embedded\"\nbase_url = \"x\"", "base_url"),
            ("provider = \"openai\"\npath = \"x\"", "path"),
            ("provider = \"scripted\"\napi_key = \"x\"", "api_key"),
            ("provider = \"openai\"\nlatency_ms = 1", "latency_ms"),
        ];
        for (text, key) in cases {
            assert_eq!(toml::from_str::<ModelConfig>(text).unwrap().misplaced_key(), Some(key));
        }
    }
}
