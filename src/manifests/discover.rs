//! Finds the manifest files below the paths that a user named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Broken, Cause};

/// The most files that one call reads: enough for every real tree, and an end for `-f /`.
const MAX_FILES: usize = 20_000;
/// The deepest directory below a named one.
const MAX_DEPTH: usize = 32;
/// The endings of manifest files.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The files, each once.
    pub(super) files: Vec<PathBuf>,
    /// The paths that lead to nothing.
    pub(super) broken: Vec<Broken>,
    seen: BTreeSet<PathBuf>,
    full: bool,
}

/// The files at `paths`: a file whatever its name is, a directory's manifest files sorted by name.
pub(super) fn files(paths: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for path in paths {
        match fs::metadata(path) {
            Ok(data) if data.is_dir() => found.directory(path, 0),
            Ok(_) => found.file(path),
            Err(error) => found.broken.push(Broken::unreadable(path, &error)),
        }
    }
    found
}

impl Found {
    fn file(&mut self, path: &Path) {
        if self.full || !self.seen.insert(path.to_owned()) {
            return;
        }
        if self.files.len() < MAX_FILES {
            self.files.push(path.to_owned());
            return;
        }
        self.full = true;
        self.refuse(path, format!("is one file too many; at most {MAX_FILES} are read"));
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            self.refuse(path, format!("is more than {MAX_DEPTH} directories deep"));
            return;
        }
        let entries = match fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => {
                self.broken.push(Broken::unreadable(path, &error));
                return;
            }
        };
        let mut paths: Vec<PathBuf> = entries.iter().filter(|entry| !hidden(entry)).map(fs::DirEntry::path).collect();
        paths.sort();
        for path in paths {
            // Links to directories are not followed: they may lead back here.
            if path.is_dir() {
                if !path.is_symlink() {
                    self.directory(&path, depth + 1);
                }
            } else if is_manifest(&path) {
                self.file(&path);
            }
        }
    }

    fn refuse(&mut self, path: &Path, message: String) {
        self.broken.push(Broken { file: path.to_owned(), line: 0, column: 0, message, cause: Cause::TooLarge });
    }
}

fn hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn is_manifest(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
}
