//! Lines with sums: of a line that a crash tore, nothing is believed.

use std::fmt::Write as _;

use psyche_core::words::Hash;

/// Adds a line with its sum.
pub fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content} {}", sum(content));
}

fn sum(content: &str) -> String {
    hex::encode(&Hash::of(content.as_bytes()).0[..4])
}

/// What a line says, when its sum is right.
pub fn checked(line: &str) -> Option<&str> {
    let (content, found) = line.rsplit_once(' ')?;
    Some(content).filter(|content| sum(content) == found)
}
