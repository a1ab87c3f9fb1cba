//! A key file for `--secret-key-file`.

use std::path::PathBuf;

use crate::relay::Relay;
use crate::run;

/// The file of a relay, made by `webhook-relay new-key`.
#[derive(Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// A file with one key.
    pub async fn new() -> Self {
        let file = Self(run::subfolder("keys").join("secret-keys"));
        file.add().await;
        file
    }

    /// Puts a new key before the others.
    ///
    /// # Panics
    /// If that cannot be done.
    pub async fn add(&self) {
        let (code, said) = Relay::program(&["new-key", "--secret-key-file", self.path()]).await;
        assert_eq!(code, Some(0), "{said}");
    }

    /// Leaves only the first key.
    ///
    /// # Panics
    /// If the file cannot be read or written.
    pub fn drop_old(&self) {
        let text = std::fs::read_to_string(&self.0).expect("read the keys");
        let mut keys = 0;
        let kept = text.lines().filter(|line| {
            keys += usize::from(line.starts_with("whsealkey_"));
            keys < 2
        });
        std::fs::write(&self.0, kept.collect::<Vec<_>>().join("\n")).expect("write the keys");
    }

    /// The file's path.
    ///
    /// # Panics
    /// Never: we chose the path.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }

    /// What a relay is started with.
    pub fn arguments(&self) -> [&str; 2] {
        ["--secret-key-file", self.path()]
    }
}
