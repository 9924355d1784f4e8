//! What the numbers of a queue mean in each mode; pure.

use tidegate_calculator::source::Milli;

use crate::http::reported;

/// What is known of a queue, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// Messages in the queue.
    pub(super) messages: u64,
    /// Messages that come in, a second.
    pub(super) published: f64,
    /// Messages that are given out, a second.
    pub(super) delivered: f64,
}

/// What is compared with the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    QueueLength,
    MessageRate,
    DeliverGetRate,
    PublishedToDeliveredRatio,
    ExpectedQueueConsumptionTime,
}

/// How several queues become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Sum,
    Average,
    Maximum,
}

impl Mode {
    /// The mode of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "QueueLength" => Self::QueueLength,
            "MessageRate" => Self::MessageRate,
            "DeliverGetRate" => Self::DeliverGetRate,
            "PublishedToDeliveredRatio" => Self::PublishedToDeliveredRatio,
            "ExpectedQueueConsumptionTime" => Self::ExpectedQueueConsumptionTime,
            _ => return None,
        })
    }

    /// Whether it looks at rates, which only the management API has.
    pub(super) fn needs_rates(self) -> bool {
        self != Self::QueueLength
    }

    /// The value, and whether the trigger is active, exactly as KEDA has them.
    pub(super) fn judge(self, counts: &Counts, activation: f64) -> (Milli, bool) {
        let Counts { published, delivered, .. } = *counts;
        let messages = float(counts.messages);
        let (value, active) = match self {
            Self::QueueLength => (messages, messages > activation),
            Self::MessageRate => (published, published > activation || messages > activation),
            Self::DeliverGetRate => (delivered, delivered > activation),
            Self::PublishedToDeliveredRatio => {
                let stuck = published > 0.0 && delivered <= 0.0;
                let ratio = ratio(published, delivered, activation);
                (ratio, ratio > activation || stuck)
            }
            Self::ExpectedQueueConsumptionTime => {
                let stuck = messages > 0.0 && delivered <= 0.0;
                let time = consumption_time(messages, published, delivered, activation);
                (time, time > activation || stuck)
            }
        };
        (reported(value), active)
    }
}

/// Published to delivered. Without deliveries there is no ratio: KEDA reports the activation value then.
fn ratio(published: f64, delivered: f64, activation: f64) -> f64 {
    match (published > 0.0, delivered > 0.0) {
        (true, true) => published / delivered,
        (true, false) => activation,
        (false, _) => 0.0,
    }
}

/// KEDA's expected time, in seconds, until the queue is empty. Without deliveries it is never: see [`ratio`].
fn consumption_time(messages: f64, published: f64, delivered: f64, activation: f64) -> f64 {
    if messages <= 0.0 {
        0.0
    } else if delivered > 0.0 {
        (published - delivered) / delivered + messages / delivered
    } else {
        activation
    }
}

impl Operation {
    /// The operation of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" => Self::Average,
            "max" => Self::Maximum,
            _ => return None,
        })
    }

    /// Joins queues, each number by itself as KEDA does; of no queue all are 0. An average of messages is rounded down.
    pub(super) fn join(self, queues: &[Counts]) -> Counts {
        let sum = queues.iter().fold(Counts::default(), |sum, queue| Counts {
            messages: sum.messages.saturating_add(queue.messages),
            published: sum.published + queue.published,
            delivered: sum.delivered + queue.delivered,
        });
        let many = u64::try_from(queues.len()).unwrap_or(u64::MAX).max(1);
        match self {
            Self::Sum => sum,
            Self::Average => Counts {
                messages: sum.messages / many,
                published: sum.published / float(many),
                delivered: sum.delivered / float(many),
            },
            Self::Maximum => queues.iter().fold(Counts::default(), |most, queue| Counts {
                messages: most.messages.max(queue.messages),
                published: most.published.max(queue.published),
                delivered: most.delivered.max(queue.delivered),
            }),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 messages a few do not matter")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
