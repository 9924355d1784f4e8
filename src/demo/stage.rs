//! Plays the demo: sends the bursts, watches the engine and the workers, and shows what happens.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate_calculator::observation::Evidence;
use tidegate_engine::snapshot::{Phase, Snapshot};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::client::{Client, ClientError};
use super::producer::Producer;
use super::report::Report;
use super::screen::{Screen, View};
use super::story::{Millis, Story, Summary, why};
use super::world::World;
use super::{DemoError, JOBS, Options, RESULTS};

/// How often the engine and the list are looked at, and the view is drawn.
const TICK: Duration = Duration::from_millis(100);
/// How long the engine and the store may take to answer; they need some milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Reports that may wait to be looked at; a worker's report waits in the store after that.
const REPORTS: usize = 256;

/// The running demo.
pub(super) struct Stage<'a> {
    world: &'a World,
    store: Client,
    reports: mpsc::Receiver<Result<Report, ClientError>>,
    collector: JoinHandle<()>,
    producer: Producer,
    story: Story,
    screen: Option<Screen>,
    view: View,
    begun: Instant,
    round_begun: Instant,
    limit: Duration,
    keep: bool,
    /// The last complete round.
    summary: Option<Summary>,
}

impl<'a> Stage<'a> {
    /// A stage in `world`, whose workers take their items from `store`.
    pub(super) async fn new(options: &Options, world: &'a World, store: SocketAddr) -> Result<Self, DemoError> {
        let (told, reports) = mpsc::channel(REPORTS);
        let collector = tokio::spawn(collect(Client::connect(store).await?, told));
        let now = Instant::now();
        Ok(Self {
            world,
            store: Client::connect(store).await?,
            reports,
            collector,
            producer: Producer::default(),
            story: Story::new(Timestamp::now()),
            screen: if options.plain { None } else { Screen::open() },
            view: View::default(),
            begun: now,
            round_begun: now,
            limit: options.limit,
            keep: options.keep,
            summary: None,
        })
    }

    /// Adds a line to the story.
    pub(super) fn tell(&mut self, what: &'static str, text: String) {
        self.story.tell(Timestamp::now(), what, text);
    }

    /// Plays one round, or with `keep` one after the other until something fails.
    pub(super) async fn play(&mut self) -> Result<(), DemoError> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                report = self.reports.recv() => {
                    let report = report.unwrap_or(Err(ClientError::Unexpected("BRPOP")))?;
                    self.story.report(&report, Timestamp::now());
                }
                _ = ticks.tick() => {
                    let over = timeout(ANSWER_LIMIT, self.step()).await.map_err(|_| no_answer())??;
                    self.show()?;
                    if over {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The summary of the last complete round. The live view ends.
    pub(super) fn end(mut self) -> Option<Summary> {
        // Nothing can be done for a terminal that has gone away.
        let _ = self.show();
        self.summary.take()
    }

    /// Looks at everything once; whether the demo is over.
    async fn step(&mut self) -> Result<bool, DemoError> {
        let snapshot = self.world.look().await?;
        let backlog = self.store.length(JOBS).await?;
        if let Some(snapshot) = &snapshot {
            self.story.snapshot(snapshot);
        }
        self.view = self.look(snapshot.as_ref(), backlog);
        let resting = snapshot.as_ref().is_some_and(rests);
        if let Some(burst) = self.producer.due(Instant::now(), resting) {
            self.story.burst(burst, Timestamp::now());
            self.producer.send(burst, &mut self.store).await?;
        } else if self.producer.all_sent()
            && resting
            && let Ok(summary) = self.story.outcome()
        {
            return Ok(self.round_over(summary));
        }
        if self.round_begun.elapsed() > self.limit {
            return Err(DemoError::NotInTime(self.limit.as_secs(), self.reason()));
        }
        Ok(false)
    }

    fn reason(&self) -> String {
        self.story.outcome().err().unwrap_or_else(|| "the worker processes have not ended".to_owned())
    }

    /// Takes up a complete round; whether it was the last.
    fn round_over(&mut self, summary: Summary) -> bool {
        if self.keep {
            self.tell("round", summary.result().to_owned());
            self.producer.next_round();
            let mut next = self.story.next_round();
            next.keep_lines(self.story.take_lines());
            self.story = next;
            self.round_begun = Instant::now();
        }
        self.summary = Some(summary);
        !self.keep
    }

    fn look(&self, snapshot: Option<&Snapshot>, backlog: i64) -> View {
        let seen = snapshot.and_then(|snapshot| snapshot.seen);
        View {
            elapsed: Millis(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)),
            backlog: u64::try_from(backlog).unwrap_or(0),
            replicas: seen.map(|seen| seen.replicas),
            desired: snapshot.and_then(|snapshot| Some(snapshot.decision.as_ref()?.0.desired)),
            running: seen.map(|seen| seen.ready.unwrap_or(seen.existing)),
            why: snapshot.map(why).unwrap_or_default(),
        }
    }

    /// Draws the view, or prints the lines that are new.
    fn show(&mut self) -> Result<(), DemoError> {
        let lines = self.story.take_lines();
        let shown = if let Some(screen) = &mut self.screen {
            screen.add(lines);
            screen.draw(&self.view)
        } else {
            let mut out = io::stdout().lock();
            lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush())
        };
        shown.map_err(DemoError::Output)
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.collector.abort();
    }
}

fn no_answer() -> DemoError {
    let seconds = ANSWER_LIMIT.as_secs();
    DemoError::World(format!("the engine or the store has not answered within {seconds} s"), "NoAnswer")
}

/// Whether the object is looked after, has no replicas, and no worker runs any more.
fn rests(snapshot: &Snapshot) -> bool {
    let read = snapshot.evidence.iter().all(|evidence| matches!(evidence, Evidence::Good { .. }));
    // Workers that are ending count as ready as long as they run.
    let none = snapshot.seen.is_some_and(|seen| seen.replicas + seen.existing + seen.ready.unwrap_or(0) == 0);
    snapshot.phase == Phase::Running && snapshot.decision.is_some() && read && none
}

/// Takes what the workers tell from the results list.
async fn collect(mut store: Client, told: mpsc::Sender<Result<Report, ClientError>>) {
    loop {
        let report = match store.ask_item(RESULTS).await {
            Ok(()) => store.next_item().await,
            Err(error) => Err(error),
        };
        let (report, ended) = match report {
            Ok(line) => (Report::parse(&line).map(Ok), false),
            Err(error) => (Some(Err(error)), true),
        };
        let unheard = match report {
            Some(report) => told.send(report).await.is_err(),
            None => false,
        };
        if ended || unheard {
            return;
        }
    }
}
