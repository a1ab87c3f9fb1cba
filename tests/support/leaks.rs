//! The search for secrets in whatever is logged or kept: every relay and every database is searched when a test is done with it.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use memchr::memmem;

/// What secrets begin with that are recognised wherever they stand; so many characters of base64 follow at least.
const FORMS: [(&str, usize); 4] = [("whsec_", 16), ("whsk_", 16), ("whsealkey_", 16), ("Basic ", 12)];
/// How tests spell a secret of their own in SQL; what follows ends at the next quote.
const SPELLED: [(&str, char); 3] =
    [("secret => '", '\''), ("\"password\": \"", '"'), ("\"header_value\": \"", '"')];

/// Before a statement as its author has sent it. What programs send as parameters is logged otherwise.
const QUOTES: [&[u8]; 2] = [b" STATEMENT:  ", b" statement: "];

/// Texts that tests have used as secrets.
static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// How far each file has been searched.
static SEARCHED: Mutex<Option<HashMap<PathBuf, u64>>> = Mutex::new(None);

/// Remembers the secrets in a statement that is about to be sent.
pub fn learn(sql: &str) {
    for (before, end) in SPELLED {
        let found = sql.split(before).skip(1).filter_map(|rest| rest.split(end).next());
        // Shorter ones are refused, or words that may stand anywhere; public keys are none.
        let mut long = found.filter(|text| text.len() >= 12 && !text.starts_with("whpk_")).peekable();
        if long.peek().is_some() {
            KNOWN.lock().unwrap_or_else(PoisonError::into_inner).extend(long.map(str::to_owned));
        }
    }
}

/// The first secret in a text, if there is any.
pub fn find(text: &[u8]) -> Option<String> {
    for (form, least) in FORMS {
        for at in memmem::find_iter(text, form) {
            let rest = &text[at + form.len()..];
            let is_base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            let length = rest.iter().take_while(is_base64).count();
            if length >= least {
                return Some(String::from_utf8_lossy(&text[at..at + form.len() + length]).into_owned());
            }
        }
    }
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().find(|secret| memmem::find(text, secret.as_bytes()).is_some()).cloned()
}

/// Fails the test that has let a secret get into `text`.
///
/// # Panics
/// If there is one, unless the thread panics already.
pub fn assert_none(place: &str, text: &[u8]) {
    if std::thread::panicking() {
        return;
    }
    if let Some(secret) = find(text) {
        panic!("a secret, {secret}, in {place}:\n{}", String::from_utf8_lossy(text));
    }
}

/// [`assert_none`] for what a server has logged since the last call for its file, but for the statements that it quotes: what
/// stands in those, their author has written there.
pub fn assert_none_logged(log: &Path) {
    let text = unsearched(log);
    let mut quoting = false;
    let mut rest = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        quoting = match line.first() {
            Some(b'\t') => quoting,
            _ => QUOTES.iter().any(|quote| memmem::find(line, quote).is_some()),
        };
        if !quoting {
            rest.extend_from_slice(line);
        }
    }
    assert_none("the server's log", &rest);
}

fn unsearched(log: &Path) -> Vec<u8> {
    let mut searched = SEARCHED.lock().unwrap_or_else(PoisonError::into_inner);
    let from = searched.get_or_insert_default().entry(log.to_owned()).or_default();
    let mut text = Vec::new();
    if let Ok(mut file) = File::open(log)
        && file.seek(SeekFrom::Start(*from)).is_ok()
    {
        *from += file.read_to_end(&mut text).unwrap_or_default() as u64;
    }
    text
}
