//! The request as chat-completions servers read it, and what a strict server made us leave out.

use std::collections::BTreeSet;

use psyche_core::port::{ChatRole, GenerateRequest};
use serde_json::{Map, Value, json};

/// More stop sequences than this are refused by some servers; the first ones matter most.
const STOPS: usize = 4;

/// What a server may decline without the request losing its meaning.
const OPTIONAL: [&str; 7] = ["temperature", "top_p", "stop", "seed", "logprobs", "stream_options", "max_tokens"];

/// Parameters that a server has declined, left out from then on.
pub type Declined = BTreeSet<&'static str>;

/// The JSON body for `request`.
///
/// `min_p`, the repetition rules and `avoid` are not part of the format: strict servers refuse them, so they are not sent.
pub fn body(model: &str, request: &GenerateRequest, declined: &Declined) -> Value {
    let sampling = &request.sampling;
    let mut optional = Map::new();
    optional.insert("temperature".into(), json!(sampling.temperature));
    optional.insert("top_p".into(), json!(sampling.top_p));
    // Servers differ in the width of a seed: 31 bits fit all.
    optional.insert("seed".into(), json!(request.seed & 0x7fff_ffff));
    optional.insert("logprobs".into(), json!(true));
    optional.insert("stream_options".into(), json!({"include_usage": true}));
    if sampling.max_tokens > 0 {
        optional.insert("max_tokens".into(), json!(sampling.max_tokens));
    }
    if !sampling.stop.is_empty() {
        optional.insert("stop".into(), json!(&sampling.stop[..sampling.stop.len().min(STOPS)]));
    }
    // Models that reason count their thoughts under another name.
    if declined.contains("max_tokens")
        && let Some(limit) = optional.remove("max_tokens")
    {
        optional.insert("max_completion_tokens".into(), limit);
    }
    optional.retain(|name, _| !declined.contains(name.as_str()));
    optional.insert("model".into(), json!(model));
    optional.insert("messages".into(), messages(request));
    optional.insert("stream".into(), json!(true));
    Value::Object(optional)
}

fn messages(request: &GenerateRequest) -> Value {
    let mut messages: Vec<(ChatRole, String)> =
        request.messages.iter().map(|message| (message.role, message.content.clone())).collect();
    if let Some(opener) = request.opener.as_deref().map(str::trim).filter(|opener| !opener.is_empty()) {
        let instruction = format!("Begin your reply with exactly these words and go on from there: {opener}");
        match messages.last_mut() {
            Some((ChatRole::User, content)) => {
                content.push_str("\n\n");
                content.push_str(&instruction);
            }
            _ => messages.push((ChatRole::User, instruction)),
        }
    }
    messages.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect()
}

/// The optional parameter that an error names as unwelcome, when it was sent and has not been declined before.
pub fn declined_in(error: &str, declined: &Declined) -> Option<&'static str> {
    const WORDS: [&str; 11] = [
        "unsupported",
        "not support",
        "unrecognized",
        "unknown",
        "not allowed",
        "not permitted",
        "unexpected",
        "extra",
        "is not available",
        "not recognized",
        "only the default",
    ];
    let error = error.to_ascii_lowercase();
    let is_about_support = WORDS.iter().any(|word| error.contains(word));
    OPTIONAL.into_iter().find(|name| is_about_support && error.contains(name) && !declined.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;

    #[test]
    fn only_what_the_format_knows_is_sent() {
        let mut asked = request("ego", 3);
        asked.sampling.stop = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        asked.seed = u64::MAX;
        let body = body("m", &asked, &Declined::new());
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        let expected = [
            "logprobs",
            "max_tokens",
            "messages",
            "model",
            "seed",
            "stop",
            "stream",
            "stream_options",
            "temperature",
            "top_p",
        ];
        assert_eq!(keys, expected);
        assert_eq!(body["seed"], 0x7fff_ffff);
        assert_eq!(body["stop"], json!(["a", "b", "c", "d"]));
        assert_eq!(body["messages"][0], json!({"role":"system","content":"You are the ego."}));
    }

    #[test]
    fn declined_parameters_stay_away() {
        let body = body("m", &request("ego", 3), &Declined::from(["max_tokens", "logprobs", "temperature"]));
        assert_eq!(body["max_completion_tokens"], 48);
        for name in ["max_tokens", "logprobs", "temperature"] {
            assert!(body.get(name).is_none(), "{name}");
        }
    }

    #[test]
    fn an_opener_becomes_an_instruction() {
        let mut asked = request("ego", 3);
        asked.opener = Some("I need to decide".into());
        let with_user = body("m", &asked, &Declined::new());
        let said = with_user["messages"][1]["content"].as_str().unwrap();
        assert!(said.starts_with("Who are you?\n\n") && said.ends_with(": I need to decide"), "{said}");
        asked.messages.truncate(1);
        let without_user = body("m", &asked, &Declined::new());
        assert_eq!(without_user["messages"][1]["role"], "user");
    }

    #[test]
    fn a_server_that_names_what_it_does_not_want_is_understood() {
        let none = Declined::new();
        let cases = [
            ("Unsupported parameter: 'max_tokens' is not supported with this model.", &none, Some("max_tokens")),
            (
                "Unsupported value: 'temperature' does not support 0.7. Only the default (1) value",
                &none,
                Some("temperature"),
            ),
            ("You are not allowed to request logprobs from this model", &none, Some("logprobs")),
            ("Extra inputs are not permitted: stream_options", &none, Some("stream_options")),
            ("max_tokens is too large: 99999", &none, None),
            ("unknown model", &none, None),
            ("unsupported: logprobs", &Declined::from(["logprobs"]), None),
        ];
        for (error, declined, expected) in cases {
            assert_eq!(declined_in(error, declined), expected, "{error}");
        }
    }
}
