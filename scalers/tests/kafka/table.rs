//! The table of what lag means: for each row, what was written and committed by hand, the value that is read, and why.

use std::fmt::Write;

use tidegate_calculator::source::ErrorScope;

use crate::brokers::admin::Admin;
use crate::brokers::records::{Records, Transaction};
use crate::brokers::{Kafka, Listener};
use crate::trigger::Trigger;

/// One row.
pub(crate) struct Row {
    /// A short name, from which the row's own topic and group are called.
    pub(crate) name: &'static str,
    /// What is done before the read. Transactions that are returned stay open while it lasts.
    pub(crate) before: fn(&Place) -> Vec<Transaction>,
    /// What the trigger says beside topic and group.
    pub(crate) says: &'static [(&'static str, &'static str)],
    pub(crate) expected: Expected,
    /// Why it is that.
    pub(crate) why: &'static str,
    /// Whether it is tried on old brokers too.
    pub(crate) everywhere: bool,
}

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// This lag; the trigger is active if it is not 0.
    Lag(i64),
    /// This value, and this activity.
    Value(i64, bool),
    /// An error of this query alone, in whose text these words are. `<topic>` and `<group>` stand for the row's own.
    Error(&'static [&'static str]),
}

/// Where a row happens.
pub(crate) struct Place {
    pub(crate) admin: Admin,
    pub(crate) records: Records,
    pub(crate) topic: String,
    pub(crate) group: String,
}

impl Place {
    /// Makes the row's topic.
    pub(crate) fn create(&self, partitions: i32) -> &Self {
        self.admin.create(&self.topic, partitions);
        self
    }

    /// Makes the row's topic with so many records in each partition.
    pub(crate) fn filled(&self, counts: &[usize]) -> &Self {
        self.create(i32::try_from(counts.len()).unwrap());
        for (partition, count) in (0..).zip(counts) {
            self.append(partition, *count);
        }
        self
    }

    pub(crate) fn append(&self, partition: i32, count: usize) -> &Self {
        self.records.append(&self.topic, partition, count);
        self
    }

    /// Commits these offsets, one a partition from 0 on.
    pub(crate) fn commit(&self, offsets: &[i64]) -> &Self {
        for (partition, offset) in (0..).zip(offsets) {
            self.admin.commit(&self.group, &self.topic, partition, *offset);
        }
        self
    }

    pub(crate) fn trim(&self, partition: i32, offset: i64) -> &Self {
        self.admin.trim(&self.topic, partition, offset);
        self
    }

    pub(crate) fn begin(&self, partition: i32, count: usize) -> Transaction {
        self.records.begin(&format!("writer-{}", self.topic), &self.topic, partition, count)
    }

    /// The second topic of the row.
    pub(crate) fn other(&self) -> Self {
        let topic = format!("{}-other", self.topic);
        Self { admin: self.admin.clone(), records: self.records.clone(), topic, group: self.group.clone() }
    }
}

/// Does and reads all rows; what is not as expected is printed with its reason, after the whole table.
pub(crate) async fn holds(kafka: &Kafka, rows: impl IntoIterator<Item = &Row>) {
    let (mut table, mut wrong) = (String::new(), 0);
    for row in rows {
        let place = Place {
            admin: kafka.admin(),
            records: kafka.records(),
            topic: format!("topic-{}", row.name),
            group: format!("group-{}", row.name),
        };
        let open = (row.before)(&place);
        let trigger = Trigger::new(&kafka.bootstrap(Listener::Open), &place.group);
        let says: Vec<_> = row.says.iter().map(|(key, text)| (*key, text.replace("<topic>", &place.topic))).collect();
        let says: Vec<_> = says.iter().map(|(key, text)| (*key, text.as_str())).collect();
        let kind = says.iter().find(|(key, _)| *key == "type").map_or("kafka", |(_, kind)| kind);
        let metadata: Vec<_> = says.iter().filter(|(key, _)| *key != "type").copied().collect();
        let trigger = trigger.kind(kind).with(&[("topic", place.topic.as_str())]).with(&metadata);
        // A row without a topic says so with an empty one.
        let read = trigger.without_empty().read().await;
        let well = match (row.expected, &read) {
            (Expected::Lag(lag), Ok(read)) => *read == (lag, lag > 0),
            (Expected::Value(value, active), Ok(read)) => *read == (value, active),
            (Expected::Error(words), Err(error)) => {
                let words =
                    words.iter().map(|word| word.replace("<topic>", &place.topic).replace("<group>", &place.group));
                error.scope == ErrorScope::Query && words.into_iter().all(|word| error.message.contains(&word))
            }
            _ => false,
        };
        wrong += usize::from(!well);
        let mark = if well { "      " } else { "WRONG " };
        writeln!(table, "{mark}{}: expected {:?}, because {}", row.name, row.expected, row.why).unwrap();
        if !well {
            writeln!(table, "        was {read:?}").unwrap();
        }
        drop(open);
    }
    println!("{table}");
    assert_eq!(wrong, 0, "so many rows are wrong");
}
