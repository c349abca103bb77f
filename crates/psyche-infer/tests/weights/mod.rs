//! Finds the weights that the tests of this directory need.

use std::path::PathBuf;

use psyche_infer::Model;

/// Loads SmolLM2-135M-Instruct from the path in `PSYCHE_TEST_MODEL`, else from the project's `data/models`.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration; this variable names the weights")]
pub fn load() -> Model {
    let path = std::env::var_os("PSYCHE_TEST_MODEL").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/models/SmolLM2-135M-Instruct.Q4_1.gguf"),
        PathBuf::from,
    );
    Model::load(&path).unwrap_or_else(|error| {
        panic!(
            "this test needs the weights: {error}. Run `psyche model fetch` or `make model`, \
             or set PSYCHE_TEST_MODEL to the path of SmolLM2-135M-Instruct.Q4_1.gguf"
        )
    })
}
