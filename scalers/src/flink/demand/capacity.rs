//! How much parallelism the work needs, and whether a change is worth a restart.

use super::flow::{Flow, Rate};
use super::{Node, Settings, Shape, align};

/// How far the utilization may be from what is wanted before anything changes.
const BAND: f64 = 0.3;

/// What is left at least when parallelism is lowered at once: a measurement that is far off does not take nearly all away.
const LEAST_LEFT: f64 = 0.4;

/// How many times more there can be at once.
const MOST_MORE: f64 = 100_001.0;

/// What is rounded away before a number of subtasks is rounded up.
const NOISE: f64 = 1e-6;

/// The parallelism that each vertex should have. It is the present one for all, unless one is outside of its band.
///
/// A vertex with a single subtask beside others with more was declared so, and stays.
pub(super) fn parallelism(shape: &Shape, flows: &[Flow], rates: &[Rate], settings: &Settings) -> Vec<u32> {
    let behind = shape.sources().any(|source| flows[source].is_far_behind());
    let spread = shape.nodes.iter().any(|node| node.parallelism > 1);
    let views: Vec<View<'_>> = (0..shape.nodes.len())
        .map(|place| View {
            node: &shape.nodes[place],
            true_rate: flows[place].true_rate(shape.nodes[place].inputs.is_empty()),
            rate: rates[place],
            is_single: spread && shape.nodes[place].parallelism == 1,
        })
        .collect();
    if views.iter().any(|view| !view.is_single && view.is_outside(settings, behind)) {
        views.iter().map(|view| view.wanted(settings, behind)).collect()
    } else {
        shape.present()
    }
}

/// One vertex, with what it could take and what it will have to.
struct View<'a> {
    node: &'a Node,
    true_rate: f64,
    rate: Rate,
    is_single: bool,
}

impl View<'_> {
    /// Whether it cannot keep up, or has far more than it needs. A job that is far behind has nothing too much.
    fn is_outside(&self, settings: &Settings, behind: bool) -> bool {
        let (least, most) = if behind {
            (0.0, 1.0)
        } else {
            ((settings.utilization - BAND).max(0.0), (settings.utilization + BAND).min(1.0))
        };
        self.true_rate < capacity(self.rate, most, None) || self.true_rate > capacity(self.rate, least, Some(settings))
    }

    fn wanted(&self, settings: &Settings, behind: bool) -> u32 {
        let present = self.node.parallelism;
        if self.is_single {
            return present;
        }
        let factor = capacity(self.rate, settings.utilization, Some(settings)) / self.true_rate;
        let factor = if factor.is_nan() { 1.0 } else { factor.clamp(LEAST_LEFT, MOST_MORE) };
        let exact = (f64::from(present) * factor - NOISE).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it ends at the edge of the range")]
        let wanted = (exact as u32).clamp(1, self.node.max_parallelism.max(1));
        let wanted = if behind { wanted.max(present) } else { wanted };
        self.node.parts.map_or(wanted, |parts| align::align(wanted, present, parts, self.node.max_parallelism))
    }
}

/// The records a second that a vertex must be able to take to be used to the share `utilization`, infinite for 0. With a restart it catches
/// up with what came meanwhile as well.
pub(super) fn capacity(rate: Rate, utilization: f64, restart: Option<&Settings>) -> f64 {
    let during = restart.map_or(0.0, |settings| {
        let within = settings.catch_up.as_secs_f64();
        if within > 0.0 { rate.target * settings.restart_time.as_secs_f64() / within } else { 0.0 }
    });
    let lasting = if utilization > 0.0 { rate.target / utilization } else { f64::INFINITY };
    (rate.catch_up + during + lasting).round()
}
