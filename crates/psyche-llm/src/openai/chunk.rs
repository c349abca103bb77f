//! One JSON payload of a reply, whole or streamed, in any dialect of the chat-completions format.
//!
//! Fields are looked up rather than decoded into a fixed shape: servers leave out, rename and retype them.

use psyche_core::port::{Finish, Usage};
use serde_json::Value;

/// What a payload adds to the reply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    pub text: String,
    pub reasoning: String,
    pub finish: Option<Ending>,
    pub usage: Option<Usage>,
    /// Log probabilities of the chosen tokens.
    pub logprobs: Vec<f64>,
}

/// Why a reply ended, as the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Whole(Finish),
    /// The server gave up in the middle.
    Broken,
}

/// An error told inside an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The HTTP status it amounts to, where the server says.
    pub status: Option<u16>,
    /// Its code and type, for telling a rate limit from an empty account.
    pub code: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    Chunk(Chunk),
    Error(Upstream),
}

/// Reads a payload. `told_error` says that the event was named an error.
pub fn read(value: &Value, told_error: bool) -> Payload {
    // Some gateways wrap an error in a list.
    let value = value.get(0).unwrap_or(value);
    if let Some(error) = error_of(value, told_error) {
        return Payload::Error(error);
    }
    let mut chunk = Chunk { usage: usage_of(value), ..Chunk::default() };
    if let Some(choice) = value.pointer("/choices/0") {
        let message = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(choice);
        match message.get("content").or_else(|| message.get("text")) {
            Some(Value::String(text)) => chunk.text.push_str(text),
            Some(Value::Array(parts)) => parts.iter().for_each(|part| add_part(&mut chunk, part)),
            _ => {}
        }
        let separate = ["reasoning_content", "reasoning", "thinking"].iter().find_map(|key| words_in(message, key));
        chunk.reasoning.push_str(separate.unwrap_or_default());
        chunk.finish = choice.get("finish_reason").and_then(Value::as_str).and_then(ending);
        if words_in(message, "refusal").is_some() {
            chunk.finish = Some(Ending::Whole(Finish::Filtered));
        }
        chunk.logprobs = logprobs_of(choice);
    }
    Payload::Chunk(chunk)
}

/// Content as a list of typed parts: text, or thinking that holds parts of its own.
fn add_part(chunk: &mut Chunk, part: &Value) {
    match part {
        Value::String(text) => chunk.text.push_str(text),
        _ if part.get("thinking").is_some() || part.get("type").and_then(Value::as_str) == Some("reasoning") => {
            match part.get("thinking").or_else(|| part.get("text")) {
                Some(Value::String(text)) => chunk.reasoning.push_str(text),
                Some(Value::Array(inner)) => {
                    chunk.reasoning.extend(inner.iter().filter_map(|p| p.get("text").and_then(Value::as_str)));
                }
                _ => {}
            }
        }
        _ => chunk.text.push_str(words_in(part, "text").unwrap_or_default()),
    }
}

fn words_in<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn usage_of(value: &Value) -> Option<Usage> {
    let usage = value.get("usage").filter(|u| u.is_object()).or_else(|| value.pointer("/x_groq/usage"))?;
    let count = |names: [&str; 2]| names.iter().find_map(|name| usage.get(name).and_then(Value::as_u64));
    let prompt_tokens = count(["prompt_tokens", "input_tokens"]);
    let completion_tokens = count(["completion_tokens", "output_tokens"]);
    (prompt_tokens.is_some() || completion_tokens.is_some())
        .then(|| Usage { prompt_tokens: prompt_tokens.unwrap_or(0), completion_tokens: completion_tokens.unwrap_or(0) })
}

fn logprobs_of(choice: &Value) -> Vec<f64> {
    let Some(logprobs) = choice.get("logprobs") else { return Vec::new() };
    if let Some(tokens) = logprobs.get("content").and_then(Value::as_array) {
        return tokens.iter().filter_map(|token| token.get("logprob").and_then(Value::as_f64)).collect();
    }
    let old_form = logprobs.get("token_logprobs").and_then(Value::as_array);
    old_form.map(|all| all.iter().filter_map(Value::as_f64).collect()).unwrap_or_default()
}

/// The finish reasons of every dialect met so far. An unknown word still says that the reply is over.
fn ending(word: &str) -> Option<Ending> {
    let finish = match word.to_ascii_lowercase().as_str() {
        "" | "null" => return None,
        "length" | "max_tokens" | "max_output_tokens" | "max_length" | "model_length" | "token_limit" => Finish::Length,
        "content_filter"
        | "content_filtered"
        | "content-filter"
        | "safety"
        | "recitation"
        | "blocklist"
        | "sensitive"
        | "prohibited_content"
        | "refusal"
        | "guardrail_intervened" => Finish::Filtered,
        "error" | "network_error" | "abort" | "aborted" | "cancelled" | "insufficient_system_resource" => {
            return Some(Ending::Broken);
        }
        _ => Finish::Stop,
    };
    Some(Ending::Whole(finish))
}

fn error_of(value: &Value, told_error: bool) -> Option<Upstream> {
    let inner = value.get("error").filter(|error| match error {
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    });
    let has_choices = value.get("choices").is_some();
    let is_named = value.get("object").and_then(Value::as_str) == Some("error");
    let looks_like = !has_choices && ["detail", "message"].iter().any(|key| value.get(key).is_some());
    let error = match inner {
        Some(inner) => inner,
        None if told_error || is_named || looks_like => value,
        None => return None,
    };
    let code = ["code", "type", "status"].iter().filter_map(|key| error.get(key)).map(plain).collect::<Vec<_>>();
    let status = code.iter().find_map(|word| word.parse().ok()).filter(|status| (400..600).contains(status));
    let text = ["message", "detail"].iter().find_map(|key| error.get(key)).map_or_else(|| plain(error), plain);
    Some(Upstream { status, code: code.join(" "), text })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Chunk {
        Chunk { text: text.into(), ..Chunk::default() }
    }

    fn reasoning(text: &str) -> Chunk {
        Chunk { reasoning: text.into(), ..Chunk::default() }
    }

    #[test]
    fn words_in_every_place_servers_put_them() {
        let used = Usage { prompt_tokens: 7, completion_tokens: 2 };
        let cases = [
            (json!({"choices":[{"delta":{"content":"a"}}]}), text("a")),
            (
                json!({"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}),
                text(""),
            ),
            (json!({"choices":[{"message":{"role":"assistant","content":"whole"}}]}), text("whole")),
            (json!({"choices":[{"text":"old form"}]}), text("old form")),
            (json!({"choices":[{"delta":{"content":[{"type":"text","text":"a"},"b"]}}]}), text("ab")),
            (
                json!({"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"text":"hm"}]}]}}]}),
                reasoning("hm"),
            ),
            (json!({"choices":[{"delta":{"reasoning_content":"hm","reasoning":"hm"}}]}), reasoning("hm")),
            (json!({"choices":[{"delta":{"reasoning":"hm"}}]}), reasoning("hm")),
            (json!({"choices":[{"delta":{"thinking":"hm"}}]}), reasoning("hm")),
            (
                json!({"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}),
                Chunk { usage: Some(used), ..text("") },
            ),
            (json!({"usage":{"input_tokens":7,"output_tokens":2}}), Chunk { usage: Some(used), ..text("") }),
            (
                json!({"x_groq":{"usage":{"prompt_tokens":7,"completion_tokens":2}}}),
                Chunk { usage: Some(used), ..text("") },
            ),
            (json!({"choices":[],"usage":null,"error":null}), text("")),
            (
                json!({"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.5}]}}]}),
                Chunk { logprobs: vec![-0.5], ..text("a") },
            ),
            (
                json!({"choices":[{"text":"a","logprobs":{"token_logprobs":[null,-0.5]}}]}),
                Chunk { logprobs: vec![-0.5], ..text("a") },
            ),
            (json!(42), text("")),
            (json!({"choices":"nonsense"}), text("")),
            (json!({"choices":[{"delta":{"content":17}}]}), text("")),
        ];
        for (value, expected) in cases {
            assert_eq!(read(&value, false), Payload::Chunk(expected), "{value}");
        }
    }

    #[test]
    fn finish_reasons_of_every_dialect() {
        use Finish::{Filtered, Length, Stop};
        let cases = [
            ("stop", Some(Ending::Whole(Stop))),
            ("eos_token", Some(Ending::Whole(Stop))),
            ("end_turn", Some(Ending::Whole(Stop))),
            ("tool_calls", Some(Ending::Whole(Stop))),
            ("COMPLETE", Some(Ending::Whole(Stop))),
            ("something new", Some(Ending::Whole(Stop))),
            ("length", Some(Ending::Whole(Length))),
            ("MAX_TOKENS", Some(Ending::Whole(Length))),
            ("content_filter", Some(Ending::Whole(Filtered))),
            ("SAFETY", Some(Ending::Whole(Filtered))),
            ("error", Some(Ending::Broken)),
            ("insufficient_system_resource", Some(Ending::Broken)),
            ("", None),
            ("null", None),
        ];
        for (word, expected) in cases {
            let value = json!({"choices":[{"delta":{},"finish_reason":word}]});
            assert_eq!(read(&value, false), Payload::Chunk(Chunk { finish: expected, ..Chunk::default() }), "{word:?}");
        }
        let refused = json!({"choices":[{"delta":{"refusal":"I cannot."}}]});
        let expected = Chunk { finish: Some(Ending::Whole(Filtered)), ..Chunk::default() };
        assert_eq!(read(&refused, false), Payload::Chunk(expected), "a refusal is never speech");
    }

    #[test]
    fn errors_in_every_form() {
        let cases = [
            (json!({"error":{"message":"m","type":"server_error","code":500}}), Some(500), "500 server_error", "m"),
            (json!({"error":{"message":"m","code":"rate_limit_exceeded"}}), None, "rate_limit_exceeded", "m"),
            (json!({"error":"m"}), None, "", "m"),
            (
                json!([{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]),
                Some(400),
                "400 INVALID_ARGUMENT",
                "m",
            ),
            (json!({"object":"error","message":"m","code":404}), Some(404), "404", "m"),
            (json!({"detail":"m"}), None, "", "m"),
            (json!({"choices":[],"error":{"message":"m","code":"429"}}), Some(429), "429", "m"),
        ];
        for (value, status, code, text) in cases {
            let expected = Upstream { status, code: code.into(), text: text.into() };
            assert_eq!(read(&value, false), Payload::Error(expected), "{value}");
        }
        let named = Upstream { status: None, code: String::new(), text: r#"{"why":"m"}"#.into() };
        assert_eq!(read(&json!({"why":"m"}), true), Payload::Error(named), "the event was named an error");
    }
}
