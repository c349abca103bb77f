//! The adapter against a server that misbehaves by plan, and the reader against every cut of its bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use proptest::prelude::*;
use psyche_core::port::{Finish, LanguageModel, ModelError, ModelErrorKind, ModelEvent, Usage};
use reqwest::dns::{Name, Resolve, Resolving};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::exchange::{self, Body};
use super::reply::ReplyReader;
use super::{LINE_CAP, OpenAi, Options, TEXT_CAP, Timeouts};
use crate::config::Secret;
use crate::testing::{Behaviour, FixedClock, MockServer, card, refusing_base_url, reply_text, request};

use ModelErrorKind::{BadAnswer, RateLimited, Refused, ServerError, Timeout};

/// Short enough for a test, long enough for a busy machine where the answer is to come.
const SHORT: Duration = Duration::from_millis(150);
const LONG: Duration = Duration::from_secs(20);
const PATIENT: Timeouts = Timeouts { first_byte: LONG, idle: LONG, total: LONG };

fn model(base_url: &str, timeouts: Timeouts) -> OpenAi {
    let options = Options {
        card: card("m"),
        base_url: base_url.to_owned(),
        api_key: Some(Secret::new("sk-secret")),
        allow_http_hosts: vec!["127.0.0.1".to_owned()],
        timeouts,
    };
    OpenAi::new(options, Arc::new(FixedClock::default()), None).unwrap()
}

/// Leads nowhere, and remembers where to it was asked.
#[derive(Default)]
struct NoWay(Mutex<Vec<String>>);

impl Resolve for NoWay {
    fn resolve(&self, name: Name) -> Resolving {
        self.0.lock().unwrap().push(name.as_str().to_owned());
        Box::pin(async { Err("this address may not be dialled".into()) })
    }
}

/// All events of a reply, and the error it ended with.
async fn ask(model: &OpenAi) -> (Vec<ModelEvent>, Option<ModelError>) {
    ask_with(model, None).await
}

async fn ask_with(model: &OpenAi, opener: Option<&str>) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut asked = request("ego", 1);
    asked.opener = opener.map(str::to_owned);
    let mut replies = match model.generate(asked).await {
        Ok(replies) => replies,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut events = Vec::new();
    while let Some(event) = replies.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

#[tokio::test]
async fn a_reply_streams_word_by_word_over_the_wire() {
    let server = MockServer::start(vec![Behaviour::speaks("I am here.")]).await.unwrap();
    let (events, error) = ask(&model(&server.base_url(), PATIENT)).await;
    assert_eq!(error, None);
    let usage = Some(Usage { prompt_tokens: 7, completion_tokens: 3 });
    let text = |text: &str| ModelEvent::Text(text.into());
    let done = ModelEvent::Done { finish: Finish::Stop, usage, confidence: None };
    assert_eq!(events, [text("I "), text("am "), text("here."), done]);
    let seen = server.seen();
    assert_eq!(seen[0].path, "/v1/chat/completions");
    assert_eq!(seen[0].headers["authorization"], "Bearer sk-secret");
    assert_eq!(seen[0].body["model"], "test-model");
    assert_eq!(seen[0].body["stream"], true);
}

#[tokio::test]
async fn every_fault_becomes_a_typed_failure() {
    let timeouts = |first_byte, idle, total| Timeouts { first_byte, idle, total };
    let late_start = timeouts(SHORT, LONG, LONG);
    let late_word = timeouts(LONG, SHORT, LONG);
    let late_end = timeouts(LONG, LONG, SHORT);
    let overloaded = json!({"message":"their words","code":503});
    let cases = [
        ("silent", Behaviour::silent(), late_start, Timeout, true, "did not begin"),
        ("no first byte", Behaviour::no_first_byte(), late_start, Timeout, true, "did not begin"),
        ("idle", Behaviour::idle_after("one two"), late_word, Timeout, true, "fell silent"),
        ("dripping", Behaviour::drips("x ", Duration::from_millis(10)), late_end, Timeout, true, "not complete within"),
        ("rate limited", Behaviour::rate_limited("7"), PATIENT, RateLimited, true, "rate limit"),
        ("failing", Behaviour::fails(500), PATIENT, ServerError, true, "failed (500)"),
        ("overloaded", Behaviour::fails(503), PATIENT, ServerError, true, "overloaded"),
        ("bad key", Behaviour::fails(401), PATIENT, Refused, false, "api_key"),
        ("forbidden", Behaviour::fails(403), PATIENT, Refused, false, "api_key"),
        ("not there", Behaviour::fails(404), PATIENT, Refused, false, "base_url"),
        ("bad request", Behaviour::fails(400), PATIENT, Refused, false, "model"),
        (
            "elsewhere",
            Behaviour::fails(307).header("location", "http://127.0.0.1:1/"),
            PATIENT,
            Refused,
            false,
            "redirects",
        ),
        ("garbage", Behaviour::garbage(), PATIENT, BadAnswer, true, "not JSON"),
        ("broken", Behaviour::breaks_after("one two"), PATIENT, BadAnswer, true, "connection"),
        ("half", Behaviour::half("one two"), PATIENT, BadAnswer, true, "broke off"),
        ("giant", Behaviour::giant(), PATIENT, BadAnswer, true, "longer than 256 KiB"),
        ("giant line", Behaviour::giant_line(), PATIENT, BadAnswer, true, "longer than 64 KiB"),
        ("page", Behaviour::page(), PATIENT, BadAnswer, true, "text/html"),
        ("nothing", Behaviour::sends(&[]), PATIENT, BadAnswer, true, "empty"),
        ("error in 200", Behaviour::error_after("", &overloaded), PATIENT, ServerError, true, "overloaded"),
        ("error in the middle", Behaviour::error_after("one", &overloaded), PATIENT, ServerError, true, "overloaded"),
        (
            "error as a document",
            Behaviour::document(200, &json!({"error":"their words"})),
            PATIENT,
            ServerError,
            true,
            "failed",
        ),
    ];
    for (name, behaviour, timeouts, kind, retryable, says) in cases {
        let server = MockServer::start(vec![behaviour]).await.unwrap();
        let (events, error) = ask(&model(&server.base_url(), timeouts)).await;
        let error = error.unwrap_or_else(|| panic!("{name}: a reply: {events:?}"));
        assert_eq!((error.kind, error.retryable), (kind, retryable), "{name}: {error:?}");
        assert!(error.message.contains(says), "{name}: {}", error.message);
        assert!(!error.message.contains("their words"), "{name}: the provider's text is not shown");
        assert!(!events.iter().any(|event| matches!(event, ModelEvent::Done { .. })), "{name}");
        assert_eq!(error.retry_after_ms, (name == "rate limited").then_some(7_000), "{name}");
        assert!(error.sent, "{name}: it may have been charged for");
        assert_eq!(server.seen().len(), 1, "{name}: an attempt is made once");
    }
}

#[tokio::test]
async fn a_server_that_refuses_the_connection_may_come_back() {
    let (_, error) = ask(&model(&refusing_base_url().await.unwrap(), PATIENT)).await;
    let error = error.unwrap();
    assert_eq!((error.kind, error.retryable, error.sent), (ServerError, true, false));
    assert!(error.message.contains("is it running"), "{}", error.message);
}

#[tokio::test]
async fn a_probe_asks_for_the_list_of_models_and_says_what_is_wrong() {
    let list = |ids: &[&str]| {
        let data: Vec<_> = ids.iter().map(|id| json!({"id": id, "object": "model"})).collect();
        Behaviour::document(200, &json!({"object": "list", "data": data}))
    };
    let cases = [
        ("listed", list(&["other", "test-model"]), None),
        ("with a tag", list(&["test-model:latest"]), None),
        ("another", list(&["test-model-2", "b"]), Some("`test-model` is not in its list of models (test-model-2, b)")),
        ("many", list(&["a", "b", "c", "d", "e", "f", "g"]), Some("(a, b, c, d, e, f, …)")),
        ("none", list(&[]), Some("(none)")),
        ("bad key", Behaviour::fails(401), Some("`api_key`")),
        ("failing", Behaviour::fails(500), Some("failed (500)")),
        ("not there", Behaviour::fails(404), Some("/v1/models (404): check `base_url`")),
        ("page", Behaviour::page(), Some("text/html")),
        ("no list", Behaviour::document(200, &json!({"ok": true})), Some("not with a list")),
        ("silent", Behaviour::silent(), Some("does not answer within")),
        ("no list to its end", Behaviour::no_first_byte(), Some("does not answer within")),
    ];
    for (name, behaviour, expected) in cases {
        let server = MockServer::start(vec![behaviour]).await.unwrap();
        let patience = if name.starts_with("no list to") || name == "silent" { SHORT } else { LONG };
        let said = super::probe::probe(&model(&server.base_url(), PATIENT), patience).await;
        assert_eq!(said.is_err(), expected.is_some(), "{name}: {said:?}");
        let said = said.err().unwrap_or_default();
        assert!(said.contains(expected.unwrap_or_default()), "{name}: {said}");
        let seen = server.seen();
        assert_eq!((seen.len(), seen[0].path.as_str()), (1, "/v1/models"), "{name}");
        assert_eq!(seen[0].headers["authorization"], "Bearer sk-secret", "{name}");
    }
    let said = model(&refusing_base_url().await.unwrap(), PATIENT).probe().await.unwrap_err();
    assert!(said.contains("is it running") && said.contains("127.0.0.1"), "{said}");
}

#[tokio::test]
async fn a_resolver_of_ones_own_decides_what_is_dialled() {
    let server = MockServer::start(vec![Behaviour::speaks("I am here.")]).await.unwrap();
    let resolver = Arc::new(NoWay::default());
    let options = Options {
        card: card("m"),
        base_url: server.base_url().replace("127.0.0.1", "localhost"),
        api_key: None,
        allow_http_hosts: vec!["localhost".to_owned()],
        timeouts: PATIENT,
    };
    let model = OpenAi::new(options, Arc::new(FixedClock::default()), Some(resolver.clone())).unwrap();
    let error = ask(&model).await.1.unwrap();
    assert_eq!((error.kind, error.sent), (ServerError, false));
    assert!(error.detail.unwrap().contains("may not be dialled"));
    assert_eq!(*resolver.0.lock().unwrap(), ["localhost"]);
    assert!(server.seen().is_empty());
}

/// `localhost` leads to this machine: dialled when it is listed, never otherwise.
#[tokio::test]
async fn what_is_not_public_is_dialled_for_listed_hosts_alone() {
    let server = MockServer::start(vec![Behaviour::speaks("I am here.")]).await.unwrap();
    let local = server.base_url().replace("127.0.0.1", "localhost");
    let model = |base_url: &str, listed: &[&str]| {
        let options = Options {
            card: card("m"),
            base_url: base_url.to_owned(),
            api_key: None,
            allow_http_hosts: listed.iter().map(|&host| host.to_owned()).collect(),
            timeouts: PATIENT,
        };
        OpenAi::new(options, Arc::new(FixedClock::default()), None).unwrap()
    };
    let error = ask(&model(&local.replace("http:", "https:"), &["127.0.0.1"])).await.1.unwrap();
    assert_eq!((error.kind, error.retryable, error.sent), (Refused, false, false));
    assert!(error.message.contains("allow_http_hosts") && !error.message.contains("localhost"), "{}", error.message);
    let detail = error.detail.unwrap();
    assert!(detail.starts_with("localhost leads to ") && detail.contains("this machine itself"), "{detail}");
    assert!(server.seen().is_empty());

    assert_eq!(ask(&model(&local, &["localhost"])).await.1, None);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn proxies_from_the_environment_are_ignored() {
    // Runs another test of this file in a process whose environment names a proxy that nobody serves.
    let nobody = refusing_base_url().await.unwrap();
    let tested = "openai::tests::a_reply_streams_word_by_word_over_the_wire";
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", tested])
        .envs(["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"].map(|name| (name, nobody.as_str())))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn a_server_without_encryption_cannot_pass_for_one_with_it() {
    let server = MockServer::start(vec![Behaviour::speaks("I am here.")]).await.unwrap();
    let error = ask(&model(&server.base_url().replace("http:", "https:"), PATIENT)).await.1.unwrap();
    assert_eq!((error.kind, error.retryable, error.sent), (ServerError, true, false));
    assert!(server.seen().iter().all(|seen| seen.body.is_null()), "the request was not sent in the open");
}

#[tokio::test]
async fn answers_that_only_look_strange_are_replies() {
    let cases = [
        ("whole document", Behaviour::whole("Größe und Ruhe."), "Größe und Ruhe."),
        ("single bytes", Behaviour::split_utf8("Größe 🜂 und Ruhe."), "Größe 🜂 und Ruhe."),
        (
            "stream declared as a document",
            Behaviour::speaks("I am here.").header("content-type", "application/json"),
            "I am here.",
        ),
        (
            "no end mark, but a finish reason",
            Behaviour::sends(&[
                b"data:{\"choices\":[{\"delta\":{\"content\":\"Yes.\"},\"finish_reason\":\"eos\"}]}\r\n\r\n",
            ]),
            "Yes.",
        ),
        (
            "no finish reason, but an end mark",
            Behaviour::sends(&[b": ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"Yes.\"}}]}\ndata: [DONE]\n"]),
            "Yes.",
        ),
        ("slow, but in time", Behaviour::speaks("Late.").after(Duration::from_millis(20)), "Late."),
    ];
    for (name, behaviour, expected) in cases {
        let server = MockServer::start(vec![behaviour]).await.unwrap();
        let (events, error) = ask(&model(&server.base_url(), PATIENT)).await;
        assert_eq!(error, None, "{name}");
        assert_eq!(reply_text(&events), expected, "{name}");
        assert!(matches!(events.last(), Some(ModelEvent::Done { finish: Finish::Stop, .. })), "{name}");
    }
}

#[tokio::test]
async fn a_declined_parameter_is_left_out_from_then_on() {
    let declines =
        Behaviour::document(400, &json!({"error":{"message":"Unsupported parameter: 'logprobs'","param":"logprobs"}}));
    let server = MockServer::start(vec![declines, Behaviour::speaks("I am here.")]).await.unwrap();
    let model = model(&server.base_url(), PATIENT);
    for _ in 0..2 {
        assert_eq!(ask(&model).await.1, None);
    }
    let sent: Vec<bool> = server.seen().iter().map(|seen| seen.body.get("logprobs").is_some()).collect();
    assert_eq!(sent, [true, false, false]);
}

#[tokio::test]
async fn the_key_stays_secret_even_when_the_server_repeats_it() {
    let tells = json!({"error":{"message":"Incorrect API key provided: sk-secret","code":"invalid_api_key"}});
    for behaviour in [Behaviour::document(401, &tells), Behaviour::document(200, &tells)] {
        let server = MockServer::start(vec![behaviour]).await.unwrap();
        let model = model(&server.base_url(), PATIENT);
        let error = ask(&model).await.1.unwrap();
        assert_eq!(error.kind, Refused);
        assert!(error.detail.as_ref().unwrap().contains("[key]"));
        assert!(!format!("{error:?} {model:?}").contains("sk-secret"));
    }
}

#[tokio::test]
async fn a_repeated_opener_is_not_spoken_twice() {
    let server = MockServer::start(vec![Behaviour::speaks("I need to decide before evening.")]).await.unwrap();
    let (events, _) = ask_with(&model(&server.base_url(), PATIENT), Some("I need to decide")).await;
    assert_eq!(reply_text(&events), " before evening.");
    let asked = &server.seen()[0].body["messages"][1]["content"];
    assert!(asked.as_str().unwrap().contains("I need to decide"), "{asked}");
}

/// Milliseconds to wait, and what is sent then.
type Pieces = Vec<(u64, &'static str)>;

/// Sends each piece after its wait, then ends or hangs.
fn body(pieces: Pieces, hangs: bool) -> Body {
    let sent = stream::iter(pieces).then(|(wait_ms, piece)| async move {
        sleep(Duration::from_millis(wait_ms)).await;
        Ok(Bytes::from_static(piece.as_bytes()))
    });
    if hangs { sent.chain(stream::pending()).boxed() } else { sent.boxed() }
}

const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"word \"}}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const PING: &str = ": ping\n\n";

#[tokio::test(start_paused = true)]
async fn the_three_timeouts_are_kept_to_the_millisecond() {
    let cases: [(&str, Pieces, bool, u64, Option<&str>); 8] = [
        ("first byte in time", vec![(29_999, WORD), (0, FINISH)], false, 29_999, None),
        ("first byte late", vec![(30_001, WORD), (0, FINISH)], false, 30_000, Some("did not begin")),
        ("idle in time", vec![(0, WORD), (19_999, WORD), (19_999, FINISH), (0, DONE)], false, 39_998, None),
        ("idle late", vec![(0, WORD), (20_001, WORD)], false, 20_000, Some("fell silent")),
        ("one word per ten seconds", vec![(10_000, WORD); 30], false, 180_000, Some("not complete")),
        ("nothing but pings", vec![(10_000, PING); 30], false, 180_000, Some("not complete")),
        ("finished, never closed", vec![(0, WORD), (0, FINISH)], true, 2_000, None),
        ("done, never closed", vec![(0, WORD), (0, DONE)], true, 50, None),
    ];
    for (name, pieces, hangs, took_ms, says) in cases {
        let start = Instant::now();
        let events = exchange::events(body(pieces, hangs), ReplyReader::new(None), Timeouts::default(), start);
        let result: Result<Vec<ModelEvent>, ModelError> = events.try_collect().await;
        assert_eq!(start.elapsed(), Duration::from_millis(took_ms), "{name}");
        match (result, says) {
            (Ok(events), None) => assert!(matches!(events.last(), Some(ModelEvent::Done { .. })), "{name}"),
            (Err(error), Some(says)) => {
                assert!(error.kind == Timeout && error.message.contains(says), "{name}: {error:?}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
    }
}

/// What the reader makes of an answer that arrives in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, opener: Option<&str>) -> (Vec<ModelEvent>, Option<ModelError>) {
    let mut reader = ReplyReader::new(opener);
    let mut out = VecDeque::new();
    for piece in pieces {
        if let Err(error) = reader.push(piece, &mut out) {
            return (out.into(), Some(error));
        }
        if reader.is_over() {
            break;
        }
    }
    let error = reader.finish(&mut out).err();
    (out.into(), error)
}

fn read_text(text: &str) -> (Vec<ModelEvent>, Option<ModelError>) {
    read([text.as_bytes()], None)
}

fn delta(fields: &serde_json::Value) -> String {
    format!("data: {}\n\n", json!({"choices":[{"delta":fields}]}))
}

#[test]
fn reasoning_is_kept_apart_from_speech() {
    let separate = delta(&json!({"reasoning_content":"hm"})) + &delta(&json!({"content":"So."})) + DONE;
    let inline = delta(&json!({"content":"<th"})) + &delta(&json!({"content":"ink>hm</think>\n\nSo."})) + DONE;
    for answer in [separate, inline] {
        let (events, error) = read_text(&answer);
        assert_eq!(error, None);
        assert_eq!(events[0], ModelEvent::Reasoning("hm".into()));
        assert_eq!(reply_text(&events), "So.");
    }
    let only = read_text(&(delta(&json!({"reasoning":"hm"})) + FINISH)).1.unwrap();
    assert!(only.kind == BadAnswer && only.message.contains("only reasoned"), "{only:?}");
    let leaked = read_text(&(delta(&json!({"content":"I weigh it.</think>So."})) + FINISH)).1.unwrap();
    assert!(leaked.kind == BadAnswer && !leaked.retryable, "{leaked:?}");
}

#[test]
fn how_a_reply_ends() {
    let ends = |word: &str| format!("data: {}\n\n", json!({"choices":[{"delta":{},"finish_reason":word}]}));
    for (word, expected) in
        [("stop", Finish::Stop), ("max_tokens", Finish::Length), ("content_filter", Finish::Filtered)]
    {
        let (events, error) = read_text(&(WORD.to_owned() + &ends(word) + DONE));
        assert_eq!(error, None);
        assert!(matches!(events.last(), Some(ModelEvent::Done { finish, .. }) if *finish == expected), "{word}");
    }
    assert_eq!(read_text(&ends("content_filter")).1, None, "a withheld reply may be empty");
    assert_eq!(read_text(&ends("stop")).1.unwrap().kind, BadAnswer, "another may not");
    assert_eq!(read_text(&(WORD.to_owned() + &ends("error"))).1.unwrap().kind, ServerError);
    let refusal = delta(&json!({"refusal":"I cannot."})) + FINISH + DONE;
    let (events, _) = read_text(&refusal);
    assert_eq!(events, [ModelEvent::Done { finish: Finish::Filtered, usage: None, confidence: None }]);
}

#[test]
fn confidence_is_the_geometric_mean_over_what_was_said() {
    let chunk = |text: &str, logprob: f64| {
        let choice = json!({"delta":{"content":text},"logprobs":{"content":[{"token":text,"logprob":logprob}]}});
        format!("data: {}\n\n", json!({"choices":[choice]}))
    };
    let answer = chunk("<think>", -9.0)
        + &chunk("hm", -9.0)
        + &delta(&json!({"content":"</think>"}))
        + &chunk("a", -0.2)
        + &chunk("b", -0.4)
        + DONE;
    let (events, error) = read_text(&answer);
    assert_eq!(error, None);
    let Some(ModelEvent::Done { confidence: Some(confidence), .. }) = events.last() else { panic!("{events:?}") };
    assert!((confidence - (-0.3f64).exp()).abs() < 1e-12, "{confidence}");
}

#[test]
fn texts_and_lines_have_a_longest_length() {
    let piece = "x".repeat(LINE_CAP / 2);
    for field in ["content", "reasoning"] {
        let fits = delta(&json!({field: piece})).repeat(TEXT_CAP / piece.len());
        let error = read_text(&(fits.clone() + FINISH)).1;
        assert!(error.is_none_or(|e| e.message.contains("only reasoned")), "{field}: exactly the cap is allowed");
        let error = read_text(&(fits + &delta(&json!({field: "x"})) + FINISH)).1.unwrap();
        assert!(error.message.contains("256 KiB"), "{field}: {error}");
    }
    let document = |n: usize| json!({"choices":[{"message":{"content":"x".repeat(n)}}]}).to_string();
    assert_eq!(read_text(&document(TEXT_CAP)).1, None);
    assert!(read_text(&document(TEXT_CAP + 1)).1.unwrap().message.contains("256 KiB"));
    assert!(read_text(&document(4 * TEXT_CAP)).1.unwrap().message.contains("1024 KiB"));
}

#[test]
fn an_event_may_span_lines_but_not_for_ever() {
    let spread = "data: {\"choices\":[{\ndata: \"delta\":{\"content\":\"So.\"}}]}\n\ndata: [DONE]\n\n";
    assert_eq!(reply_text(&read_text(spread).0), "So.");
    let over_lines = |n: usize| {
        let first = "data: [{\"choices\":[{\"delta\":{\"content\":\"So.\"}}]}\n";
        first.to_owned() + &"data: ,{}\n".repeat(n) + "data: ]\n\n" + DONE
    };
    assert_eq!(reply_text(&read_text(&over_lines(60)).0), "So.");
    assert!(read_text(&over_lines(70)).1.unwrap().message.contains("not JSON"));
}

/// Pieces of answers, good and bad, to be put together at random.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<Vec<u8>> = [
        WORD, FINISH, DONE, PING, "\r\n", "\r", "\n", "event: error\n", "data: {\"error\":\"x\"}\n\n", "error: x\n", "{",
        "data: {\"choices\":[{\"delta\":{\"content\":\"<think>Größe\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"</think> 🜂\"},\"finish_reason\":\"length\"}]}\r\r",
        "data: {\"choices\":[{\"delta\":{\"content\":\" I need\"}}]}\ndata: {\"choices\":[{\"delta\":{\"content\":\" to\"}}]}\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n",
        "data: {\"choices\":[{\ndata: \"delta\":{\"content\":\"x\"}}]}\n\n", "{\"choices\":[{\"message\":{\"content\":\"whole\"}}]}",
        "\u{feff}", "  \n", "<html>",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    prop_oneof![8 => prop::sample::select(known), 1 => prop::collection::vec(any::<u8>(), 0..12)]
}

proptest! {
    #[test]
    fn the_cut_of_the_bytes_changes_nothing(
        fragments in prop::collection::vec(fragment(), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        opener in prop::option::of(Just("I need to")),
    ) {
        let bytes = fragments.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let expected = read([&bytes[..]], opener);
        prop_assert_eq!(&read(cuts.windows(2).map(|w| &bytes[w[0]..w[1]]), opener), &expected);
        prop_assert_eq!(&read(bytes.chunks(1), opener), &expected);
        let ends = expected.0.iter().filter(|event| matches!(event, ModelEvent::Done { .. })).count();
        prop_assert_eq!(ends, usize::from(expected.1.is_none()), "one end, or an error");
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        read([&bytes[..]], Some("I"));
    }
}
