//! The state directory: what must outlive this process, each thing in a file that is replaced whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::LocalError;

/// The longest part of a file name that one name becomes; two parts and an ending fit into what a file system takes (255).
const LONGEST: usize = 120;

/// A state directory that this process owns for as long as the value lives.
#[derive(Debug)]
pub(super) struct StateDirectory {
    root: PathBuf,
    /// Keeps the lock: the kernel frees it however this process ends.
    _lock: File,
    temporary: AtomicU64,
}

impl StateDirectory {
    /// Opens a directory, makes it if it is not there, and locks it against other processes.
    pub(super) fn open(root: &Path) -> Result<Self, LocalError> {
        let failed = |error: io::Error| LocalError::State { path: root.to_owned(), message: error.to_string() };
        for part in ["deployments", "objects", "logs"] {
            DirBuilder::new().recursive(true).mode(0o700).create(root.join(part)).map_err(failed)?;
        }
        let path = root.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        if let Err(error) = lock.try_lock() {
            let mut holder = String::new();
            let _ = lock.read_to_string(&mut holder);
            return Err(match error {
                fs::TryLockError::WouldBlock => {
                    LocalError::Locked { path: root.to_owned(), holder: holder.trim().to_owned() }
                }
                fs::TryLockError::Error(error) => failed(error),
            });
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(failed)?;
        writeln!(lock, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { root: root.to_owned(), _lock: lock, temporary: AtomicU64::new(0) })
    }

    /// Where the record of a Deployment stands.
    pub(super) fn deployment(&self, namespace: &str, name: &str) -> PathBuf {
        self.root.join("deployments").join(format!("{}.json", file_name(namespace, name)))
    }

    /// Where the record of a ScaledObject stands.
    pub(super) fn object(&self, namespace: &str, name: &str) -> PathBuf {
        self.root.join("objects").join(format!("{}.json", file_name(namespace, name)))
    }

    /// Where a replica's output goes.
    pub(super) fn log(&self, namespace: &str, replica: &str) -> PathBuf {
        self.root.join("logs").join(format!("{}.log", file_name(namespace, replica)))
    }

    /// The records of all Deployments.
    pub(super) fn deployments<T: DeserializeOwned>(&self) -> Result<Vec<T>, LocalError> {
        let folder = self.root.join("deployments");
        let failed = |error: io::Error| LocalError::State { path: folder.clone(), message: error.to_string() };
        let mut records = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                records.extend(Self::read(&path)?);
            }
        }
        Ok(records)
    }

    /// Reads a record; none if there is none.
    pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LocalError> {
        let failed = |message: String| LocalError::State { path: path.to_owned(), message };
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Replaces a record; it is durable when this returns.
    pub(super) fn write<T: Serialize>(&self, path: &Path, record: &T) -> io::Result<()> {
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("{number}.new"));
        let mut text = serde_json::to_vec_pretty(record)?;
        text.push(b'\n');
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        sync_folder(path)
    }

    /// Removes a record; it is well if there is none.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Ok(()) => sync_folder(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A rename or a removal is durable only once the folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// One file name for two names; what an object may not be called (but a file may say) becomes `%` and hex digits.
fn file_name(namespace: &str, name: &str) -> String {
    let encode = |text: &str| {
        let mut encoded = String::with_capacity(text.len());
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => encoded.push(char::from(byte)),
                b'.' if !encoded.is_empty() => encoded.push('.'),
                _ => encoded.extend(['%', hex(byte >> 4), hex(byte & 15)]),
            }
        }
        if encoded.len() > LONGEST {
            // Two long names that begin alike still get two files.
            let whole = BuildHasherDefault::<DefaultHasher>::default().hash_one(&encoded);
            encoded.truncate(LONGEST - 17);
            return format!("{encoded}-{whole:016x}");
        }
        encoded
    };
    format!("{}_{}", encode(namespace), encode(name))
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_told_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateDirectory::open(folder.path()).unwrap();
        let error = StateDirectory::open(folder.path()).unwrap_err();
        let expected = format!("{} is in use by process {}", folder.path().display(), std::process::id());
        assert!(error.to_string().starts_with(&expected), "{error}");
        drop(first);
        StateDirectory::open(folder.path()).unwrap();
    }

    #[test]
    fn records_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(folder.path()).unwrap();
        let path = state.object("shop", "orders");
        assert_eq!(StateDirectory::read::<u32>(&path).unwrap(), None);
        state.write(&path, &1_u32).unwrap();
        state.write(&path, &2_u32).unwrap();
        assert_eq!(StateDirectory::read::<u32>(&path).unwrap(), Some(2));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing temporary is left");
        StateDirectory::remove(&path).unwrap();
        StateDirectory::remove(&path).unwrap();
        assert_eq!(StateDirectory::read::<u32>(&path).unwrap(), None);
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        assert_eq!(file_name("shop", "orders.v1"), "shop_orders.v1");
        assert_eq!(file_name("..", "../a_b"), "%2e._%2e.%2fa%5fb");
        let long = |end: &str| file_name("shop", &format!("{}{end}", "a".repeat(200)));
        assert_ne!(long("1"), long("2"));
        assert!(long("1").len() < 130);
    }

    #[test]
    fn a_damaged_record_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::open(folder.path()).unwrap();
        let path = state.deployment("shop", "orders");
        fs::write(&path, "{").unwrap();
        let error = StateDirectory::read::<u32>(&path).unwrap_err().to_string();
        assert!(error.contains("shop_orders.json"), "{error}");
    }
}
