//! What an HTTP status, or an error told inside an answer, means for the turn.

use psyche_core::Timestamp;
use psyche_core::port::{ModelError, ModelErrorKind};

use super::chunk::Upstream;
use crate::failure::{Explain, failure, rate_limited, refused, server_error, timeout};

/// No wait that a server asks for is taken to be longer than this.
const LONGEST_WAIT_MS: u64 = 60 * 60 * 1000;

/// The failure that a status other than 2xx stands for. `code` is the provider's own word for it, when it gave one.
pub fn status_error(status: u16, code: &str) -> ModelError {
    let is_empty_account = ["insufficient_quota", "insufficient_balance", "billing"].iter().any(|w| code.contains(w));
    match status {
        300..400 => refused(format!(
            "the model server sends elsewhere ({status}) and redirects are not followed: set `base_url` to the final address"
        )),
        401 => refused("the model server does not accept the key (401): check `api_key`"),
        402 => out_of_credit(status),
        403 => refused("the model server forbids this request (403): check that `api_key` may use this `model`"),
        404 => refused(
            "the model server knows no such address or model (404): check `base_url` (most end in /v1) and `model`",
        ),
        408 => timeout("the model server timed out by its own account (408)"),
        413 => refused("the model server finds the request too large (413): choose a model with a longer context"),
        429 if is_empty_account => out_of_credit(status),
        429 => rate_limited("the model server's rate limit is reached (429)"),
        400..500 => refused(format!(
            "the model server does not accept the request ({status}): check `model` and that the server speaks chat completions"
        )),
        501 | 505 => refused(format!("the model server cannot do this ({status}): check `base_url`")),
        503 => server_error("the model server is overloaded or starting (503)"),
        500.. => server_error(format!("the model server failed ({status})")),
        _ => failure(
            ModelErrorKind::BadAnswer,
            format!("the model server answered with an unexpected status {status}"),
            false,
        ),
    }
}

fn out_of_credit(status: u16) -> ModelError {
    refused(format!(
        "the account at the model server has no credit left ({status}): top it up, or choose another model"
    ))
}

/// The failure that an error inside an answer stands for.
pub fn upstream_error(error: &Upstream) -> ModelError {
    let code = error.code.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| code.contains(word));
    let status = error.status.unwrap_or(match () {
        () if has(&["rate_limit", "resource_exhausted", "insufficient_quota", "too_many"]) => 429,
        () if has(&["insufficient_balance", "billing"]) => 402,
        () if has(&["authentication", "invalid_api_key", "unauthorized"]) => 401,
        () if has(&["permission"]) => 403,
        () if has(&["not_found"]) => 404,
        () if has(&["context_length"]) => 413,
        () if has(&["invalid_request", "invalid_argument", "bad_request"]) => 400,
        () => 500,
    });
    status_error(status, &code).detail(format!("{} {}", error.code, error.text))
}

/// `Retry-After` in milliseconds: seconds, or an HTTP date counted from `now`.
pub fn retry_after_ms(header: &str, now: Timestamp) -> Option<u64> {
    let header = header.trim();
    let ms = match header.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => (seconds * 1000.0).ceil() as u64,
        Ok(_) => return None,
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(header).ok()?.timestamp().as_microsecond();
            u64::try_from(until.saturating_sub(now.micros())).unwrap_or(0).div_ceil(1000)
        }
    };
    Some(ms.min(LONGEST_WAIT_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ModelErrorKind::{BadAnswer, RateLimited, Refused, ServerError, Timeout};

    #[test]
    fn each_status_says_what_to_do() {
        let cases = [
            (302, "", Refused, false, "`base_url`"),
            (400, "", Refused, false, "`model`"),
            (401, "", Refused, false, "`api_key`"),
            (402, "", Refused, false, "credit"),
            (403, "", Refused, false, "`api_key`"),
            (404, "", Refused, false, "`base_url`"),
            (408, "", Timeout, true, "408"),
            (413, "", Refused, false, "context"),
            (422, "", Refused, false, "422"),
            (429, "", RateLimited, true, "429"),
            (429, "insufficient_quota", Refused, false, "credit"),
            (500, "", ServerError, true, "500"),
            (501, "", Refused, false, "`base_url`"),
            (503, "", ServerError, true, "503"),
            (529, "", ServerError, true, "529"),
            (199, "", BadAnswer, false, "199"),
        ];
        for (status, code, kind, retryable, says) in cases {
            let error = status_error(status, code);
            assert_eq!((error.kind, error.retryable), (kind, retryable), "{status} {code}");
            assert!(error.message.contains(says), "{status}: {}", error.message);
        }
    }

    #[test]
    fn errors_inside_answers_mean_what_their_codes_say() {
        let cases = [
            (Some(429), "", RateLimited),
            (None, "rate_limit_exceeded", RateLimited),
            (None, "RESOURCE_EXHAUSTED", RateLimited),
            (Some(429), "insufficient_quota", Refused),
            (None, "invalid_api_key", Refused),
            (None, "context_length_exceeded", Refused),
            (None, "invalid_request_error", Refused),
            (None, "", ServerError),
            (Some(503), "server_error", ServerError),
        ];
        for (status, code, kind) in cases {
            let error = upstream_error(&Upstream { status, code: code.into(), text: "their words".into() });
            assert_eq!(error.kind, kind, "{status:?} {code}");
            assert!(!error.message.contains("their words"), "the provider's text is not shown");
            assert!(error.detail.unwrap().contains("their words"));
        }
    }

    #[test]
    fn retry_after_as_seconds_or_date() {
        let now = "1994-11-06T08:49:07Z".parse().unwrap();
        let cases = [
            ("30", Some(30_000)),
            (" 0 ", Some(0)),
            ("1.5", Some(1_500)),
            ("999999999", Some(LONGEST_WAIT_MS)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ];
        for (header, expected) in cases {
            assert_eq!(retry_after_ms(header, now), expected, "{header:?}");
        }
    }
}
