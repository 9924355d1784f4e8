//! How many records a second each vertex takes, could take and will have to take.

use std::time::Duration;

use super::Shape;

/// From how many seconds of input on the records that wait say that a source works as fast as it can.
const CATCHING_UP: f64 = 30.0;

/// How much the rate by busy time may be above the one that was observed while catching up, before the latter counts.
const TRUSTED: f64 = 1.15;

/// How many seconds of input wait where the job is so far behind that nothing is taken away from it.
const FAR_BEHIND: f64 = 300.0;

/// What a vertex did on average over the window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Flow {
    /// Records a second that it read; of a source, what it wrote if it does not count what it reads.
    pub(super) read: f64,
    /// Records a second that it wrote, over all its outputs.
    pub(super) written: f64,
    /// How much of its time its busiest subtask worked, from 0 to 1.
    pub(super) work: f64,
    /// How much its worst subtask was held back, from 0 to 1.
    pub(super) backpressure: f64,
    /// The records that wait at the end of the window, of a source that says it.
    pub(super) lag: Option<f64>,
    /// By how many records a second that grew.
    pub(super) lag_change: Option<f64>,
}

/// The records a second that a vertex will have to take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    /// For what comes.
    pub(super) target: f64,
    /// For what waits, besides.
    pub(super) catch_up: f64,
}

impl Flow {
    /// The records a second that the vertex could take if it worked all the time; infinite if it took none.
    pub(super) fn true_rate(&self, is_source: bool) -> f64 {
        if self.read <= 0.0 {
            return f64::INFINITY;
        }
        let by_work = if self.work > 0.0 { self.read / self.work } else { f64::INFINITY };
        let behind = is_source && self.lag.is_some_and(|lag| lag >= CATCHING_UP * self.read);
        let free = 1.0 - self.backpressure;
        if behind && free > 0.0 && by_work > TRUSTED * (self.read / free) { self.read / free } else { by_work }
    }

    /// Whether more waits than should be there when replicas are taken away.
    pub(super) fn is_far_behind(&self) -> bool {
        self.lag.is_some_and(|lag| lag > FAR_BEHIND * self.read)
    }
}

/// What each vertex will have to take: a source what comes to it, any other what the ones before it will give.
///
/// None if something comes to a vertex that has passed nothing on, because it was held back for the whole window.
pub(super) fn rates(shape: &Shape, flows: &[Flow], catch_up: Duration) -> Option<Vec<Rate>> {
    let mut rates = vec![Rate::default(); shape.nodes.len()];
    for place in shape.in_order() {
        let inputs = &shape.nodes[place].inputs;
        if inputs.is_empty() {
            rates[place] = source(&flows[place], catch_up);
            continue;
        }
        let mut sum = Rate::default();
        for input in inputs {
            let given = rates[*input];
            if given.target <= 0.0 && given.catch_up <= 0.0 {
                continue;
            }
            let ratio = ratio(shape, flows, *input, place)?;
            sum.target += given.target * ratio;
            sum.catch_up += given.catch_up * ratio;
        }
        rates[place] = sum;
    }
    Some(rates)
}

fn source(flow: &Flow, catch_up: Duration) -> Rate {
    let target = (flow.read + flow.lag_change.unwrap_or_default()).max(0.0);
    let seconds = catch_up.as_secs_f64();
    let lag = flow.lag.unwrap_or_default();
    Rate { target, catch_up: if seconds > 0.0 { lag / seconds } else { 0.0 } }
}

/// How many records go over an edge for each that its beginning reads; none if it read nothing.
///
/// A beginning with one output has counted them itself. Of one with several they are counted where they arrive, which is less exact: many records
/// can be on their way for long. Where several edges arrive, each then has the share that its beginning writes.
fn ratio(shape: &Shape, flows: &[Flow], from: usize, to: usize) -> Option<f64> {
    let read = flows[from].read;
    if read <= 0.0 {
        return None;
    }
    if shape.nodes.iter().filter(|node| node.inputs.contains(&from)).count() == 1 {
        return Some(flows[from].written / read);
    }
    let inputs = &shape.nodes[to].inputs;
    let written: f64 = inputs.iter().map(|input| flows[*input].written).sum();
    #[expect(clippy::cast_precision_loss, reason = "a vertex has a few inputs")]
    let portion = if written > 0.0 { flows[from].written / written } else { 1.0 / inputs.len() as f64 };
    Some(portion * flows[to].read / read)
}
