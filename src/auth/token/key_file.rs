//! Keys in files, which may be replaced while we run.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};

use super::key::{BadKey, JwksFrom, Key, jwks};

/// A file of keys, as it was when it was last good.
#[derive(Debug)]
pub(super) struct KeyFile {
    path: PathBuf,
    kind: FileKind,
    keys: ArcSwap<Vec<Key>>,
    /// What was seen last, good or bad: it is not read into keys again, nor complained of.
    seen: Mutex<Seen>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// One secret for HMAC. The line feed behind it does not belong to it.
    Secret,
    /// One public key, or a certificate of one.
    Pem,
    /// A JSON Web Key Set.
    Jwks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    Content([u8; 32]),
}

/// What is wrong with a file of keys.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadFile {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error(transparent)]
    Bad(#[from] BadKey),
}

/// No set of keys is as long; and what is no file of keys may be.
const MAX_BYTES: u64 = 1 << 20;

impl KeyFile {
    /// Reads it for the first time: then it must be good.
    pub(super) fn open(path: PathBuf, kind: FileKind) -> Result<Self, BadFile> {
        match read(&path).and_then(|content| Ok((keys(&content, kind)?, digest(&content)))) {
            Ok((keys, digest)) => Ok(KeyFile {
                path,
                kind,
                keys: ArcSwap::from_pointee(keys),
                seen: Mutex::new(Seen::Content(digest)),
            }),
            Err(why) => Err(BadFile { path, why }),
        }
    }

    /// The keys in it.
    pub(super) fn keys(&self) -> Arc<Vec<Key>> {
        self.keys.load_full()
    }

    /// Looks whether it has changed. What has become of it may be bad: then the keys stay as they
    /// were. To be called by one task alone, where waiting for a disk harms nobody.
    pub(super) fn look(&self) {
        let content = read(&self.path);
        let now = content
            .as_ref()
            .map_or(Seen::Nothing, |content| Seen::Content(digest(content)));
        let before = std::mem::replace(
            &mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner),
            now,
        );
        if before == now {
            return;
        }
        let file = self.path.display();
        match content.and_then(|content| Ok(keys(&content, self.kind)?)) {
            Ok(keys) => {
                tracing::info!(%file, keys = keys.len(), "read new keys of tokens");
                self.keys.store(Arc::new(keys));
            }
            Err(error) => {
                tracing::warn!(%file, %error, "the keys of tokens stay as they were");
            }
        }
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// The secret in a file: all of it but the end of its line.
pub(super) fn secret(content: &[u8]) -> &[u8] {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, Why> {
    use std::io::Read;
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(Why::Unreadable)?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(Why::Unreadable)?;
    match content.len() as u64 > MAX_BYTES {
        true => Err(Why::TooLong),
        false => Ok(content),
    }
}

fn keys(content: &[u8], kind: FileKind) -> Result<Vec<Key>, BadKey> {
    match kind {
        FileKind::Secret => Ok(vec![Key::of_secret(secret(content))?]),
        FileKind::Pem => Ok(vec![Key::of_pem(content)?]),
        FileKind::Jwks => match jwks(content, JwksFrom::File)? {
            keys if keys.is_empty() => Err(BadKey::NoneUsable),
            keys => Ok(keys),
        },
    }
}

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Folder(tempfile::tempdir().unwrap())
        }

        fn write(&self, content: &str) -> PathBuf {
            let path = self.0.path().join("key");
            std::fs::write(&path, content).unwrap();
            path
        }
    }

    fn said(content: &str, kind: FileKind) -> String {
        let folder = Folder::new();
        let error = KeyFile::open(folder.write(content), kind).unwrap_err();
        error.to_string().rsplit_once("key: ").unwrap().1.to_owned()
    }

    #[test]
    fn the_end_of_the_line_does_not_belong_to_a_secret() {
        for written in ["hush", "hush\n", "hush\r\n"] {
            assert_eq!(secret(written.as_bytes()), b"hush");
        }
        assert_eq!(secret(b" hush \n\n"), b" hush \n");
    }

    #[test]
    fn a_bad_file_is_refused_with_what_is_wrong_and_without_its_content() {
        use insta::assert_snapshot;
        assert_snapshot!(said("hush\n", FileKind::Secret), @"a secret has 32 bytes or more (`openssl rand -hex 32` prints one)");
        assert_snapshot!(said("hush\n", FileKind::Pem), @"no public key or certificate in PEM");
        assert_snapshot!(said("-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n", FileKind::Pem), @"a private key; here belongs the public one (`openssl pkey -in FILE -pubout`)");
        assert_snapshot!(said("-----BEGIN PUBLIC KEY-----\nhush\n-----END PUBLIC KEY-----\n", FileKind::Pem), @"no key of RSA, P-256, P-384 or Ed25519");
        assert_snapshot!(said("hush", FileKind::Jwks), @"no JSON Web Key Set");
        assert_snapshot!(said("{\"keys\":[]}", FileKind::Jwks), @"no key in it can check a signature");
        assert_snapshot!(said(&" ".repeat(1 << 21), FileKind::Jwks), @"longer than 1048576 bytes");
        let missing = KeyFile::open("no/such/key".into(), FileKind::Pem).unwrap_err();
        assert_snapshot!(missing, @"no/such/key: cannot be read: No such file or directory (os error 2)");
    }

    #[test]
    fn a_file_that_has_changed_counts_and_a_broken_one_changes_nothing() {
        let folder = Folder::new();
        let path = folder.write(&"a".repeat(32));
        let file = KeyFile::open(path.clone(), FileKind::Secret).unwrap();
        let first = file.keys();
        file.look();
        assert!(Arc::ptr_eq(&first, &file.keys()), "nothing has changed");
        folder.write("broken");
        file.look();
        assert!(Arc::ptr_eq(&first, &file.keys()), "the old one stays");
        std::fs::remove_file(&path).unwrap();
        file.look();
        assert!(Arc::ptr_eq(&first, &file.keys()), "the old one stays");
        folder.write(&"b".repeat(32));
        file.look();
        assert!(!Arc::ptr_eq(&first, &file.keys()), "the new one counts");
    }
}
