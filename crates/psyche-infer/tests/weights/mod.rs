//! Finds the weights that the tests of this directory need.

#![expect(dead_code, reason = "each test file is a crate of its own and uses one of these")]

use std::path::PathBuf;

use psyche_infer::{Encoder, Model};

/// The path in the variable, else in the project's `data/models`.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration; these variables name the weights")]
fn path(variable: &str, file: &str) -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/models").join(file);
    std::env::var_os(variable).map_or_else(default, PathBuf::from)
}

fn needed(error: impl std::fmt::Display, variable: &str) -> ! {
    panic!("this test needs the weights: {error}. Run `psyche model fetch`, or set {variable} to the file's path")
}

/// SmolLM2-135M-Instruct.
pub fn load() -> Model {
    let variable = "PSYCHE_TEST_MODEL";
    let path = path(variable, "SmolLM2-135M-Instruct.Q4_1.gguf");
    Model::load(&path).unwrap_or_else(|error| needed(error, variable))
}

/// MiniLM-L6-v2.
pub fn encoder() -> Encoder {
    let variable = "PSYCHE_TEST_ENCODER";
    let path = path(variable, "all-MiniLM-L6-v2.int8.onnx");
    Encoder::load(&path).unwrap_or_else(|error| needed(error, variable))
}
