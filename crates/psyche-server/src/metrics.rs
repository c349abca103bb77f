//! Prometheus text: a handful of numbers, counted by route template, never by path.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::http::Method;

#[derive(Default)]
struct Route {
    count: u64,
    seconds: f64,
}

#[derive(Default)]
pub struct Metrics {
    routes: Mutex<BTreeMap<(String, String, u16), Route>>,
    pub frames_sent: AtomicU64,
    pub slow_readers_cut: AtomicU64,
    pub live_dropped: AtomicU64,
    pub log_reads: AtomicU64,
}

/// Numbers that are read when the scraper asks.
pub struct Now {
    pub sockets: usize,
    pub sessions_running: usize,
    pub feeds: usize,
    pub ready: bool,
    pub short_of_memory: bool,
    pub version: String,
}

impl Metrics {
    pub fn observe(&self, method: &Method, template: &str, status: u16, seconds: f64) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry((known(method).to_owned(), template.to_owned(), status)).or_default();
        route.count += 1;
        route.seconds += seconds;
    }

    pub fn text(&self, now: &Now) -> String {
        let mut out = String::new();
        let mut single = |name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display| {
            // Writing to a String cannot fail.
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        single("psyche_websocket_connections", "gauge", "Open sockets.", &now.sockets);
        single("psyche_sessions_running", "gauge", "Sessions this process drives.", &now.sessions_running);
        single("psyche_live_feeds", "gauge", "Sessions with at least one reader.", &now.feeds);
        single("psyche_ready", "gauge", "1 while the server takes requests.", &u8::from(now.ready));
        let help = "1 while memory is short and nothing new is taken on.";
        single("psyche_short_of_memory", "gauge", help, &u8::from(now.short_of_memory));
        single("psyche_websocket_frames_sent_total", "counter", "Frames given to sockets.", &load(&self.frames_sent));
        single("psyche_websocket_slow_readers_cut_total", "counter", "Readers cut off.", &load(&self.slow_readers_cut));
        let help = "Live frames that a reader under pressure did not get.";
        single("psyche_websocket_live_frames_dropped_total", "counter", help, &load(&self.live_dropped));
        let help = "Reads of the log for readers that were behind.";
        single("psyche_log_reads_total", "counter", help, &load(&self.log_reads));
        let _ = write!(
            out,
            "# HELP psyche_build_info The version.\n# TYPE psyche_build_info gauge\npsyche_build_info{{version=\"{}\"}} 1\n",
            now.version
        );
        out.push_str(
            "# HELP psyche_http_requests_total Requests by route.\n# TYPE psyche_http_requests_total counter\n",
        );
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for ((method, route, status), counted) in routes.iter() {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            let _ = writeln!(out, "psyche_http_requests_total{{{labels}}} {}", counted.count);
        }
        out.push_str("# HELP psyche_http_request_seconds_total Time spent on requests.\n# TYPE psyche_http_request_seconds_total counter\n");
        for ((method, route, status), counted) in routes.iter() {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            let _ = writeln!(out, "psyche_http_request_seconds_total{{{labels}}} {:.6}", counted.seconds);
        }
        out
    }
}

/// Clients may invent methods; labels may not grow with them.
fn known(method: &Method) -> &str {
    match method.as_str() {
        m @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => m,
        _ => "other",
    }
}
