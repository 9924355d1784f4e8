//! Tells whether files have changed, without reading them.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The deepest directory that is looked into; the loader goes no deeper.
const MAX_DEPTH: usize = 32;

/// Everything below some paths: which file it is, how large, and when it was changed.
pub(super) type Fingerprint = BTreeMap<PathBuf, (u64, u64, i64, i64)>;

/// The present state of `paths` and everything below them.
pub(super) fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let mut all = Fingerprint::new();
    for path in paths {
        add(path, 0, &mut all);
    }
    all
}

fn add(path: &Path, depth: usize, all: &mut Fingerprint) {
    // A link counts as what it leads to; what cannot be seen counts as absent.
    let Ok(data) = fs::metadata(path) else { return };
    if !data.is_dir() {
        all.insert(path.to_owned(), facts(&data));
        return;
    }
    // A directory's own times change with files that are no manifests; a link to one is not followed by the loader.
    if depth > MAX_DEPTH || (depth > 0 && path.is_symlink()) {
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            add(&entry.path(), depth + 1, all);
        }
    }
}

fn facts(data: &Metadata) -> (u64, u64, i64, i64) {
    (data.ino(), data.len(), data.mtime(), data.mtime_nsec())
}
