//! The folder of this process's run and the keeper that clears up after it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The repository that this harness was built from.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// The folder of this run: `${TMPDIR:-/tmp}/pg_webhook-<uid>-<hash of the repository's path>/<pid>`.
///
/// User `postgres` can enter it. It goes with the process, unless `WEBHOOK_TESTS_KEEP` is set, which leaves
/// the folder (logs, data), though never a process.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<(PathBuf, Child)> = OnceLock::new();
    &FOLDER
        .get_or_init(|| {
            let folder = home().join(std::process::id().to_string());
            // What stands there was left by a process of the same number that was killed with its keeper.
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("running")).expect("make the folder of the run");
            for path in [folder.parent().expect("it has a parent"), &folder] {
                fs::set_permissions(path, fs::Permissions::from_mode(0o711)).expect("let postgres enter");
            }
            let keeper = Command::new("/bin/sh")
                .args(["-c", include_str!("keeper.sh"), "keeper"])
                .arg(&folder)
                .current_dir("/")
                // Its standard input closes when this process ends, however that comes about.
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()
                .expect("start the keeper");
            (folder, keeper)
        })
        .0
}

/// A new folder of the run, `<name>-<n>`.
pub fn subfolder(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let path = folder().join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&path).expect("make a folder of the run");
    path
}

/// The user id of this process.
pub fn uid() -> u32 {
    fs::metadata("/proc/self").expect("/proc is mounted").uid()
}

fn home() -> PathBuf {
    let mut hash = DefaultHasher::new();
    repository().hash(&mut hash);
    std::env::temp_dir().join(format!("pg_webhook-{}-{:08x}", uid(), hash.finish() as u32))
}
