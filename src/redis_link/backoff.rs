//! Pauses between attempts.

use std::time::Duration;

/// Pauses that double, each shortened by chance, so that the nodes of a fleet do not come back as
/// one.
#[derive(Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `min` to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Backoff {
            min,
            max,
            next: min,
        }
    }

    /// The pause after this failure: between half and all of what it has grown to.
    pub fn next_pause(&mut self) -> Duration {
        let whole = self.next.min(self.max);
        self.next = whole.saturating_mul(2);
        // A machine without randomness does without the jitter.
        let chance = getrandom::u32().unwrap_or(u32::MAX);
        whole.mul_f64(0.5 + 0.5 * f64::from(chance) / f64::from(u32::MAX))
    }

    /// It worked: the next failure is the first.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_success() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(500));
        for whole in [100, 200, 400, 500, 500] {
            let pause = backoff.next_pause();
            assert!(ms(whole / 2) <= pause && pause <= ms(whole), "{pause:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= ms(100));
    }
}
