//! What was published, and when: what deliveries are held against.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// All publications of a run. They are numbered from 1, and go to the channels in turn: number `seq`
/// to channel `(seq - 1) % channels`. So the number alone says who is to hear it, and a connection
/// that is told a number of another channel was told what is somebody else's.
#[derive(Debug)]
pub(super) struct Publications {
    began: Instant,
    channels: u64,
    /// When each was sent, in nanoseconds since the beginning.
    sent: Box<[AtomicU64]>,
    count: AtomicU64,
}

/// More than this in one run would be a list of times that memory is too good for.
pub(super) const MOST: u64 = 20_000_000;

const UNSENT: u64 = u64::MAX;
const FAILED: u64 = u64::MAX - 1;

/// Whose publication it is that a number names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This channel's own: the so-manieth on it, from 0.
    Own(u64),
    /// It went to another channel.
    Foreign,
    /// There is none of this number (yet): it is another publisher's, or an older run's.
    Nobody,
}

impl Publications {
    /// Room for so many, to so many channels.
    pub(super) fn new(began: Instant, most: u64, channels: usize) -> Self {
        let most = usize::try_from(most.min(MOST)).unwrap_or(usize::MAX);
        Publications {
            began,
            channels: channels.max(1) as u64,
            sent: std::iter::repeat_with(|| AtomicU64::new(UNSENT))
                .take(most)
                .collect(),
            count: AtomicU64::new(0),
        }
    }

    /// The channel that a number goes to; `None` if there is no room to count it.
    pub(super) fn channel_of(&self, seq: u64) -> Option<usize> {
        self.slot(seq)?;
        usize::try_from((seq - 1) % self.channels).ok()
    }

    /// Notes that this one is being sent. To be called before it is, for it may arrive at once.
    pub(super) fn note_sent(&self, seq: u64, at: Instant) {
        self.note(seq, nanos(at.saturating_duration_since(self.began)));
        self.count.store(seq, Ordering::Release);
    }

    /// Notes that this one was refused: nobody can have been told.
    pub(super) fn note_failed(&self, seq: u64) {
        self.note(seq, FAILED);
    }

    fn note(&self, seq: u64, what: u64) {
        if let Some(sent) = self.slot(seq) {
            sent.store(what, Ordering::Release);
        }
    }

    fn slot(&self, seq: u64) -> Option<&AtomicU64> {
        self.sent.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// When this one was sent.
    pub(super) fn sent_at(&self, seq: u64) -> Option<Instant> {
        match self.slot(seq)?.load(Ordering::Acquire) {
            UNSENT | FAILED => None,
            nanos => Some(self.began + Duration::from_nanos(nanos)),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// How many there are on this channel.
    pub(super) fn count_on(&self, channel: usize) -> u64 {
        (self.count() + self.channels - 1).saturating_sub(channel as u64) / self.channels
    }

    /// Whose this number is, for somebody who listens to this channel.
    pub(super) fn owner(&self, seq: u64, channel: usize) -> Owner {
        if seq == 0 || seq > self.count() {
            return Owner::Nobody;
        }
        match (seq - 1) % self.channels == channel as u64 {
            true => Owner::Own((seq - 1) / self.channels),
            false => Owner::Foreign,
        }
    }

    /// The number of what is the so-manieth on a channel.
    pub(super) fn seq(&self, channel: usize, place: u64) -> u64 {
        place * self.channels + channel as u64 + 1
    }

    /// How many of these places of a channel were published, and not refused.
    pub(super) fn published_in(&self, channel: usize, places: std::ops::Range<u64>) -> u64 {
        let is_sent = |place: &u64| self.sent_at(self.seq(channel, *place)).is_some();
        places.filter(is_sent).count() as u64
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(FAILED - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_channels() -> Publications {
        let publications = Publications::new(Instant::now(), 10, 3);
        for seq in 1..=5 {
            publications.note_sent(seq, Instant::now());
        }
        publications
    }

    #[test]
    fn channels_have_their_publications_in_turn() {
        let publications = three_channels();
        assert_eq!(publications.channel_of(6), Some(2));
        assert_eq!(
            [0, 1, 2].map(|channel| publications.count_on(channel)),
            [2, 2, 1]
        );
        assert_eq!(publications.owner(4, 0), Owner::Own(1));
        assert_eq!(publications.owner(4, 1), Owner::Foreign);
        assert_eq!(publications.owner(6, 2), Owner::Nobody);
        assert_eq!(publications.owner(0, 2), Owner::Nobody);
        assert_eq!(publications.seq(1, 1), 5);
    }

    #[test]
    fn what_was_refused_is_expected_of_nobody() {
        let publications = three_channels();
        assert_eq!(publications.published_in(0, 0..2), 2);
        publications.note_failed(4);
        assert_eq!(publications.published_in(0, 0..2), 1);
        assert_eq!(publications.sent_at(4), None);
    }

    #[test]
    fn there_is_an_end() {
        let publications = Publications::new(Instant::now(), 1, 1);
        publications.note_sent(1, Instant::now());
        assert_eq!(publications.channel_of(2), None);
    }
}
