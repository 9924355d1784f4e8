//! What the job leaves behind: each record of its log in a file, exactly once, and every record that came by, also again after a restore.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::SOON;
use crate::flink::server::Flink;
use crate::harness::wait::eventually;

/// The partitions of the job's log; a record's number is its place in its partition times this, plus the partition's number.
const PARTITIONS: u64 = 4;

/// The files of a job.
pub(super) struct Records {
    out: PathBuf,
    seen: PathBuf,
}

impl Records {
    pub(super) fn new(flink: &Flink) -> Self {
        Self { out: flink.path("out"), seen: flink.path("seen") }
    }

    /// How many records were left by complete checkpoints.
    pub(super) fn left(&self) -> u64 {
        numbers(&self.out).values().sum()
    }

    /// How often a record came by that had come by before, once that is over: the work that was done twice.
    pub(super) fn replayed(&self) -> u64 {
        let mut before = None;
        eventually(SOON, "a job that has caught up", || {
            let came = numbers(&self.seen);
            let (new, again) = (came.len(), came.values().map(|times| times - 1).sum::<u64>());
            // New ones come only behind those that come again.
            let caught_up = before.replace((new, again)).is_some_and(|(fewer, same)| new > fewer && again == same);
            std::thread::sleep(Duration::from_secs(1));
            caught_up.then_some(again)
        })
    }

    /// How many records came by that were not left.
    pub(super) fn unfinished(&self) -> usize {
        let left = numbers(&self.out);
        numbers(&self.seen).keys().filter(|number| !left.contains_key(number)).count()
    }

    /// Every record from the first to the last one was left exactly once: how many.
    pub(super) fn exactly_once(&self) -> u64 {
        let left = numbers(&self.out);
        let twice: Vec<_> = left.iter().filter(|(_, times)| **times != 1).take(10).collect();
        assert!(twice.is_empty(), "left more than once: {twice:?}");
        let mut partitions: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for number in left.keys() {
            let (count, last) = partitions.entry(number % PARTITIONS).or_default();
            (*count, *last) = (*count + 1, (*last).max(number / PARTITIONS));
        }
        for (partition, (count, last)) in &partitions {
            assert_eq!(*count, last + 1, "records of partition {partition} are missing");
        }
        let came = numbers(&self.seen);
        let lost: Vec<_> = came.keys().filter(|number| !left.contains_key(number)).take(10).collect();
        assert!(lost.is_empty(), "came by and were not left: {lost:?}");
        u64::try_from(left.len()).unwrap()
    }
}

/// How often each number stands in the files of a folder. A last line that is half written does not count.
fn numbers(folder: &Path) -> HashMap<u64, u64> {
    let mut found = HashMap::new();
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.extension().is_none()) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for number in whole.lines().map(|line| line.parse().unwrap_or_else(|_| panic!("{line:?} is no number"))) {
            *found.entry(number).or_default() += 1;
        }
    }
    found
}
