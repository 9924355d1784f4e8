//! How the rules of a ScalingPolicy read: conditions with their timers, votes, gates and schedules.

use super::{Row, Text, row, words};
use crate::decision::{DoorState, Progress, Step, Vote};
use crate::rules::{Block, Condition, OnError};
use crate::source::Milli;
use crate::time::Span;

impl Text<'_> {
    pub(super) fn rule_row(&self, step: &Step) -> Row {
        match step {
            Step::Schedule { name, min, max, until } => {
                let bound = |word: &str, bound: &Option<u32>| bound.map(|bound| format!("{word} {bound}"));
                let bounds: Vec<String> =
                    [bound("minimum", min), bound("maximum", max)].into_iter().flatten().collect();
                let until = until.map_or(String::new(), |until| format!("until {}", self.time(until)));
                row(&format!("schedule {name}"), &bounds.join(", "), None, &until)
            }
            Step::Rule { trigger, value, condition, needed, progress, .. } => {
                let detail = condition_text(*value, *condition, *needed, *progress);
                let replicas = match progress {
                    Progress::Asserted { replicas, .. } => Some(*replicas),
                    _ => None,
                };
                row(&self.trigger_name(*trigger), &detail, replicas, &self.progress(*progress))
            }
            Step::StepsLost { trigger, replicas } => {
                row(&self.trigger_name(*trigger), "holds: its steps are in an invalid policy", Some(*replicas), "")
            }
            Step::Voted { trigger, vote, at } => {
                let note = format!("read {} ago", at.age(self.now.tick));
                row(&self.trigger_name(*trigger), word(*vote), vote.replicas(), &note)
            }
            Step::Bounces { trigger, replicas, .. } => {
                let note = format!("at {replicas} it would raise again");
                row(&self.trigger_name(*trigger), "holds", None, &note)
            }
            Step::OnError { trigger, on_error, until } => {
                let until = until.map_or(String::new(), |until| format!("until {}", self.time(until)));
                row(&self.trigger_name(*trigger), on_error_text(*on_error), None, &until)
            }
            Step::Gate { name, trigger, value, state, block, until } => {
                let value = value.map_or("no value".to_owned(), |value| value.to_string());
                let detail = format!("{} {value}, {}", self.trigger_name(*trigger), state_text(*state, *block));
                let turns = until.map_or(String::new(), |until| format!("turns {}", self.time(until)));
                row(&format!("gate {name}"), &detail, None, &turns)
            }
            Step::Capped { wanted, max } => {
                let wanted = wanted.map_or("nothing can be wanted".to_owned(), |wanted| format!("wanted {wanted}"));
                row("maximum", "caps what is wanted", Some(*max), &wanted)
            }
            _ => Row::default(),
        }
    }

    fn progress(&self, progress: Progress) -> String {
        match progress {
            Progress::Off | Progress::Asserted { .. } => String::new(),
            Progress::Filling => "its window is not full yet".to_owned(),
            Progress::Pending { until, .. } => format!("from {}", self.time(until)),
            Progress::Spaced { until, .. } => format!("again from {}", self.time(until)),
        }
    }

    /// `flink busy 0.83 > 0.8 for 5 m of 5 m wants 4`: the vote with the rule that it comes from.
    pub(super) fn vote(&self, trigger: u8, vote: Vote) -> String {
        let decides = |step: &&Step| match step {
            Step::Rule { trigger: of, progress, .. } if *of == trigger => match (vote, progress) {
                (Vote::Hold(_), Progress::Pending { .. } | Progress::Spaced { .. }) => true,
                (Vote::Raise(count) | Vote::Lower(count), Progress::Asserted { replicas, .. }) => count == *replicas,
                _ => false,
            },
            _ => false,
        };
        let name = self.trigger_name(trigger);
        let rule = match self.decision.steps.iter().find(decides) {
            Some(Step::Rule { value, condition, needed, progress, .. }) => {
                format!(" {}", condition_text(*value, *condition, *needed, *progress))
            }
            _ => String::new(),
        };
        match vote {
            Vote::Raise(replicas) | Vote::Lower(replicas) => format!("{name}{rule} wants {replicas}"),
            Vote::Hold(replicas) => format!("{name}{rule} holds {replicas}"),
            Vote::Abstain => format!("{name} abstains"),
        }
    }

    fn trigger_name(&self, trigger: u8) -> String {
        words::trigger(self.policy, self.evidence, trigger, None)
    }
}

/// `0.83 > 0.8 for 3 m 10 s of 5 m`.
fn condition_text(value: Milli, condition: Condition, needed: Span, progress: Progress) -> String {
    let condition = words::condition(condition);
    let held = match progress {
        Progress::Off => return format!("{value}, not {condition}"),
        Progress::Filling => return format!("{value} {condition}"),
        Progress::Pending { held, .. } | Progress::Spaced { held, .. } | Progress::Asserted { held, .. } => held,
    };
    if needed == Span::ZERO {
        format!("{value} {condition}")
    } else {
        format!("{value} {condition} for {held} of {needed}")
    }
}

const fn word(vote: Vote) -> &'static str {
    match vote {
        Vote::Raise(_) => "raises",
        Vote::Hold(_) => "holds",
        Vote::Lower(_) => "lowers",
        Vote::Abstain => "abstains",
    }
}

const fn on_error_text(on_error: OnError) -> &'static str {
    match on_error {
        OnError::RaiseOnly => "onError RaiseOnly: nothing is lowered",
        OnError::Hold => "onError Hold: nothing changes",
        OnError::Ignore => "onError Ignore: drops out",
        OnError::LastKnown(_) => "onError LastKnown: its last reading counts",
    }
}

fn state_text(state: DoorState, block: Block) -> String {
    let what = match block {
        Block::ScaleDown => "lowering",
        Block::ScaleUp => "raising",
        Block::Both => "any change",
    };
    match (state, block) {
        (DoorState::Open, _) => "open".to_owned(),
        (DoorState::Closed, _) => format!("closed, forbids {what}"),
        (DoorState::Unknown | DoorState::Blind, Block::ScaleUp) => "unknown, forbids nothing".to_owned(),
        (DoorState::Unknown | DoorState::Blind, _) => "unknown, forbids lowering".to_owned(),
    }
}
