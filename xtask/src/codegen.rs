//! Generated files: openapi.json from the server's routes, the web app's types from openapi.json.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{root, tools};

const DOCUMENT: &str = "openapi.json";
const TYPES: &str = "web/src/lib/api/generated.ts";

pub fn write() -> Result<()> {
    std::fs::write(root().join(DOCUMENT), document()?)?;
    tools::run_in(&root().join("web"), "npm", &["run", "--silent", "codegen"], &[])
}

fn document() -> Result<Vec<u8>> {
    let output = Command::new(tools::example("openapi")?).output().context("start the example openapi")?;
    if !output.status.success() {
        bail!("the server could not write its document: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// Generated files that are not what generating them again gives. The files are left as they are.
pub fn stale() -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let (document_path, types_path) = (root().join(DOCUMENT), root().join(TYPES));
    if std::fs::read(&document_path).unwrap_or_default() != document()? {
        findings.push(format!("{DOCUMENT} is stale: run `cargo xtask codegen`"));
    }
    let before = std::fs::read(&types_path).with_context(|| format!("read {TYPES}"))?;
    tools::run_in(&root().join("web"), "npm", &["run", "--silent", "codegen"], &[])?;
    if std::fs::read(&types_path)? != before {
        std::fs::write(&types_path, before)?;
        findings.push(format!("{TYPES} is stale: run `cargo xtask codegen`"));
    }
    Ok(findings)
}
