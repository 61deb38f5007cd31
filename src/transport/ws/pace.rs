//! How fast a client may speak.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

/// A bucket that holds as many messages as a client may send in a second, and fills as fast.
///
/// It is kept as the time at which it would be full again, so that a client that says nothing costs no
/// timer: one instant and one duration a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// What one message takes out of the bucket.
    each: Duration,
    full_at: Instant,
}

/// What the whole bucket holds.
const BURST: Duration = Duration::from_secs(1);

impl Pace {
    /// So many messages a second, and at once after a time of rest.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Pace {
            each: BURST / per_second.get(),
            full_at: Instant::now(),
        }
    }

    /// Takes one message out of the bucket, or says how long to wait until there is one. What is refused
    /// takes nothing.
    pub(super) fn take(&mut self) -> Result<(), Duration> {
        let now = Instant::now();
        let full_at = self.full_at.max(now) + self.each;
        match (full_at - now).checked_sub(BURST) {
            None | Some(Duration::ZERO) => {
                self.full_at = full_at;
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn of(per_second: u32) -> Pace {
        Pace::new(NonZeroU32::new(per_second).unwrap())
    }

    /// How many are let through at once.
    fn at_once(pace: &mut Pace) -> usize {
        (0..1000).take_while(|_| pace.take().is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_s_worth_may_come_at_once_and_then_as_many_as_have_been_waited_for() {
        for per_second in [1, 3, 7, 20, 50, 300] {
            let mut pace = of(per_second);
            assert_eq!(at_once(&mut pace), per_second as usize, "{per_second}");
            advance(Duration::from_secs(1) / per_second * 2).await;
            // The smallest part of a clock's tick may be missing.
            advance(Duration::from_micros(1)).await;
            assert_eq!(
                at_once(&mut pace),
                2.min(per_second as usize),
                "{per_second}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_as_long_as_it_is_told_is_let_through() {
        let mut pace = of(7);
        for _ in 0..100 {
            if let Err(wait) = pace.take() {
                advance(wait).await;
                assert_eq!(pace.take(), Ok(()));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rest_is_not_saved_up_beyond_a_second() {
        let mut pace = of(5);
        advance(Duration::from_secs(3600)).await;
        assert_eq!(at_once(&mut pace), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_takes_nothing() {
        let mut pace = of(2);
        at_once(&mut pace);
        for _ in 0..100 {
            assert_eq!(pace.take(), Err(Duration::from_millis(500)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_highest_number_is_no_limit_and_no_panic() {
        let mut pace = of(u32::MAX);
        assert_eq!(at_once(&mut pace), 1000);
    }
}
