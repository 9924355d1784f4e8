//! What was seen of a job over a while, and what it comes to on average.

use std::collections::VecDeque;
use std::time::Duration;

use super::Shape;
use super::flow::Flow;
use crate::flink::client::VertexId;

/// Into how many parts a window is cut at most: samples that come faster are left out, so that memory is bounded.
const PARTS: i64 = 120;

/// One look at a job.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::flink) struct Sample {
    /// When, in milliseconds by the JobManager's clock.
    pub(in crate::flink) at: i64,
    /// Its vertices.
    pub(in crate::flink) vertices: Vec<Seen>,
}

/// One vertex at that moment.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::flink) struct Seen {
    /// The vertex.
    pub(in crate::flink) id: VertexId,
    /// The records that it has read since it began to run.
    pub(in crate::flink) read: f64,
    /// The records that it has written since then.
    pub(in crate::flink) written: f64,
    /// How much of its time its busiest subtask works, from 0 to 1.
    pub(in crate::flink) work: f64,
    /// How much its worst subtask is held back, from 0 to 1.
    pub(in crate::flink) backpressure: f64,
    /// The records that wait, of a source that says it.
    pub(in crate::flink) pending: Option<f64>,
}

/// The samples of a window, the oldest first. The first one is older than the window once the window is full.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    pub(super) samples: VecDeque<Sample>,
}

impl Window {
    /// Whether a sample is newer than this moment.
    pub(super) fn is_after(&self, at: i64) -> bool {
        self.samples.back().is_some_and(|last| last.at > at)
    }

    /// Takes one more sample and forgets what the window does not need.
    pub(super) fn add(&mut self, sample: Sample, span: Duration) {
        let span = millis(span);
        let begin = sample.at.saturating_sub(span);
        // The newest one stands for this moment, so of two that are close the older goes; the very first must stay.
        let len = self.samples.len();
        if len >= 2 && sample.at - self.samples[len - 2].at < span / PARTS {
            self.samples.pop_back();
        }
        self.samples.push_back(sample);
        while self.samples.get(1).is_some_and(|second| second.at <= begin) {
            self.samples.pop_front();
        }
    }

    /// What each vertex of the shape did on average; none until the window is full, and where a vertex is missing or counts backwards.
    pub(super) fn flows(&self, shape: &Shape, span: Duration) -> Option<Vec<Flow>> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if self.samples.len() < 2 || last.at - first.at < millis(span).max(1) {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a window of milliseconds fits")]
        let seconds = (last.at - first.at) as f64 / 1000.0;
        let flow = |node: &super::Node| {
            let (begin, end) = (seen(first, &node.id)?, seen(last, &node.id)?);
            let (read, written) = (end.read - begin.read, end.written - begin.written);
            // Some sources count only what they write.
            let read = if node.inputs.is_empty() && read == 0.0 { written } else { read };
            let change = end.pending.zip(begin.pending).map(|(end, begin)| (end - begin) / seconds);
            (read >= 0.0 && written >= 0.0).then_some(Flow {
                read: read / seconds,
                written: written / seconds,
                work: self.mean(&node.id, |seen| seen.work)?,
                backpressure: self.mean(&node.id, |seen| seen.backpressure)?,
                lag: end.pending,
                lag_change: change,
            })
        };
        shape.nodes.iter().map(flow).collect()
    }

    fn mean(&self, id: &VertexId, of: impl Fn(&Seen) -> f64) -> Option<f64> {
        let values: Option<Vec<f64>> = self.samples.iter().map(|sample| seen(sample, id).map(&of)).collect();
        let values = values?;
        #[expect(clippy::cast_precision_loss, reason = "there are a few hundred at most")]
        Some(values.iter().sum::<f64>() / values.len().max(1) as f64)
    }
}

fn seen<'a>(sample: &'a Sample, id: &VertexId) -> Option<&'a Seen> {
    sample.vertices.iter().find(|seen| seen.id == *id)
}

/// A duration in milliseconds.
pub(super) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
