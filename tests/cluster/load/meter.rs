//! What a process costs, and on what machine.

use std::fs;

/// One process.
#[derive(Clone, Copy)]
pub(super) struct Meter(u32);

impl Meter {
    pub(super) fn new(pid: u32) -> Self {
        Self(pid)
    }

    /// Seconds of processor time that it has taken so far, all threads together. The kernel counts in hundredths of a second.
    pub(super) fn processor(self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        // The name may have spaces in it; it ends with the last parenthesis.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// One of the kernel's figures about its memory, MiB: `VmRSS` is what is resident now, `VmHWM` the most so far.
    pub(super) fn memory(self, name: &str) -> f64 {
        self.status(name).trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// How many threads it has.
    pub(super) fn threads(self) -> f64 {
        self.status("Threads").parse().unwrap()
    }

    fn status(self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        line.trim().to_owned()
    }

    /// How many connections it has to a port of this machine.
    pub(super) fn connections(self, port: u16) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.0)).unwrap();
        let own: Vec<_> = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok()).collect();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let remote = format!(":{port:04X}");
        let to_port = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).filter(|fields| {
            // The remote address, the state (1 is established), and the socket's number.
            fields.len() > 9 && fields[2].ends_with(&remote) && fields[3] == "01"
        });
        to_port
            .filter(|fields| own.iter().any(|file| file.as_os_str() == format!("socket:[{}]", fields[9]).as_str()))
            .count()
    }

    /// Where the resident memory stands.
    pub(super) fn parts(self) -> String {
        format!(
            "{:.1} MiB of its own, {:.1} MiB of files (the program)",
            self.memory("RssAnon"),
            self.memory("RssFile")
        )
    }
}

/// The sum of a metric's samples that have a label value.
pub(super) fn sum(metrics: &str, name: &str, label: &str) -> f64 {
    let samples = metrics.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    let ours = samples.filter(|line| line.contains(&format!("\"{label}\"")));
    ours.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).fold(0.0, |sum, one| sum + one)
}

/// The load average of the last minute.
pub(in crate::cluster) fn load_average() -> String {
    fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap_or_default().to_owned()
}

/// One line about the machine.
pub(in crate::cluster) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let (model, memory) = (value(&read("/proc/cpuinfo"), "model name"), value(&read("/proc/meminfo"), "MemTotal"));
    let (kernel, date) = (read("/proc/sys/kernel/osrelease"), jiff::Timestamp::now().strftime("%F"));
    format!("{date}: {processors} processors ({model}), {memory}, Linux {}", kernel.trim())
}

/// The median, the 99th percentile and the highest of some numbers; none if there are no numbers.
pub(super) fn spread(mut numbers: Vec<f64>) -> Option<[f64; 3]> {
    numbers.sort_unstable_by(f64::total_cmp);
    let last = numbers.len().checked_sub(1)?;
    Some([numbers[last / 2], numbers[last * 99 / 100], numbers[last]])
}
