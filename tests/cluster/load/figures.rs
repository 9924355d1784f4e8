//! What is measured, what it may be at most, and what KEDA needs for it.

use std::fmt;

use super::meter::spread;

/// One figure.
pub(super) struct Figure {
    name: &'static str,
    unit: &'static str,
    budget: Budget,
    /// With 100 and with 1,000 objects; empty if it was not measured.
    keda: [&'static str; 2],
}

/// What a figure may be at most, in its unit.
enum Budget {
    None,
    /// With any number of objects.
    Any(f64),
    /// With up to 1,000 objects.
    Thousand(f64),
    /// With up to 1,000 and up to 10,000 objects.
    Both(f64, f64),
}

/// The figures of a minute in which nothing changes.
pub(super) struct Quiet {
    pub(super) processor: Figure,
    pub(super) resident: Figure,
    pub(super) requests: Figure,
    pub(super) writes: Figure,
    pub(super) others: Figure,
}

/// The figures of events.
pub(super) struct Events {
    pub(super) few_first: Figure,
    pub(super) few_full: Figure,
    pub(super) others_first: Figure,
    pub(super) others_full: Figure,
    pub(super) writes_each: Figure,
}

/// The figures of a minute in which many consumer groups are looked at.
pub(super) struct Polls {
    pub(super) rounds: Figure,
    pub(super) requests: Figure,
    pub(super) groups: Figure,
    pub(super) traffic: Figure,
    pub(super) time: Figure,
    pub(super) processor: Figure,
    pub(super) resident: Figure,
    pub(super) threads: Figure,
    pub(super) connections: Figure,
}

/// The figures of a minute in which many triggers look at one server.
pub(super) struct OneServer {
    pub(super) requests: Figure,
    pub(super) connections: Figure,
    pub(super) processor: Figure,
    pub(super) resident: Figure,
    pub(super) peak: Figure,
}

/// The numbers of one table.
pub(super) struct Table {
    title: String,
    objects: usize,
    /// Whether there is a column for KEDA.
    compared: bool,
    rows: Vec<Row>,
    loads: Vec<String>,
    notes: Vec<String>,
    served: Vec<f64>,
}

struct Row {
    figure: &'static Figure,
    /// None if there is only one number.
    median: Option<f64>,
    highest: f64,
}

/// Median, 99th percentile and highest, as text.
pub(super) struct Latency(pub(super) Option<[f64; 3]>);

const fn figure(name: &'static str, unit: &'static str, budget: Budget, keda: [&'static str; 2]) -> Figure {
    Figure { name, unit, budget, keda }
}

pub(super) static APPLIED: Figure = figure("all ScaledObjects applied in", "s", Budget::None, ["", "7"]);
pub(super) static READY: Figure = figure(
    "from the last apply until all are ready and read",
    "s",
    Budget::Thousand(3.0),
    ["48.0 (from the first)", "493.7"],
);
pub(super) static EMPTY: Figure = figure("resident before there are objects", "MiB", Budget::None, ["", ""]);
pub(super) static EACH: Figure = figure("resident for one more object", "KiB", Budget::Any(10.0), ["", "about 240"]);

pub(super) static IDLE: Quiet = Quiet {
    processor: figure("CPU idle", "milli-cores", Budget::Thousand(5.0), ["14.7", "86.3"]),
    resident: figure("resident idle", "MiB", Budget::Both(40.0, 150.0), ["241.6", "458.2"]),
    requests: figure("API requests in an idle minute", "", Budget::None, ["", ""]),
    writes: figure("of these writes", "", Budget::None, ["217", "1,202"]),
    others: figure("of these not of the Lease", "", Budget::Any(0.0), ["", ""]),
};
pub(super) static ACTIVE: Quiet = Quiet {
    processor: figure("CPU active", "milli-cores", Budget::Thousand(15.0), ["47.8", "231.3"]),
    resident: figure("resident active", "MiB", Budget::Both(40.0, 150.0), ["255.6", "495.0"]),
    requests: figure("API requests in an active minute", "", Budget::None, ["", ""]),
    writes: figure("of these writes", "", Budget::None, ["202", "1,203"]),
    others: figure("of these not of the Lease", "", Budget::Any(0.0), ["", ""]),
};
pub(super) static POLLED: Events = Events {
    few_first: figure("polled, 20 objects: first replica", "s", Budget::Any(30.1), ["11.4 / 20.4", "21.6 / 29.9"]),
    few_full: figure("polled, 20 objects: 5 replicas", "s", Budget::Any(30.1), ["41.1 / 50.2", "49.9 / 59.9"]),
    others_first: figure(
        "polled, all others at once: first replica",
        "s",
        Budget::Thousand(35.0),
        ["16.3 / 29.7", "73.3 / 97.9"],
    ),
    others_full: figure(
        "polled, all others at once: 5 replicas",
        "s",
        Budget::Thousand(35.0),
        ["46.0 / 59.6", "120.6 / 154.4"],
    ),
    writes_each: figure("polled, writes of /scale an object", "", Budget::Any(1.0), ["", ""]),
};
pub(super) static PUSHED: Events = Events {
    few_first: figure("push, 20 objects: first replica", "s", Budget::Any(0.1), ["", ""]),
    few_full: figure("push, 20 objects: 5 replicas", "s", Budget::Any(0.1), ["", ""]),
    others_first: figure("push, all others at once: first replica", "s", Budget::Thousand(5.0), ["", ""]),
    others_full: figure("push, all others at once: 5 replicas", "s", Budget::Thousand(5.0), ["", ""]),
    writes_each: figure("push, writes of /scale an object", "", Budget::Any(1.0), ["", ""]),
};
pub(super) static EMPTIED_POLLED: Figure =
    figure("polled, all lists emptied: back to 0", "s", Budget::None, ["12.8 / 29.7", "63.3 / 98.8"]);
pub(super) static LISTENING: Figure = figure("resident idle with push", "MiB", Budget::Both(40.0, 150.0), ["", ""]);
pub(super) static EMPTIED_PUSHED: Figure = figure("push, all lists emptied: back to 0", "s", Budget::None, ["", ""]);
pub(super) static PEAK: Figure = figure("resident, the most in the whole run", "MiB", Budget::None, ["", ""]);

pub(super) static NO_LAG: Polls = Polls {
    rounds: figure("no lag: rounds in a minute", "", Budget::None, ["", ""]),
    requests: figure("no lag: requests of a round", "", Budget::None, ["", ""]),
    groups: figure("no lag: groups of a round", "", Budget::None, ["", ""]),
    traffic: figure("no lag: a round, both directions", "kB", Budget::None, ["", ""]),
    time: figure("no lag: time of a round", "ms", Budget::Any(100.0), ["", ""]),
    processor: figure("no lag: CPU", "milli-cores", Budget::None, ["", ""]),
    resident: figure("no lag: resident", "MiB", Budget::Any(50.0), ["", ""]),
    threads: figure("no lag: threads", "", Budget::None, ["", ""]),
    connections: figure("no lag: connections to the broker", "", Budget::Any(1.0), ["", ""]),
};
pub(super) static LAG: Polls = Polls {
    rounds: figure("lag in all groups: rounds in a minute", "", Budget::None, ["", ""]),
    requests: figure("lag in all groups: requests of a round", "", Budget::None, ["", ""]),
    groups: figure("lag in all groups: groups of a round", "", Budget::None, ["", ""]),
    traffic: figure("lag in all groups: a round, both directions", "kB", Budget::None, ["", ""]),
    time: figure("lag in all groups: time of a round", "ms", Budget::Any(100.0), ["", ""]),
    processor: figure("lag in all groups: CPU", "milli-cores", Budget::None, ["", ""]),
    resident: figure("lag in all groups: resident", "MiB", Budget::Any(50.0), ["", ""]),
    threads: figure("lag in all groups: threads", "", Budget::None, ["", ""]),
    connections: figure("lag in all groups: connections to the broker", "", Budget::Any(1.0), ["", ""]),
};
pub(super) static AT_ONCE_REQUESTS: Figure =
    figure("a start: requests until all groups are read", "", Budget::None, ["", ""]);
pub(super) static AT_ONCE: Figure = figure("a start: time until all groups are read", "ms", Budget::None, ["", ""]);
pub(super) static LARGEST: Figure = figure("a start: most groups in one request", "", Budget::None, ["", ""]);
pub(super) static LARGEST_TIME: Figure = figure("a start: time of that request", "ms", Budget::Any(100.0), ["", ""]);
pub(super) static PEAK_OF_GROUPS: Figure =
    figure("resident, the most in the whole run", "MiB", Budget::Any(50.0), ["", ""]);

pub(super) static ONE_SERVER: OneServer = OneServer {
    requests: figure("requests in a minute, seen by the server", "", Budget::None, ["", ""]),
    connections: figure("connections to the server", "", Budget::None, ["", ""]),
    processor: figure("CPU", "milli-cores", Budget::Any(5.0), ["", ""]),
    resident: figure("resident", "MiB", Budget::None, ["", ""]),
    peak: figure("resident, the most in the whole run", "MiB", Budget::None, ["", ""]),
};

impl Budget {
    fn at(&self, objects: usize) -> Option<f64> {
        match *self {
            Self::Any(most) => Some(most),
            Self::Thousand(most) | Self::Both(most, _) if objects <= 1_000 => Some(most),
            Self::Both(_, most) if objects <= 10_000 => Some(most),
            Self::None | Self::Thousand(_) | Self::Both(..) => None,
        }
    }
}

impl Table {
    pub(super) fn new(objects: usize) -> Self {
        let title = format!("{objects} objects");
        let (rows, loads, notes, served) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { title, objects, compared: true, rows, loads, notes, served }
    }

    /// One of something that was not measured with KEDA.
    pub(super) fn alone(title: String, objects: usize) -> Self {
        Self { title, compared: false, ..Self::new(objects) }
    }

    /// A figure that is one number.
    pub(super) fn add(&mut self, figure: &'static Figure, number: f64) {
        self.row(Row { figure, median: None, highest: number });
    }

    /// A figure that has a number for each object.
    pub(super) fn add_all(&mut self, figure: &'static Figure, numbers: Vec<f64>) {
        let [median, _, highest] = spread(numbers).expect("a number");
        self.row(Row { figure, median: Some(median), highest });
    }

    /// A measurement began while the machine was this busy.
    pub(super) fn began(&mut self, name: &str, load: &str) {
        self.loads.push(format!("{name} {load}"));
    }

    /// A sentence below the table.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// Milliseconds that writes of replicas took at the API server.
    pub(super) fn served(&mut self, times: &[f64]) {
        self.served.extend(times);
    }

    /// What one more object costs, by the table of fewer objects before this one.
    pub(super) fn compare(&mut self, fewer: &Self) {
        let resident = |table: &Self| {
            let row = table.rows.iter().find(|row| std::ptr::eq(row.figure, &raw const IDLE.resident));
            row.map_or(f64::NAN, |row| row.highest)
        };
        if fewer.objects < self.objects {
            let more = count(self.objects) - count(fewer.objects);
            self.add(&EACH, (resident(self) - resident(fewer)) * 1024.0 / more);
        }
    }

    fn row(&mut self, row: Row) {
        println!("    {}: {}{}", row.figure.name, row.measured(), row.missed(self.objects));
        self.rows.push(row);
    }
}

impl Row {
    fn measured(&self) -> String {
        let unit = self.figure.unit;
        let number = |number: f64| match unit {
            "" => format!("{}", (number * 100.0).round() / 100.0),
            "s" => format!("{number:.3}"),
            _ => format!("{number:.1}"),
        };
        let highest = number(self.highest);
        let text = self.median.map_or(highest.clone(), |median| format!("{} / {highest}", number(median)));
        format!("{text} {unit}").trim_end().to_owned()
    }

    fn missed(&self, objects: usize) -> &'static str {
        // A hair's breadth is for the division that made the number.
        if self.figure.budget.at(objects).is_some_and(|most| self.highest > most + 1e-9) { " **missed**" } else { "" }
    }

    fn keda(&self, objects: usize) -> &'static str {
        let column = match objects {
            100 => self.figure.keda[0],
            1_000 => self.figure.keda[1],
            _ => "",
        };
        if column.is_empty() { "–" } else { column }
    }
}

impl fmt::Display for Table {
    /// As Markdown, so that it can be copied.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "### {}\n", self.title)?;
        let (others, dashes) =
            if self.compared { (" KEDA and HPA, another run on another day |", " --- |") } else { ("", "") };
        writeln!(out, "| figure (median / highest) | Tidegate | budget |{others}\n| --- | --- | --- |{dashes}")?;
        for row in &self.rows {
            let budget = row
                .figure
                .budget
                .at(self.objects)
                .map_or("–".to_owned(), |most| format!("{most} {}", row.figure.unit));
            let (missed, keda) = (row.missed(self.objects), row.keda(self.objects));
            let keda = if self.compared { format!(" {keda} |") } else { String::new() };
            writeln!(out, "| {} | {}{missed} | {} |{keda}", row.figure.name, row.measured(), budget.trim_end())?;
        }
        writeln!(out)?;
        if !self.served.is_empty() {
            writeln!(out, "A write of /scale at the API server, ms: {}.", Latency(spread(self.served.clone())))?;
        }
        for note in &self.notes {
            writeln!(out, "{note}")?;
        }
        writeln!(out, "Load average at the beginning of each part: {}.", self.loads.join(", "))
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some([median, most, highest]) => write!(out, "median {median:.1}, 99 % {most:.1}, highest {highest:.1}"),
            None => out.write_str("none"),
        }
    }
}

/// A count as a number that can be divided.
#[allow(clippy::cast_precision_loss)]
pub(super) fn count(count: usize) -> f64 {
    count as f64
}
