//! Receivers that we did not write: the libraries of Standard Webhooks, and the samples of the seeds.

use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::sync::OnceCell;
use webhook_tests::process::Process;
use webhook_tests::relay::Logs;
use webhook_tests::run;

/// A running receiver.
pub struct Foreign {
    /// Where it listens.
    pub port: String,
    _process: Process,
}

/// The language of a receiver.
#[derive(Clone, Copy)]
pub enum Language {
    Node,
    Python,
    /// 3.12 or later, where there is one.
    NewerPython,
}

/// In the folder of [`libraries`], where the machine has one.
pub const NEWER_PYTHON: &str = "newer_venv/bin/python";

/// Starts `tests/it/receivers/<program>`, which verifies with `secret`, and with a sample if there is one.
pub async fn start(language: Language, program: &str, sample: Option<&str>, secret: &str) -> Foreign {
    let libraries = libraries().await;
    let mut command = match language {
        Language::Node => Command::new("node"),
        Language::Python => Command::new(libraries.join("venv/bin/python")),
        Language::NewerPython => Command::new(libraries.join(NEWER_PYTHON)),
    };
    command.arg(folder().join(program)).env("NODE_PATH", libraries.join("node_modules"));
    if let Some(sample) = sample {
        let path = run::subfolder("sample").join("sample");
        std::fs::write(&path, sample).expect("write the sample");
        command.arg(path);
    }
    let (process, logs) = Logs::of(command.env("WEBHOOK_SECRET", secret));
    let line = logs.wait_for("listening").await;
    let port = line.rsplit(' ').next().expect("a port").into();
    Foreign { port, _process: process }
}

/// The first fenced block in `language` of a seed document that holds `needle`, as it stands there.
pub fn sample(document: &str, language: &str, needle: &str) -> String {
    let text = std::fs::read_to_string(folder().join(document)).expect("read the copy of the seed");
    let mut blocks = text.split("```");
    let found = blocks.find_map(|block| {
        let code = block.strip_prefix(language)?.strip_prefix('\n')?;
        code.contains(needle).then_some(code)
    });
    found.unwrap_or_else(|| panic!("no {language} sample with {needle:?} in {document}")).into()
}

#[test]
fn the_samples_are_those_of_the_seeds() {
    let seeds = run::repository().join("../shared/seeds");
    for document in [SEED_003, SEED_004] {
        let copy = std::fs::read(folder().join(document)).expect("read the copy");
        // Only a workplace that has the seeds can compare.
        if let Ok(seed) = std::fs::read(seeds.join(document)) {
            assert!(copy == seed, "{document} differs from its seed");
        }
    }
}

pub const SEED_003: &str = "003_0d561e5190539e39.txt";
pub const SEED_004: &str = "004_90a99338b84c9502.txt";

fn folder() -> PathBuf {
    run::repository().join("tests/it/receivers")
}

/// What `install.sh` installs: `venv` of Python, `node_modules`.
pub async fn libraries() -> &'static Path {
    static LIBRARIES: OnceCell<PathBuf> = OnceCell::const_new();
    LIBRARIES
        .get_or_init(async || {
            let target = webhook_tests::stage::target().join("receivers");
            let mut install = tokio::process::Command::new("sh");
            let status = install.arg(folder().join("install.sh")).arg(&target).status().await;
            assert!(status.is_ok_and(|status| status.success()), "cannot install the receivers' libraries");
            target
        })
        .await
}
