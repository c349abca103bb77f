//! What the program is made of, in CycloneDX 1.6: everything the lock files name, with checksums, and what of it is shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::root;

/// Where `cargo xtask sbom` puts it.
const FILE: &str = "target/psyche.cdx.json";

/// Licences of the crates that the program is linked from, by name and version.
type Shipped = BTreeMap<(String, String), String>;

pub fn write() -> Result<()> {
    let document = document()?;
    fs::write(root().join(FILE), serde_json::to_string_pretty(&document)?).with_context(|| format!("write {FILE}"))?;
    let components = document["components"].as_array().map_or(0, Vec::len);
    println!("{FILE}: {components} components");
    Ok(())
}

/// The document. The same lock files give the same bytes.
pub fn document() -> Result<Value> {
    let read = |name: &str| fs::read_to_string(root().join(name)).with_context(|| format!("read {name}"));
    build(&read("Cargo.lock")?, &shipped()?, &read("web/package-lock.json")?)
}

/// Asks cargo what the program is linked from.
fn shipped() -> Result<Shipped> {
    let arguments =
        ["tree", "--locked", "--package", "psyche", "--edges", "normal", "--prefix", "none", "--format", "{p}\t{l}"];
    let output = Command::new("cargo").args(arguments).current_dir(root()).output().context("start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree has failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(parse_tree(&String::from_utf8_lossy(&output.stdout)))
}

/// Lines such as `serde v1.0.0 (proc-macro)`, a tab, and the licence.
fn parse_tree(text: &str) -> Shipped {
    let crates = text.lines().filter_map(|line| {
        let (package, licence) = line.split_once('\t')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let licence = licence.split(" (").next().unwrap_or_default().trim();
        Some(((name.to_owned(), version.to_owned()), licence.replace('/', " OR ")))
    });
    crates.collect()
}

fn build(cargo_lock: &str, shipped: &Shipped, web_lock: &str) -> Result<Value> {
    let mut components = crates(cargo_lock, shipped)?;
    components.extend(packages(web_lock)?);
    let mut seen = BTreeSet::new();
    components.retain(|component| seen.insert(component["bom-ref"].as_str().unwrap_or_default().to_owned()));
    components.sort_by(|a, b| a["bom-ref"].as_str().cmp(&b["bom-ref"].as_str()));
    let version = shipped.keys().find(|(name, _)| name == "psyche").map(|(_, version)| version.as_str());
    let version = version.context("cargo tree does not name psyche")?;
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": "psyche", "name": "psyche", "version": version,
                "licenses": [{"expression": "Apache-2.0"}],
            },
        },
        "components": components,
    }))
}

fn crates(lock: &str, shipped: &Shipped) -> Result<Vec<Value>> {
    let lock: toml::Table = toml::from_str(lock).context("read Cargo.lock")?;
    let packages = lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock is empty")?;
    let mut components = Vec::new();
    for package in packages {
        let field = |field: &str| package.get(field).and_then(toml::Value::as_str);
        // Our own rooms have no source.
        let (Some(name), Some(version), Some(_)) = (field("name"), field("version"), field("source")) else { continue };
        let checksum = field("checksum").with_context(|| format!("{name} has no checksum"))?;
        let purl = format!("pkg:cargo/{name}@{version}");
        let licence = shipped.get(&(name.to_owned(), version.to_owned()));
        let hash = json!({"alg": "SHA-256", "content": checksum});
        components.push(component(name, version, &purl, hash, licence.is_some(), licence.map(String::as_str)));
    }
    Ok(components)
}

fn packages(lock: &str) -> Result<Vec<Value>> {
    let lock: Value = serde_json::from_str(lock).context("read package-lock.json")?;
    let packages = lock["packages"].as_object().context("package-lock.json is empty")?;
    let mut components = Vec::new();
    // The first, without a name, is the dashboard itself.
    for (path, package) in packages.iter().filter(|(path, _)| !path.is_empty()) {
        let name = path.rsplit("node_modules/").next().unwrap_or(path);
        let version = package["version"].as_str().with_context(|| format!("{name} has no version"))?;
        let integrity = package["integrity"].as_str().with_context(|| format!("{name} has no checksum"))?;
        let digest = integrity.strip_prefix("sha512-").and_then(hex_of_base64);
        let digest = digest.with_context(|| format!("the checksum of {name} is no SHA-512"))?;
        let purl = format!("pkg:npm/{}@{version}", name.replace('@', "%40"));
        let hash = json!({"alg": "SHA-512", "content": digest});
        let is_shipped = package["dev"] != true;
        components.push(component(name, version, &purl, hash, is_shipped, package["license"].as_str()));
    }
    Ok(components)
}

fn component(name: &str, version: &str, purl: &str, hash: Value, is_shipped: bool, licence: Option<&str>) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": [hash],
        // What only builds and tests is not in the program.
        "scope": if is_shipped { "required" } else { "excluded" },
    });
    if let Some(licence) = licence.filter(|licence| !licence.is_empty()) {
        component["licenses"] = json!([{"expression": licence}]);
    }
    component
}

fn hex_of_base64(text: &str) -> Option<String> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut hex) = (0_u32, 0, String::new());
    for digit in text.trim_end_matches('=').bytes() {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            // Writing to a String cannot fail.
            let _ = write!(hex, "{:02x}", (bits >> held) & 0xff);
        }
    }
    Some(hex)
}

/// What is wrong with a document: a shipped part without checksum or licence, or no parts at all.
pub fn check(document: &Value) -> Result<Vec<String>> {
    let components = document["components"].as_array().context("the SBOM has no components")?;
    ensure!(!components.is_empty(), "the SBOM has no components");
    let bare = components.iter().filter(|component| {
        let digest = component["hashes"][0]["content"].as_str().unwrap_or_default();
        let is_digest = [64, 128].contains(&digest.len()) && digest.bytes().all(|b| b.is_ascii_hexdigit());
        !is_digest || (component["scope"] == "required" && component["licenses"].is_null())
    });
    Ok(bare.map(|component| format!("the SBOM says too little of {}", component["purl"])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn crate_of(name: &str, checksum: &str) -> String {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"1.2.3\"\nsource = \"{SOURCE}\"\nchecksum = \"{checksum}\"\n"
        )
    }

    #[test]
    fn every_locked_part_is_there_once_and_what_is_shipped_is_marked() {
        let digest = "ab".repeat(32);
        let lock = format!(
            "version = 4\n[[package]]\nname = \"psyche\"\nversion = \"0.1.0\"\n{}{}",
            crate_of("linked", &digest),
            crate_of("tested-with", &digest)
        );
        let tree = "psyche v0.1.0 (/somewhere)\tApache-2.0\nlinked v1.2.3 (proc-macro)\tMIT/Apache-2.0\nlinked v1.2.3\tMIT/Apache-2.0 (*)\n";
        let shipped = parse_tree(tree);
        let sha512 = format!("sha512-{}==", "A".repeat(86));
        let web = json!({"packages": {
            "": {"name": "web"},
            "node_modules/@scope/shown": {"version": "2.0.0", "integrity": sha512, "license": "MIT"},
            "node_modules/a/node_modules/@scope/shown": {"version": "2.0.0", "integrity": sha512, "license": "MIT"},
            "node_modules/tool": {"version": "3.0.0", "integrity": sha512, "license": "MIT", "dev": true},
        }});
        let document = build(&lock, &shipped, &web.to_string()).unwrap();
        assert_eq!((&document["bomFormat"], &document["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
        assert_eq!(document["metadata"]["component"]["version"], "0.1.0");
        let parts: Vec<_> = document["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| (c["purl"].as_str().unwrap(), c["scope"].as_str().unwrap()))
            .collect();
        assert_eq!(
            parts,
            [
                ("pkg:cargo/linked@1.2.3", "required"),
                ("pkg:cargo/tested-with@1.2.3", "excluded"),
                ("pkg:npm/%40scope/shown@2.0.0", "required"),
                ("pkg:npm/tool@3.0.0", "excluded"),
            ]
        );
        let linked = &document["components"][0];
        assert_eq!(linked["licenses"], json!([{"expression": "MIT OR Apache-2.0"}]));
        assert_eq!(linked["hashes"], json!([{"alg": "SHA-256", "content": digest}]));
        assert_eq!(document["components"][2]["hashes"][0]["content"], "00".repeat(64));
        assert!(check(&document).unwrap().is_empty());
    }

    #[test]
    fn a_part_without_checksum_or_licence_is_found() {
        let shipped = parse_tree("psyche v0.1.0\tApache-2.0\nlinked v1.2.3\t\n");
        let web = r#"{"packages": {}}"#;
        let document = build(&crate_of("linked", &"ab".repeat(32)), &shipped, web).unwrap();
        assert_eq!(check(&document).unwrap().len(), 1);
        let document = build(&crate_of("other", "short"), &shipped, web).unwrap();
        assert_eq!(check(&document).unwrap().len(), 1);
        assert!(build("version = 4\n", &shipped, web).is_err(), "an empty lock file tells nothing");
    }
}
