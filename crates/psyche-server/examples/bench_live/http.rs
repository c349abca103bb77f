//! The few plain HTTP calls that are not measured: one connection each.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::Outcome;

const PATIENCE: Duration = Duration::from_secs(30);

/// One exchange: status and body.
pub fn call(port: u16, method: &str, path: &str, token: &str, body: Option<&str>) -> Outcome<(u16, String)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = request(port, method, path, token, body, "close");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| format!("{method} {path} was not answered with HTTP: {answer:.80}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { unchunked(body) } else { body.to_owned() }))
}

/// As [`call`], and anything but success is an error.
pub fn expect(port: u16, method: &str, path: &str, token: &str, body: Option<&str>) -> Outcome<String> {
    let (status, answer) = call(port, method, path, token, body)?;
    if !(200..300).contains(&status) {
        return Err(format!("{method} {path} was answered with {status}: {answer}").into());
    }
    Ok(answer)
}

/// The text of a request, with a JSON body where there is one.
pub fn request(port: u16, method: &str, path: &str, token: &str, body: Option<&str>, connection: &str) -> String {
    let sign_in = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    let content = body.map_or_else(
        || "\r\n".to_owned(),
        |body| format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: {connection}\r\n{sign_in}{content}")
}

/// The value of a field of the first JSON object in which it stands.
pub fn json_field(body: &str, name: &str) -> Outcome<String> {
    let value: serde_json::Value = serde_json::from_str(body)?;
    match value.get(name) {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(format!("the answer has no {name:?}: {body}").into()),
    }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let Some(chunk) = usize::from_str_radix(length.trim(), 16).ok().filter(|n| *n > 0).and_then(|n| rest.get(..n))
        else {
            break;
        };
        out.push_str(chunk);
        body = rest.get(chunk.len() + 2..).unwrap_or_default();
    }
    out
}
