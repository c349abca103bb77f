//! Embeds the transcripts that the measures are tested on, so that their tests need no weights:
//! `cargo run --release -p psyche-llm --example embed_transcripts MODEL.onnx` writes
//! `crates/psyche-core/tests/data/measure/embeddings.txt`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use psyche_core::embedding::Embedding;
use psyche_core::measure::canonical;
use psyche_core::words::Hash;
use psyche_infer::Encoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).ok_or("the first argument is the path of the ONNX file")?;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../psyche-core/tests/data/measure");
    let mut texts: Vec<String> =
        canonical().iter().flat_map(|c| c.turns.iter().map(|line| line.text.to_owned())).collect();
    for entry in std::fs::read_dir(&data)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "txt") && !path.ends_with("embeddings.txt") {
            let file = std::fs::read_to_string(&path)?;
            texts.extend(file.lines().filter_map(|line| line.split_once("> ")).map(|(_, text)| text.to_owned()));
            texts.extend(
                file.lines().filter(|l| l.contains('|')).flat_map(|l| l.split('|')).map(|t| t.trim().to_owned()),
            );
        }
    }
    let by_digest: BTreeMap<String, String> =
        texts.into_iter().map(|text| (Hash::of(text.as_bytes()).to_string()[..16].to_owned(), text)).collect();
    let encoder = Encoder::load(model)?;
    let wanted: Vec<&str> = by_digest.values().map(String::as_str).collect();
    let mut file = String::new();
    for (digest, vector) in by_digest.keys().zip(encoder.encode(&wanted)) {
        let embedding = Embedding::of(&vector).ok_or("a text has no embedding")?;
        writeln!(file, "{digest} {}", embedding.to_text())?;
    }
    std::fs::write(data.join("embeddings.txt"), file)?;
    println!("{} texts", by_digest.len());
    Ok(())
}
