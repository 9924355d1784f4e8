//! The live view: a few lines that are drawn in place. What is drawn is made by a pure function; drawing is plain ANSI.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Stdout, Write};

use rustix::termios::tcgetwinsize;

use super::manifests::{LIST_LENGTH, MAX_REPLICAS};
use super::story::{Line, Millis};

/// How many samples of the backlog are drawn.
const SAMPLES: usize = 40;
/// How many views make one sample.
const VIEWS_A_SAMPLE: u32 = 5;
/// How many of the last lines of the story are drawn.
const EVENTS: usize = 8;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const LABEL: usize = 10;

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Since the demo began.
    pub(super) elapsed: Millis,
    /// Items in the list now.
    pub(super) backlog: u64,
    /// Replicas wanted of the target now; none while they are not known.
    pub(super) replicas: Option<u32>,
    /// What the last decision stands for.
    pub(super) desired: Option<u32>,
    /// Worker processes.
    pub(super) running: Option<u32>,
    /// One line that says why.
    pub(super) why: String,
}

/// A terminal that shows the view; dropping it gives the cursor back.
#[derive(Debug)]
pub(super) struct Screen {
    out: Stdout,
    samples: VecDeque<u64>,
    views: u32,
    events: VecDeque<Line>,
    /// How many lines stand on the terminal, and how wide it was then.
    drawn: (usize, usize),
    colors: bool,
}

/// One line: a label, which is drawn faintly, and the rest.
type Row = (String, String);

impl Screen {
    /// A view on standard output; none if that is no terminal that can be drawn on.
    pub(super) fn open() -> Option<Self> {
        let out = io::stdout();
        let able = out.is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (samples, events) = (VecDeque::new(), VecDeque::new());
        able.then_some(Self { out, samples, views: 0, events, drawn: (0, 0), colors })
    }

    /// Adds lines to the last events.
    pub(super) fn add(&mut self, lines: Vec<Line>) {
        self.events.extend(lines);
        self.events.drain(..self.events.len().saturating_sub(EVENTS));
    }

    /// Draws the view in the place of the one before.
    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        self.sample(view.backlog);
        let size = tcgetwinsize(&self.out).map(|size| (usize::from(size.ws_row), usize::from(size.ws_col)));
        // Some terminals know no size.
        let (height, width) = size.ok().filter(|(height, width)| *height > 0 && *width > 0).unwrap_or((24, 80));
        let rows = rows(view, &self.samples, &self.events, (height.saturating_sub(1), width));
        let text = self.place(width) + &paint(&rows, width, self.colors);
        self.drawn = (rows.len(), width);
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// The escapes that bring the cursor to the first line of the view.
    fn place(&self, width: usize) -> String {
        match self.drawn {
            (0, _) => "\x1b[?25l".to_owned(),
            (lines, before) if before == width => format!("\r\x1b[{lines}A"),
            // The terminal has broken or joined the old lines: begin anew.
            _ => "\x1b[2J\x1b[H".to_owned(),
        }
    }

    /// A sample is the highest of some backlogs, so that short bursts are seen too.
    fn sample(&mut self, backlog: u64) {
        if self.views.is_multiple_of(VIEWS_A_SAMPLE) {
            self.samples.push_back(0);
            self.samples.drain(..self.samples.len().saturating_sub(SAMPLES));
        }
        self.views = self.views.wrapping_add(1);
        if let Some(last) = self.samples.back_mut() {
            *last = backlog.max(*last);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.drawn.0 > 0 {
            // There is nobody left to tell.
            let _ = self.out.write_all(b"\x1b[0m\x1b[?25h");
            let _ = self.out.flush();
        }
    }
}

/// The lines of the view, at most `height`; only what says why is broken in two if it is longer than `width`.
fn rows(view: &View, samples: &VecDeque<u64>, events: &VecDeque<Line>, (height, width): (usize, usize)) -> Vec<Row> {
    let row = |label: &str, text: String| (format!("  {label:<LABEL$}"), text);
    let count = |count: Option<u32>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let (why, rest) = broken(&view.why, width.saturating_sub(LABEL + 2));
    let mut rows = vec![
        (String::new(), format!("tidegate demo   {}", clock(view.elapsed))),
        row("backlog", format!("{:<4} {LIST_LENGTH} a worker   {}", view.backlog, spark(samples))),
        row("replicas", format!("{:<4} at most {MAX_REPLICAS}   {}", count(view.replicas), bar(view.replicas))),
        row("desired", count(view.desired)),
        row("workers", format!("{} running", count(view.running))),
        row("why", why.to_owned()),
        row("", rest.to_owned()),
        (String::new(), String::new()),
    ];
    let room = height.saturating_sub(rows.len());
    let skipped = events.len().saturating_sub(room);
    rows.extend(events.iter().skip(skipped).map(|event| (String::new(), format!("  {event}"))));
    rows.truncate(height);
    rows
}

/// A text in two parts, the first of them at most `width` long if a space allows it.
fn broken(text: &str, width: usize) -> (&str, &str) {
    if text.chars().count() <= width {
        return (text, "");
    }
    let spaces = text.char_indices().enumerate().filter(|(place, (_, sign))| *place <= width && *sign == ' ');
    spaces.last().map_or((text, ""), |(_, (at, _))| (&text[..at], text[at..].trim_start()))
}

/// Minutes and seconds.
fn clock(elapsed: Millis) -> String {
    let seconds = elapsed.0.max(0) / 1000;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

/// The backlog over time, the highest sample as a full block.
fn spark(samples: &VecDeque<u64>) -> String {
    let highest = samples.iter().copied().max().unwrap_or(0).max(1);
    let steps = BARS.len() as u64 - 1;
    let sign = |sample: u64| {
        let level = sample.saturating_mul(steps).div_ceil(highest).min(steps);
        usize::try_from(level).ok().and_then(|level| BARS.get(level)).copied().unwrap_or(' ')
    };
    samples.iter().map(|sample| sign(*sample)).collect()
}

/// One block a replica.
fn bar(replicas: Option<u32>) -> String {
    (0..MAX_REPLICAS).map(|place| if place < replicas.unwrap_or(0) { '█' } else { '░' }).collect()
}

/// The text that draws the rows, none of them wider than the terminal, and clears what was beside and below.
fn paint(rows: &[Row], width: usize, colors: bool) -> String {
    let mut text = String::new();
    let (faint, plain) = if colors { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    for (label, rest) in rows {
        let label: String = label.chars().take(width).collect();
        let room = width - label.chars().count();
        let rest: String = rest.chars().filter(|sign| !sign.is_control()).take(room).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "{faint}{label}{plain}{rest}\x1b[K\r\n");
    }
    text + "\x1b[J"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            elapsed: Millis(62_300),
            backlog: 40,
            replicas: Some(8),
            desired: Some(10),
            running: Some(7),
            why: "jobs wants 10".to_owned(),
        }
    }

    fn event(number: i64) -> Line {
        Line { at: Millis(number * 1000), what: "burst", text: format!("number {number}") }
    }

    #[test]
    fn everything_is_shown() {
        let rows = rows(&view(), &VecDeque::from([0, 1, 40]), &(0..3).map(event).collect(), (20, 80));
        let text: Vec<String> = rows.iter().map(|(label, rest)| format!("{label}{rest}")).collect();
        assert_eq!(
            text,
            [
                "tidegate demo   1:02",
                "  backlog   40   5 a worker   ▁▂█",
                "  replicas  8    at most 10   ████████░░",
                "  desired   10",
                "  workers   7 running",
                "  why       jobs wants 10",
                "            ",
                "",
                "     0.0 s  burst    number 0",
                "     1.0 s  burst    number 1",
                "     2.0 s  burst    number 2",
            ]
        );
    }

    #[test]
    fn small_terminals_show_the_last_events_or_less() {
        let events: VecDeque<Line> = (0..5).map(event).collect();
        let shown = rows(&view(), &VecDeque::new(), &events, (10, 80));
        assert_eq!(shown.len(), 10);
        assert!(shown[9].1.ends_with("number 4"));
        assert_eq!(rows(&view(), &VecDeque::new(), &events, (3, 80)).len(), 3);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let rows = vec![("  why ".to_owned(), "wide\x1b[2J".repeat(50)), ("  replicas".to_owned(), "████".to_owned())];
        let text = paint(&rows, 12, false);
        let widths: Vec<usize> = text.split("\x1b[K\r\n").map(|line| line.chars().count()).collect();
        assert_eq!(widths, [12, 12, "\x1b[J".len()]);
        assert!(!text.contains("\x1b[2J"), "nobody else's escapes get through");
    }

    #[test]
    fn a_long_reason_is_broken_at_a_space() {
        assert_eq!(broken("jobs wants 10", 13), ("jobs wants 10", ""));
        assert_eq!(broken("jobs wants 10", 12), ("jobs wants", "10"));
        assert_eq!(broken("jobs wants 10", 4), ("jobs", "wants 10"));
        assert_eq!(broken("jobs wants 10", 3), ("jobs wants 10", ""));
        assert_eq!(broken("", 0), ("", ""));
    }

    #[test]
    fn short_bursts_are_seen() {
        let mut screen = Screen {
            out: io::stdout(),
            samples: VecDeque::new(),
            views: 0,
            events: VecDeque::new(),
            drawn: (0, 0),
            colors: false,
        };
        for backlog in [0, 0, 9, 0, 0, 1] {
            screen.sample(backlog);
        }
        assert_eq!(screen.samples, [9, 1]);
    }
}
