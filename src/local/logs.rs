//! Follows the output of all replicas: each writes to a file of its own, and one task prints what is new, line by line.
//!
//! Nothing here holds a replica up. A line is cut after 8 KiB; when a replica writes faster than we print, what lies more
//! than 1 MiB behind is left out and said so; a file that grows past its limit is copied to `NAME.log.1` and emptied.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// The most bytes that are read of one file at a time.
const CHUNK: u64 = 64 * 1024;
/// How far printing may fall behind before it skips.
const BEHIND: u64 = 1024 * 1024;
/// The longest line that is printed whole.
const LONGEST: usize = 8 * 1024;
/// How many rounds the start of a line waits for its end before it is printed as it is.
const PATIENCE: u32 = 5;

/// The size at which a log is emptied.
pub(super) const FULL: u64 = 16 * 1024 * 1024;

/// Where lines go.
pub(super) type Print = Box<dyn Fn(&str) + Send + Sync>;

/// All files that are followed.
pub(super) struct Logs {
    tails: Mutex<BTreeMap<PathBuf, Tail>>,
    /// None if nothing is printed and files are only kept from growing.
    print: Option<Print>,
    full: u64,
}

/// One file.
#[derive(Debug)]
struct Tail {
    prefix: String,
    offset: u64,
    partial: Vec<u8>,
    waited: u32,
    closing: bool,
}

impl Logs {
    /// Follows nothing yet.
    pub(super) fn new(print: Option<Print>, full: u64) -> Self {
        Self { tails: Mutex::default(), print, full }
    }

    /// Follows a file from `offset`, or from its present end. Lines are printed behind `prefix`.
    pub(super) fn follow(&self, path: &Path, prefix: &str, offset: Option<u64>) {
        let length = fs::metadata(path).map_or(0, |data| data.len());
        let offset = offset.map_or(length, |offset| offset.min(length));
        let tail = Tail { prefix: prefix.to_owned(), offset, partial: Vec::new(), waited: 0, closing: false };
        let mut tails = self.lock();
        // Followed already: a replica that was started again goes on where it was.
        tails.entry(path.to_owned()).or_insert(tail).closing = false;
    }

    /// Prints what there still is, then lets go of the file.
    pub(super) fn finish(&self, path: &Path) {
        if let Some(tail) = self.lock().get_mut(path) {
            tail.closing = true;
        }
    }

    /// How far a file has been printed.
    pub(super) fn offset(&self, path: &Path) -> Option<u64> {
        self.lock().get(path).map(|tail| tail.offset - tail.partial.len() as u64)
    }

    /// Prints what is new, for ever.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.lock().is_empty() {
                continue;
            }
            let logs = self.clone();
            // A terminal that does not take our output must hold up nothing else.
            let _ = tokio::task::spawn_blocking(move || logs.round()).await;
        }
    }

    /// Looks at every file once.
    pub(super) fn round(&self) {
        let paths: Vec<PathBuf> = self.lock().keys().cloned().collect();
        for path in paths {
            // The lock is held for one file's chunk at a time, and never while a terminal is written to.
            let mut lines = Vec::new();
            if let Some(tail) = self.lock().get_mut(&path) {
                tail.round(&path, self.full, &mut lines);
            }
            if let Some(print) = &self.print {
                for line in &lines {
                    print(line);
                }
            }
            let mut tails = self.lock();
            let length = fs::metadata(&path).map_or(0, |data| data.len());
            if tails.get(&path).is_some_and(|tail| tail.closing && tail.offset >= length && tail.partial.is_empty()) {
                tails.remove(&path);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, Tail>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tail {
    fn round(&mut self, path: &Path, full: u64, lines: &mut Vec<String>) {
        match self.advance(path, lines) {
            Ok(true) => self.waited = 0,
            Ok(false) => self.waited += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::debug!("{} cannot be read: {error}", path.display()),
        }
        if !self.partial.is_empty() && (self.waited >= PATIENCE || self.closing && self.waited > 0) {
            let partial = std::mem::take(&mut self.partial);
            lines.push(self.line(&partial));
        }
        if self.offset > full
            && let Err(error) = empty(path)
        {
            tracing::warn!("{} cannot be emptied: {error}", path.display());
        }
    }

    /// Reads the next chunk; false if there is nothing new.
    fn advance(&mut self, path: &Path, lines: &mut Vec<String>) -> io::Result<bool> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        if length < self.offset {
            // It was emptied: what is there now is new.
            (self.offset, self.partial) = (0, Vec::new());
        }
        let behind = length - self.offset;
        if behind > BEHIND {
            let skipped = behind - CHUNK;
            self.offset += skipped;
            self.partial.clear();
            lines.push(format!("{} | ... {skipped} bytes are left out here; see {}", self.prefix, path.display()));
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut chunk = Vec::new();
        let count = file.take(CHUNK).read_to_end(&mut chunk)?;
        self.offset += count as u64;
        self.split(&chunk, lines);
        Ok(count > 0)
    }

    fn split(&mut self, chunk: &[u8], lines: &mut Vec<String>) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if self.partial.ends_with(b"\n") || self.partial.len() >= LONGEST {
                let line = std::mem::take(&mut self.partial);
                lines.extend(line.chunks(LONGEST).map(|part| self.line(part)));
            }
        }
    }

    /// A printable line: escapes of a worker must not reach our terminal's state.
    fn line(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let text: String = text
            .trim_end_matches(['\n', '\r'])
            .chars()
            .map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter })
            .collect();
        format!("{} | {text}", self.prefix)
    }
}

/// Keeps a full log as `NAME.log.1` and empties the file in place: its writers have it open and append at its new end.
/// What they write between the copy and the emptying is lost.
fn empty(path: &Path) -> io::Result<()> {
    let mut kept = path.as_os_str().to_owned();
    kept.push(".1");
    fs::copy(path, &kept)?;
    OpenOptions::new().write(true).open(path)?.set_len(0)
}

/// Prints to standard output; a closed output is no reason to end.
pub(super) fn to_stdout(line: &str) {
    let mut output = io::stdout().lock();
    let _ = writeln!(output, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        _folder: tempfile::TempDir,
        path: PathBuf,
        logs: Logs,
        printed: Arc<Mutex<Vec<String>>>,
    }

    fn fixture(full: u64) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders-0.log");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let lines = printed.clone();
        let print: Print = Box::new(move |line| lines.lock().unwrap().push(line.to_owned()));
        Fixture { _folder: folder, path, logs: Logs::new(Some(print), full), printed }
    }

    impl Fixture {
        fn write(&self, text: &str) {
            let mut file = OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn round(&self) -> Vec<String> {
            self.logs.round();
            std::mem::take(&mut *self.printed.lock().unwrap())
        }
    }

    #[test]
    fn lines_come_out_whole_and_prefixed() {
        let fixture = fixture(FULL);
        fixture.logs.follow(&fixture.path, "orders-0", None);
        assert!(fixture.round().is_empty());
        fixture.write("one\ntw");
        assert_eq!(fixture.round(), ["orders-0 | one"]);
        assert_eq!(fixture.logs.offset(&fixture.path), Some(4), "half a line is not printed yet");
        fixture.write("o\r\n\u{1b}[2Jthree\n");
        assert_eq!(fixture.round(), ["orders-0 | two", "orders-0 | \u{fffd}[2Jthree"]);
    }

    #[test]
    fn half_a_line_is_printed_after_a_while_and_at_the_end() {
        let fixture = fixture(FULL);
        fixture.logs.follow(&fixture.path, "a", None);
        fixture.write("half");
        let printed: Vec<String> = (0..10).flat_map(|_| fixture.round()).collect();
        assert_eq!(printed, ["a | half"]);
        fixture.write("last");
        fixture.logs.finish(&fixture.path);
        let printed: Vec<String> = (0..3).flat_map(|_| fixture.round()).collect();
        assert_eq!(printed, ["a | last"]);
        assert_eq!(fixture.logs.offset(&fixture.path), None);
    }

    #[test]
    fn following_begins_at_the_offset_or_at_the_end() {
        let fixture = fixture(FULL);
        fixture.write("old\nnew\n");
        fixture.logs.follow(&fixture.path, "a", Some(4));
        assert_eq!(fixture.round(), ["a | new"]);
        let other = fixture.path.with_extension("other");
        fs::write(&other, "old\n").unwrap();
        fixture.logs.follow(&other, "b", None);
        assert!(fixture.round().is_empty());
    }

    #[test]
    fn a_flood_is_bounded_and_said_so() {
        let fixture = fixture(FULL);
        fixture.logs.follow(&fixture.path, "a", None);
        fixture.write(&"x".repeat(2 * 1024 * 1024));
        let lines = fixture.round();
        assert!(lines[0].contains("bytes are left out here"), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.len() < LONGEST + 100));
        assert!(lines.len() <= 10);
    }

    #[test]
    fn a_full_file_is_kept_once_and_emptied_in_place() {
        let fixture = fixture(10);
        fixture.logs.follow(&fixture.path, "a", None);
        fixture.write("first line\nsecond\n");
        assert_eq!(fixture.round().len(), 2);
        assert_eq!(fs::metadata(&fixture.path).unwrap().len(), 0);
        assert_eq!(fs::read_to_string(fixture.path.with_extension("log.1")).unwrap(), "first line\nsecond\n");
        fixture.write("third\n");
        assert_eq!(fixture.round(), ["a | third"]);
    }
}
