//! Which channels are watched, and which Redis knows of.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use tokio::sync::oneshot;

/// What is wanted, and what was asked of the present connection. Holds no more than one entry a
/// channel that is wanted or not yet given up; the hub limits those.
///
/// There may be as many as there are connections, so that little is kept of each: who waits for a
/// confirmation is kept apart, because most of the time nobody does.
pub(super) struct Watchlist<C> {
    channels: HashMap<C, Watched>,
    waiting: HashMap<C, Vec<oneshot::Sender<()>>>,
    /// Without a connection nothing is noted below, however many come and go meanwhile.
    connected: bool,
    /// Channels that may need a word to Redis; each once.
    changed: VecDeque<C>,
    /// Confirmations that Redis owes us.
    owed: usize,
}

#[derive(Default)]
struct Watched {
    wanted: bool,
    /// What was asked last is SUBSCRIBE.
    subscribed: bool,
    /// Confirmations that Redis owes us for this channel. After SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE
    /// the first confirmation proves nothing: the channel goes deaf once more before the third.
    owed: u32,
    changed: bool,
}

/// What to tell Redis.
#[derive(Debug, PartialEq)]
pub(super) struct Batch<C> {
    pub(super) subscribe: Vec<C>,
    pub(super) unsubscribe: Vec<C>,
}

/// Room for so many channels is kept, however many there were.
const KEPT_ROOM: usize = 1024;

impl Watched {
    fn is_live(&self) -> bool {
        self.subscribed && self.owed == 0
    }
}

impl<C> Default for Watchlist<C> {
    fn default() -> Self {
        Watchlist {
            channels: HashMap::new(),
            waiting: HashMap::new(),
            connected: false,
            changed: VecDeque::new(),
            owed: 0,
        }
    }
}

impl<C: Clone + Eq + Hash> Watchlist<C> {
    /// Wants a channel. `None` if Redis has confirmed it; otherwise what ends when it does, with
    /// an error if the connection is lost before.
    pub(super) fn watch(&mut self, channel: &C) -> Option<oneshot::Receiver<()>> {
        let watched = self.channels.entry(channel.clone()).or_default();
        watched.wanted = true;
        if watched.is_live() {
            return None;
        }
        if self.connected && !watched.subscribed && !watched.changed {
            watched.changed = true;
            self.changed.push_back(channel.clone());
        }
        let (confirm, confirmed) = oneshot::channel();
        let waiting = self.waiting.entry(channel.clone()).or_default();
        waiting.retain(|waiting| !waiting.is_closed());
        waiting.push(confirm);
        Some(confirmed)
    }

    /// Wants it no longer.
    pub(super) fn release(&mut self, channel: &C) {
        let Some(watched) = self.channels.get_mut(channel) else {
            return;
        };
        watched.wanted = false;
        self.waiting.remove(channel);
        if watched.subscribed && !watched.changed {
            watched.changed = true;
            self.changed.push_back(channel.clone());
        } else {
            self.forget_if_done(channel);
        }
    }

    /// What to ask next, of at most `batch` channels. `None` when nothing has changed, or while
    /// Redis owes more than a batch: it writes confirmations faster than we read them, and its
    /// buffer for us has a limit.
    pub(super) fn ask(&mut self, batch: usize) -> Option<Batch<C>> {
        if self.owed > batch {
            return None;
        }
        let (mut subscribe, mut unsubscribe) = (Vec::new(), Vec::new());
        while subscribe.len() + unsubscribe.len() < batch {
            let Some(channel) = self.changed.pop_front() else {
                break;
            };
            let Some(watched) = self.channels.get_mut(&channel) else {
                continue;
            };
            watched.changed = false;
            if watched.wanted == watched.subscribed {
                self.forget_if_done(&channel);
                continue;
            }
            watched.subscribed = watched.wanted;
            watched.owed += 1;
            self.owed += 1;
            if watched.wanted {
                subscribe.push(channel);
            } else {
                unsubscribe.push(channel);
            }
        }
        if self.changed.is_empty() {
            self.changed.shrink_to(KEPT_ROOM);
        }
        let nothing = subscribe.is_empty() && unsubscribe.is_empty();
        (!nothing).then_some(Batch {
            subscribe,
            unsubscribe,
        })
    }

    /// Redis has confirmed what was asked first of this channel.
    pub(super) fn confirmed(&mut self, channel: &C) {
        let Some(watched) = self.channels.get_mut(channel) else {
            return;
        };
        if watched.owed > 0 {
            watched.owed -= 1;
            self.owed -= 1;
        }
        if watched.is_live() {
            for waiting in self.waiting.remove(channel).into_iter().flatten() {
                // Who no longer waits is no concern of ours.
                let _ = waiting.send(());
            }
            if self.waiting.is_empty() {
                self.waiting.shrink_to(KEPT_ROOM);
            }
        }
        self.forget_if_done(channel);
    }

    /// There is a connection, which knows of nothing yet.
    pub(super) fn connected(&mut self) {
        self.connected = true;
        for (channel, watched) in &mut self.channels {
            watched.changed = true;
            self.changed.push_back(channel.clone());
        }
    }

    /// The connection is gone, and everything that was asked of it. What is wanted will be asked
    /// again; who waits is told.
    pub(super) fn disconnected(&mut self) {
        self.connected = false;
        self.owed = 0;
        self.changed.clear();
        self.waiting.clear();
        self.channels.retain(|_, watched| watched.wanted);
        for watched in self.channels.values_mut() {
            *watched = Watched {
                wanted: true,
                ..Watched::default()
            };
        }
    }

    /// Whether Redis knows all that is wanted.
    pub(super) fn is_settled(&self) -> bool {
        self.connected && self.owed == 0 && self.changed.is_empty()
    }

    /// How many channels there are.
    pub(super) fn len(&self) -> usize {
        self.channels.len()
    }

    fn forget_if_done(&mut self, channel: &C) {
        let done = |watched: &Watched| {
            !watched.wanted && !watched.subscribed && !watched.changed && watched.owed == 0
        };
        if self.channels.get(channel).is_some_and(done) {
            self.channels.remove(channel);
            let (len, room) = (self.channels.len(), self.channels.capacity());
            if room > KEPT_ROOM && len < room / 4 {
                self.channels.shrink_to(len * 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_confirmed(waiting: &mut Option<oneshot::Receiver<()>>) -> bool {
        match waiting {
            None => true,
            Some(waiting) => waiting.try_recv().is_ok(),
        }
    }

    fn connected() -> Watchlist<&'static str> {
        let mut list = Watchlist::default();
        list.connected();
        list
    }

    fn subscribe(channels: &[&'static str]) -> Option<Batch<&'static str>> {
        Some(Batch {
            subscribe: channels.to_vec(),
            unsubscribe: Vec::new(),
        })
    }

    #[test]
    fn a_channel_is_asked_for_once_and_live_when_confirmed() {
        let mut list = connected();
        let mut first = list.watch(&"a");
        let mut second = list.watch(&"a");
        assert_eq!(list.ask(10), subscribe(&["a"]));
        assert_eq!(list.ask(10), None);
        assert!(!list.is_settled());
        list.confirmed(&"a");
        assert!(is_confirmed(&mut first) && is_confirmed(&mut second));
        assert!(list.is_settled() && list.watch(&"a").is_none());
    }

    #[test]
    fn a_channel_that_is_released_and_wanted_again_at_once_is_never_given_up() {
        let mut list = connected();
        list.watch(&"a");
        list.ask(10);
        list.confirmed(&"a");
        list.release(&"a");
        assert!(list.watch(&"a").is_none());
        assert_eq!(list.ask(10), None);
    }

    #[test]
    fn an_old_confirmation_does_not_count_for_a_new_watch() {
        let mut list = connected();
        list.watch(&"a");
        list.ask(10);
        list.release(&"a");
        list.ask(10);
        let mut again = list.watch(&"a");
        list.ask(10);
        list.confirmed(&"a");
        list.confirmed(&"a");
        assert!(!is_confirmed(&mut again));
        list.confirmed(&"a");
        assert!(is_confirmed(&mut again));
    }

    #[test]
    fn who_waits_when_the_connection_is_lost_is_told_and_the_channel_asked_for_again() {
        let mut list = connected();
        let mut waiting = list.watch(&"a").unwrap();
        list.ask(10);
        list.disconnected();
        assert_eq!(
            waiting.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        assert_eq!(list.ask(10), None);
        list.connected();
        assert_eq!(list.ask(10), subscribe(&["a"]));
    }

    #[test]
    fn who_comes_and_goes_while_there_is_no_connection_leaves_nothing_behind() {
        let mut list = connected();
        list.disconnected();
        list.watch(&"a");
        list.release(&"a");
        assert_eq!(list.len(), 0);
        list.connected();
        assert_eq!(list.ask(10), None);
        assert!(list.is_settled());
    }

    #[test]
    fn no_more_than_two_batches_wait_for_confirmation() {
        let mut list = connected();
        for channel in ["a", "b", "c", "d", "e", "f", "g"] {
            list.watch(&channel);
        }
        assert_eq!(list.ask(2), subscribe(&["a", "b"]));
        assert_eq!(list.ask(2), subscribe(&["c", "d"]));
        assert_eq!(list.ask(2), None);
        list.confirmed(&"a");
        list.confirmed(&"b");
        assert_eq!(list.ask(2), subscribe(&["e", "f"]));
    }

    proptest! {
        /// Whatever is done in whatever order, a Redis that answers in order ends up with exactly
        /// the channels that are wanted, and "confirmed" is never said of a channel that is not.
        #[test]
        fn what_redis_knows_is_what_is_wanted(steps in proptest::collection::vec((0..5u8, 0..3u8), 0..60)) {
            let mut list = connected();
            let mut wanted = std::collections::BTreeSet::new();
            let mut redis = std::collections::BTreeSet::<String>::new();
            let mut words = VecDeque::<(bool, &str)>::new();
            let answer = |list: &mut Watchlist<&'static str>, redis: &mut std::collections::BTreeSet<String>, words: &mut VecDeque<(bool, &'static str)>| {
                if let Some((subscribe, channel)) = words.pop_front() {
                    if subscribe { redis.insert(channel.to_string()); } else { redis.remove(channel); }
                    list.confirmed(&channel);
                }
            };
            let ask = |list: &mut Watchlist<&'static str>, words: &mut VecDeque<(bool, &'static str)>| {
                if let Some(batch) = list.ask(2) {
                    words.extend(batch.subscribe.into_iter().map(|channel| (true, channel)));
                    words.extend(batch.unsubscribe.into_iter().map(|channel| (false, channel)));
                }
            };
            for (step, which) in steps {
                let channel = ["a", "b", "c"][usize::from(which)];
                match step {
                    0 => {
                        wanted.insert(channel.to_owned());
                        if list.watch(&channel).is_none() {
                            prop_assert!(redis.contains(channel));
                            prop_assert!(!words.iter().any(|(_, word)| *word == channel));
                        }
                    }
                    1 => { wanted.remove(channel); list.release(&channel); }
                    2 => ask(&mut list, &mut words),
                    3 => answer(&mut list, &mut redis, &mut words),
                    _ => {
                        redis.clear();
                        words.clear();
                        list.disconnected();
                        if which > 0 { list.connected(); }
                    }
                }
            }
            if !list.connected {
                list.connected();
            }
            while !list.is_settled() {
                ask(&mut list, &mut words);
                answer(&mut list, &mut redis, &mut words);
            }
            prop_assert_eq!(&redis, &wanted);
            prop_assert_eq!(list.len(), wanted.len());
        }
    }
}
