//! The exports of a long session, read by the programs people read them with: pandas, pyarrow, polars, pdftotext, Chromium,
//! LibreOffice. The session is imported into a throw-away data directory, so the way there and back is tried as well.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{root, tools};

/// Utterances of the session.
const UTTERANCES: &str = "10000";
/// What an export may take at its height, the program itself and its database included.
const MEMORY: u64 = 192 << 20;
const FORMATS: [(&str, &str); 7] = [
    ("parquet", "parquet"),
    ("pdf", "pdf"),
    ("jsonl", "jsonl"),
    ("json", "json"),
    ("csv", "csv"),
    ("markdown", "md"),
    ("html", "html"),
];

/// Checks that held; what could not be tried is said in `skipped`.
pub fn run(skipped: &mut Vec<String>) -> Result<u64> {
    let dir = tools::target_dir().join("exports");
    let dir = dir.as_path();
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).context("make a directory for the exports")?;
    let made = dir.join("made.jsonl");
    write_log(&made)?;
    let data = dir.join("data").display().to_string();
    let psyche = |arguments: &[&str]| -> Result<String> {
        let output = Command::new(tools::binary()?).args(["--data-dir", &data]).args(arguments).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`psyche {}`: {told}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let told = psyche(&["import", &made.display().to_string()])?;
    let id = told.split_whitespace().next().context("the id of what was imported")?.to_owned();
    for (format, extension) in FORMATS {
        let file = dir.join(format!("talk.{extension}")).display().to_string();
        let mut export = Command::new(tools::binary()?);
        export.args(["--data-dir", &data, "export", &id, "--format", format, "--output", &file]);
        let peak = peak_memory(&mut export)?;
        println!("ok  {format}: {} KiB in {} KiB of memory", fs::metadata(&file)?.len() >> 10, peak >> 10);
        ensure!(peak < MEMORY, "an export as {format} took {} MiB of memory", peak >> 20);
    }
    let (first, second) = (fs::read_to_string(&made)?, fs::read_to_string(dir.join("talk.jsonl"))?);
    let events = |text: &str| text.split_once('\n').map(|(_, events)| events.to_owned());
    ensure!(events(&first) == events(&second), "the log did not come back the same");
    println!("ok  jsonl: {} bytes came back the same", second.len());
    psyche(&["verify", &id])?;
    println!("ok  psyche verify: the chain, and the engine run again");
    let read = FORMATS.len() as u64
        + 2
        + by_python(dir)?
        + by_pdftotext(dir, skipped)?
        + by_chromium(dir, skipped)?
        + by_libreoffice(dir, skipped)?;
    Ok(read)
}

fn write_log(file: &Path) -> Result<()> {
    let status = Command::new(tools::example("long_log")?).arg(UTTERANCES).stdout(File::create(file)?).status()?;
    ensure!(status.success(), "the long session could not be made ({status})");
    Ok(())
}

/// Runs a program to its end; the most memory it held, in bytes.
fn peak_memory(command: &mut Command) -> Result<u64> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        // Gone once the program has ended.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() << 10);
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "the export failed ({ended})");
            return Ok(peak);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn by_python(dir: &Path) -> Result<u64> {
    let bin = tools::python("exports")?;
    let script = root().join("xtask").join("python").join("read_exports.py");
    let output = Command::new(bin.join("python")).arg(script).arg(dir).output().context("start python")?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "an export is not what it should be");
    notebook(dir, &bin)?;
    let passed = text.lines().last().and_then(|line| line.split(' ').next()?.parse().ok());
    passed.context("the closing line of read_exports.py")
}

/// The example's cells, in order.
fn notebook(dir: &Path, bin: &Path) -> Result<()> {
    let path = root().join("examples").join("read_export.ipynb");
    let notebook: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
    let cells = notebook["cells"].as_array().into_iter().flatten().filter(|cell| cell["cell_type"] == "code");
    let lines = cells.flat_map(|cell| {
        cell["source"].as_array().into_iter().flatten().filter_map(|line| line.as_str()).chain(["\n"])
    });
    let source: String = lines.collect();
    let mut command = Command::new(bin.join("python"));
    let status = command.args(["-c", &source]).env("TALK", dir.join("talk.parquet")).status()?;
    ensure!(status.success(), "{} does not run", path.display());
    println!("ok  examples/read_export.ipynb runs");
    Ok(())
}

/// The text of the report comes out of the PDF.
fn by_pdftotext(dir: &Path, skipped: &mut Vec<String>) -> Result<u64> {
    if !tools::has("pdftotext") {
        skipped.push("exports in pdftotext: it is not installed, and apt-get could not install it".to_owned());
        return Ok(0);
    }
    let output = Command::new("pdftotext").args(["-enc", "UTF-8"]).arg(dir.join("talk.pdf")).arg("-").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && told.is_empty(), "pdftotext: {told}");
    for words in ["– übermäßig, Ψ.", "Anima/Animus", "I say it in turn 9998."] {
        ensure!(text.contains(words), "pdftotext does not find {words:?}");
    }
    println!("ok  pdf: pdftotext finds the words");
    Ok(1)
}

/// The report opens without a complaint and asks for nothing.
fn by_chromium(dir: &Path, skipped: &mut Vec<String>) -> Result<u64> {
    if !tools::has("chromium") {
        skipped.push("exports in Chromium: it is not installed".to_owned());
        return Ok(0);
    }
    let report = dir.join("talk.html").display().to_string();
    let script = root().join("web").join("e2e").join("report.mjs").display().to_string();
    tools::run_in(&root(), "node", &[&script, &report], &[])?;
    println!("ok  html: Chromium shows it without a complaint or a request");
    Ok(1)
}

/// LibreOffice makes the same rows of the CSV, none of them a formula.
fn by_libreoffice(dir: &Path, skipped: &mut Vec<String>) -> Result<u64> {
    if !tools::has("soffice") {
        skipped.push("exports in LibreOffice: it is not installed, and apt-get could not install it".to_owned());
        return Ok(0);
    }
    let profile = format!("-env:UserInstallation=file://{}", dir.join("office").display());
    let shown = dir.display().to_string();
    let csv = dir.join("talk.csv").display().to_string();
    // Comma, quotation mark, UTF-8, from the first line on.
    let utf_8 = "--infilter=Text - txt - csv (StarCalc):44,34,76,1";
    let convert = ["--headless", &profile, utf_8, "--convert-to", "fods", "--outdir", &shown, &csv];
    let output = Command::new("soffice").args(convert).output().context("start soffice")?;
    let sheet = fs::read_to_string(dir.join("talk.fods"))
        .with_context(|| format!("soffice made no sheet of the CSV: {}", String::from_utf8_lossy(&output.stderr)))?;
    let rows = sheet.matches("<text:p>spoken</text:p>").count();
    if sheet.contains("table:formula") || rows.to_string() != UTTERANCES || !sheet.contains("übermäßig, Ψ.") {
        bail!("LibreOffice finds {rows} utterances of {UTTERANCES} in the CSV, or a formula");
    }
    println!("ok  csv: LibreOffice reads {rows} utterances and no formula");
    Ok(1)
}
