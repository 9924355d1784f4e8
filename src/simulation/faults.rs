//! What goes wrong, and how often: everything from one seed, so that every run can be played again.

use tidegate_calculator::time::{Span, Tick};

/// The faults of a run. Probabilities lie in 0..=1 and count for each call; the default is a world in which nothing goes wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// Where all chance comes from: the same seed, world and trace give the same run.
    pub seed: u64,
    /// How long every answer takes when nothing is wrong with it.
    pub latency: Span,
    /// An answer is lost. What it would have answered has been done. Half of them fail as the caller's deadline would have it, the
    /// others never come at all.
    pub lose: f64,
    /// An answer takes longer, up to [`Faults::longest_delay`]; a write may land at any moment in between.
    pub delay: f64,
    /// The longest additional delay.
    pub longest_delay: Span,
    /// An answer comes twice, the second one later.
    pub duplicate: f64,
    /// Somebody else touches the target just before our write of its replicas, without changing them.
    pub conflict: f64,
    /// A store fails, and nothing is stored.
    pub store_fail: f64,
    /// The process ends right after a call began: the rest of its commands and all answers on their way are lost.
    pub crash: f64,
    /// The process ends at these moments as well, counted from the start of the run.
    pub crash_at: Vec<Tick>,
    /// How long the process is away after it ended, at most.
    pub longest_downtime: Span,
}

/// `SplitMix64`: a small generator whose whole state is one number. Not for secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The dice of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// True with this probability. Never costs a throw when it is 0, so a fault that is off changes no run.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    pub fn falls(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.next() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// A whole number in `0..=most`.
    pub fn up_to(&mut self, most: u64) -> u64 {
        let number = self.next();
        most.checked_add(1).map_or(number, |count| number % count)
    }

    /// A span from zero to `most`.
    pub fn span(&mut self, most: Span) -> Span {
        let most = u64::try_from(most.0).unwrap_or(0);
        Span(i64::try_from(self.up_to(most)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_throws_and_probabilities_hold() {
        let (mut one, mut two) = (Dice::new(7), Dice::new(7));
        assert!((0..100).all(|_| one.next() == two.next()));
        // Published first output of SplitMix64 for the seed 1234567.
        assert_eq!(Dice::new(1_234_567).next(), 6_457_827_717_110_365_317);
        let falls = (0..10_000).filter(|_| one.falls(0.25)).count();
        assert!((2_200..2_800).contains(&falls), "{falls}");
        assert!(one.falls(1.0) && !one.falls(0.0));
        assert!((0..1_000).all(|_| one.up_to(3) <= 3));
    }
}
