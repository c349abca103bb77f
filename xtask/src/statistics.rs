//! `cargo xtask statistics`: writes the cases that hold `psyche_lab::statistics` to SciPy, statsmodels and pymannkendall.
//! Their versions are pinned in `xtask/python/statistics.txt`; a clean tree afterwards shows that the files are theirs.

use anyhow::Result;

use crate::{root, run, tools};

pub fn write() -> Result<()> {
    let python = tools::python("statistics")?.join("python");
    let script = root().join("crates/psyche-lab/tests/data/statistics/reference.py");
    run(&python.display().to_string(), &[&script.display().to_string()])
}
