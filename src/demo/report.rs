//! What workers tell the demo, as one line in the results list.

use std::fmt;

use jiff::Timestamp;

/// One thing that a worker tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Its process runs.
    Started {
        /// Its name.
        worker: String,
        /// When its program began, by its own clock, which is the machine's.
        at: Timestamp,
    },
    /// It has finished an item.
    Done {
        /// Its name.
        worker: String,
        /// The item.
        item: String,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { worker, at } => write!(f, "started {worker} {}", at.as_millisecond()),
            Self::Done { worker, item } => write!(f, "done {worker} {item}"),
        }
    }
}

impl Report {
    /// What a line says; none if no worker wrote it.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (kind, worker, last) = (words.next()?, words.next()?.to_owned(), words.next()?);
        match kind {
            "started" => Some(Self::Started { worker, at: Timestamp::from_millisecond(last.parse().ok()?).ok()? }),
            "done" => Some(Self::Done { worker, item: last.to_owned() }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_was_told() {
        let started = Report::Started { worker: "w-0".to_owned(), at: Timestamp::from_millisecond(1_234).unwrap() };
        let done = Report::Done { worker: "w-0".to_owned(), item: "7".to_owned() };
        assert_eq!(Report::parse(&started.to_string()), Some(started));
        assert_eq!(Report::parse(&done.to_string()), Some(done));
        assert_eq!(Report::parse("nonsense"), None);
        assert_eq!(Report::parse("started w-0 soon"), None);
    }
}
