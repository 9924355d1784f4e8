//! Reads manifests: YAML and JSON files become documents that know on which line every field stands.
//!
//! A file is taken whole or not at all: what is half written must not act. One broken file costs only itself.
//!
//! Values get the types that an API server would see after `kubectl`, which reads YAML 1.1 as Go's library does: `yes`,
//! `on` and `y` are true and `010` is 8, also where YAML 1.2 would see text and 10. Quoted text stays text.

mod discover;
mod document;
pub mod path;
mod scalar;
mod yaml;

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

pub use document::{Document, Position};

/// The longest file that is read, in bytes. An API server takes objects of 1.5 MiB; a file may hold several.
pub const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// What was found at some paths.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects, in the order of the files and of their place in them.
    pub documents: Vec<Document>,
    /// The files that could not be used; nothing of them is in `documents`.
    pub broken: Vec<Broken>,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Broken {
    /// The file, or the path that led to none.
    pub file: PathBuf,
    /// The line of the mistake, from 1; 0 if the file could not be read at all.
    pub line: usize,
    /// The column of the mistake, from 1; 0 if the file could not be read at all.
    pub column: usize,
    /// What is wrong, as a sentence about the file: `is not YAML: ...`.
    pub message: String,
    /// The class of the mistake.
    pub cause: Cause,
}

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It does not exist or may not be read.
    Unreadable,
    /// It is larger, deeper or has more values than is allowed.
    TooLarge,
    /// It is not YAML, or not a list of objects.
    Malformed,
}

impl Broken {
    /// The stable reason of this error.
    pub const fn reason(&self) -> &'static str {
        match self.cause {
            Cause::Unreadable => "FileUnreadable",
            Cause::TooLarge => "FileTooLarge",
            Cause::Malformed => "FileMalformed",
        }
    }

    fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let message = format!("cannot be read: {error}");
        Self { file: file.to_owned(), line: 0, column: 0, message, cause: Cause::Unreadable }
    }
}

impl fmt::Display for Broken {
    /// `bad.yaml:3:1 error is not YAML: ...`, without a place if there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, " error {}", self.message)
    }
}

/// Loads files, and directories with all `*.yaml`, `*.yml` and `*.json` files below them, in the order of their names.
///
/// Hidden entries and links to directories below a given directory are left out: a mounted `ConfigMap` shows every file
/// once that way. A file that is named twice is read once.
pub fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    let found = discover::files(paths);
    loaded.broken.extend(found.broken);
    for file in found.files {
        match read(&file).and_then(|text| parse(&file, &text)) {
            Ok(documents) => loaded.documents.extend(documents),
            Err(broken) => loaded.broken.push(broken),
        }
    }
    loaded
}

/// Reads the documents of one text; `file` is the name that they carry.
pub fn parse(file: &Path, text: &str) -> Result<Vec<Document>, Broken> {
    let broken = |flaw: yaml::Flaw| Broken {
        file: file.to_owned(),
        line: flaw.at.line,
        column: flaw.at.column,
        message: flaw.message,
        cause: if flaw.too_large { Cause::TooLarge } else { Cause::Malformed },
    };
    let nodes = yaml::read(text).map_err(broken)?;
    document::unfold(file, nodes).map_err(broken)
}

/// Reads the text of anything that can be read, up to [`MAX_FILE_BYTES`]; `file` is the name for errors.
pub fn text(file: &Path, source: impl std::io::Read) -> Result<String, Broken> {
    let mut bytes = Vec::new();
    let read = source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Broken::unreadable(file, &error))?;
    let broken = |cause, message: String| Broken { file: file.to_owned(), line: 1, column: 1, message, cause };
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024));
        return Err(broken(Cause::TooLarge, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        broken(Cause::Malformed, format!("is not YAML: byte {at} is not UTF-8 text"))
    })
}

fn read(file: &Path) -> Result<String, Broken> {
    let source = File::open(file).map_err(|error| Broken::unreadable(file, &error))?;
    text(file, source)
}

#[cfg(test)]
mod tests;
