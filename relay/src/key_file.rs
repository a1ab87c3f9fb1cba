//! The file of `--secret-key-file`: one private key a line, the current one first, the others for what is still sealed
//! for them.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use webhook_wire::seal::{PrivateKey, SealError};

use crate::certificates;
use crate::config::ConfigError;

const HEADER: &str = "# What webhook-relay opens sealed secrets with, the current key first. Keep a copy: without it they are lost.\n";

/// Why a key file cannot be used.
#[derive(Debug)]
pub enum KeyFileError {
    /// It cannot be read or written.
    Io(io::Error),
    /// Others than its owner can read it.
    Open {
        /// Its permissions.
        mode: u32,
    },
    /// A line is no key.
    Line {
        /// Which, from 1.
        number: usize,
        /// Why not.
        error: SealError,
    },
    /// There is no key in it.
    Empty,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Open { mode } => write!(f, "others can read it (mode {mode:04o}): chmod 600 it"),
            Self::Line { number, error } => write!(f, "line {number}: {error}"),
            Self::Empty => f.write_str("there is no key in it: webhook-relay new-key makes one"),
        }
    }
}

impl std::error::Error for KeyFileError {}

impl From<io::Error> for KeyFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The keys of a file, at least one.
pub fn read(path: &Path) -> Result<Vec<PrivateKey>, KeyFileError> {
    let (text, _) = text(path)?;
    let lines =
        text.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let keys = lines
        .map(|(line, number)| PrivateKey::parse(line).map_err(|error| KeyFileError::Line { number, error }))
        .collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
}

/// [`add_key`], and says what to do with it.
pub fn new_key(path: &Path) -> Result<(), ConfigError> {
    let key = add_key(path).map_err(|source| ConfigError::SecretKeyFile { path: path.to_owned(), source })?;
    println!("{}: key {} comes first now; restart the relays with it", path.display(), key.public().id());
    println!("keep a copy of the file: without it, what is sealed is lost");
    Ok(())
}

/// Puts a new key before those that the file has; makes the file if there is none.
pub fn add_key(path: &Path) -> Result<PrivateKey, KeyFileError> {
    let (former, owner) = match text(path) {
        Ok((text, owner)) => (text, Some(owner)),
        Err(KeyFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => (HEADER.to_owned(), None),
        Err(error) => return Err(error),
    };
    let key = PrivateKey::generate(random());
    // Comments at the top stay there.
    let head = former.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    let (head, rest) = former.split_at(head);
    let new = path.with_added_extension("new");
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(format!("{head}{}\n{rest}", key.expose()).as_bytes())?;
    if let Some(owner) = owner {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok(key)
}

/// What the file says, and whose it is. As libpq does it: nobody but the owner may read it, or root's group if it is root's.
fn text(path: &Path) -> Result<(String, Metadata), KeyFileError> {
    let mut file = File::open(path)?;
    let owner = file.metadata()?;
    let others = if owner.uid() == 0 { 0o027 } else { 0o077 };
    if owner.mode() & others != 0 {
        return Err(KeyFileError::Open { mode: owner.mode() & 0o7777 });
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, owner))
}

/// Random bytes for a key, or to seal with.
///
/// # Panics
/// Where the machine has no source of them.
#[must_use]
pub fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    let filled = certificates::provider().secure_random.fill(&mut bytes);
    filled.expect("the machine has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    fn place(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("webhook-relay-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn new_keys_come_first_and_nobody_else_reads_them() {
        let path = place("keys");
        let first = add_key(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let second = add_key(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let ids: Vec<_> = read(&path).unwrap().iter().map(|key| key.public().id()).collect();
        assert_eq!(ids, [second.public().id(), first.public().id()]);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let path = place("open");
        add_key(&path).unwrap();
        for mode in [0o644, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode 0{mode:o}")) && error.contains("chmod 600"), "{error}");
            assert!(matches!(add_key(&path), Err(KeyFileError::Open { .. })));
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_line_that_is_no_key_is_named_and_not_shown() {
        let path = place("bad");
        let key = add_key(&path).unwrap();
        std::fs::write(&path, format!("# a comment\n\n{}\nwhsealkey_canary\n", key.expose())).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.starts_with("line 4: ") && !error.contains("canary"), "{error}");
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::Empty)));
        std::fs::remove_file(&path).unwrap();
    }
}
