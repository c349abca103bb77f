//! Prints the OpenAPI document as it is committed: `cargo xtask codegen`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    let document = psyche_server::openapi().to_pretty_json().map_err(std::io::Error::other)?;
    writeln!(std::io::stdout(), "{document}")
}
