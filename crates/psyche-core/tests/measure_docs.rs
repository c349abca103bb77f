//! The user guide states the formulas word for word as the code does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a directory with this ending: name without it, and text.
fn files(dir: &str, ending: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned();
        Some((name, fs::read_to_string(path).unwrap()))
    });
    named.collect()
}

fn head(source: &str) -> Vec<&str> {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect()
}

/// A measure is a file whose head names its source.
#[test]
fn every_measure_has_a_page_that_repeats_its_head() {
    let sources = files("crates/psyche-core/src/measure", ".rs");
    let pages = files("docs/guide/measures", ".md");
    let mut measures = BTreeSet::new();
    for (name, source) in &sources {
        let head = head(source);
        if !head.iter().any(|line| line.starts_with("* Source:")) {
            continue;
        }
        measures.insert(name.clone());
        let Some((_, page)) = pages.iter().find(|(page, _)| page == name) else {
            panic!("measure/{name}.rs has no page docs/guide/measures/{name}.md");
        };
        let lines: Vec<&str> = page.lines().collect();
        assert!(
            lines.windows(head.len()).any(|lines| lines == head),
            "docs/guide/measures/{name}.md does not hold the head of measure/{name}.rs; copy it there:\n{}",
            head.join("\n")
        );
        assert!(head.iter().any(|line| line.starts_with("* Limits:")), "measure/{name}.rs names no limits");
    }
    assert!(measures.len() >= 20, "{measures:?}");
    let written: BTreeSet<String> = pages.into_iter().map(|(name, _)| name).collect();
    assert_eq!(written, measures, "pages without a measure, or the other way round");
}

#[test]
fn the_index_names_every_page() {
    let index = fs::read_to_string(root().join("docs/measures.md")).unwrap();
    for (name, _) in files("docs/guide/measures", ".md") {
        assert!(index.contains(&format!("(guide/measures/{name}.md)")), "docs/measures.md does not name {name}");
    }
}
