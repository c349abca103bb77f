//! `cargo xtask sentiment`: the sentiment rules beside the reference implementation, on the same texts in the same run.

use anyhow::Result;

use crate::{root, run, tools};

pub fn sentiment() -> Result<()> {
    let bin = tools::python("vader")?;
    run("cargo", &["build", "--locked", "--release", "--workspace", "--example", "score_sentiment"])?;
    let scorer = tools::target_dir().join("release/examples/score_sentiment").display().to_string();
    let script = root().join("xtask/python/vader.py").display().to_string();
    run(&bin.join("python").display().to_string(), &[&script, &scorer])
}
