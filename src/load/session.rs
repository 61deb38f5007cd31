//! One connection as the protocol sees it: bytes come in, what they mean is counted, and what must be
//! said stands in a buffer. It does no I/O.

use std::sync::OnceLock;
use std::time::Instant;

use super::envelope::{self, Envelope, Said};
use super::matching::Matching;
use super::place::{Delivered, Place};
use super::plan::Plan;
use super::publications::{Owner, Publications};
use super::tally::Tally;
use crate::websocket::{self, Message, Opcode, Reader, Role, close_payload, push_masked};

/// A connection after its upgrade.
pub(super) struct Session {
    channel: usize,
    reader: Reader,
    phase: Phase,
    /// When the client set out to connect, or was dropped.
    since: Instant,
    is_back: bool,
    place: Place,
    /// What is to be written.
    out: Vec<u8>,
    mask: u64,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Initialising,
    Acknowledged,
    /// Subscribed at this time, and told nothing yet.
    Subscribed(Instant),
    Following,
}

/// What all connections of a run have in common.
pub(super) struct Run {
    pub(super) publications: Publications,
    pub(super) matching: Matching,
    /// Since when there is something to be heard. Nobody who subscribed before needs a first result
    /// to know what to expect.
    pub(super) publishing_since: OnceLock<Instant>,
}

impl Run {
    /// A run of this plan, of which nothing is published yet.
    pub(super) fn new(plan: &Plan) -> Self {
        Run {
            publications: Publications::new(Instant::now(), plan.planned(), plan.channels()),
            matching: plan.matching.clone(),
            publishing_since: OnceLock::new(),
        }
    }
}

/// How a connection ended that we did not end.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("closed with {0} {1}")]
    Closed(u16, String),
    #[error("{0}")]
    Gone(String),
}

/// The longest message that is taken: results are for apps on phones.
const LONGEST: usize = 16 << 20;

impl Session {
    /// A connection that sets out now, or that comes back to where it was dropped.
    pub(super) fn new(channel: usize, since: Instant, is_back: bool, mask: u64) -> Self {
        Session {
            channel,
            reader: Reader::new(Role::Client, LONGEST),
            phase: Phase::Initialising,
            since,
            is_back,
            place: Place::joining(0),
            out: Vec::new(),
            mask: mask | 1,
        }
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.phase == Phase::Acknowledged
    }

    /// Says this, in text.
    pub(super) fn say(&mut self, text: &str) {
        let mask = self.next_mask();
        push_masked(&mut self.out, Opcode::Text, mask, &[text.as_bytes()]);
    }

    /// Says goodbye.
    pub(super) fn say_goodbye(&mut self) {
        let mask = self.next_mask();
        let payload = close_payload(1000, "");
        push_masked(&mut self.out, Opcode::Close, mask, &[&payload]);
    }

    /// Notes that `subscribe` is on its way.
    pub(super) fn subscribed(&mut self, now: Instant, tally: &mut Tally) {
        self.phase = Phase::Subscribed(now);
        let took = now.saturating_duration_since(self.since);
        tally.subscribed.record(took, self.is_back);
        if !self.is_back {
            tally.last_subscribed = Some(now);
        }
    }

    /// What is to be written. The caller empties it.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Takes what was received, at this time.
    pub(super) fn take(
        &mut self,
        mut input: &mut [u8],
        now: Instant,
        run: &Run,
        tally: &mut Tally,
    ) -> Result<(), End> {
        let broken =
            |error: websocket::Error| End::Gone(format!("the server breaks the protocol: {error}"));
        loop {
            let Some(message) = self.reader.next(&mut input).map_err(broken)? else {
                return Ok(());
            };
            match message {
                Message::Text(text) => self.hear(&text, now, run, tally)?,
                Message::Ping(payload) => {
                    let mask = self.next_mask();
                    push_masked(&mut self.out, Opcode::Pong, mask, &[&payload]);
                }
                Message::Pong(_) => {}
                Message::Binary(_) => return Err(End::Gone("binary messages".to_owned())),
                Message::Close(Some((code, reason))) => {
                    return Err(End::Closed(code, envelope::cut(&reason)));
                }
                // What 7.1.5 of RFC 6455 calls it.
                Message::Close(None) => return Err(End::Closed(1005, String::new())),
            }
        }
    }

    /// Takes what was received without counting it: whether the server has closed.
    pub(super) fn closed(&mut self, mut input: &mut [u8]) -> Option<End> {
        loop {
            match self.reader.next(&mut input) {
                Ok(Some(Message::Close(Some((code, reason))))) => {
                    return Some(End::Closed(code, envelope::cut(&reason)));
                }
                Ok(Some(Message::Close(None))) => return Some(End::Closed(1005, String::new())),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => return Some(End::Gone(error.to_string())),
            }
        }
    }

    fn hear(&mut self, text: &str, now: Instant, run: &Run, tally: &mut Tally) -> Result<(), End> {
        match self.read(text, tally)? {
            Said::Ack => self.phase = Phase::Acknowledged,
            Said::Next(payload) => self.told(payload, now, run, tally),
            Said::Error(payload) => {
                let error = envelope::first_error(payload);
                return Err(End::Gone(
                    error.unwrap_or_else(|| "the operation was refused".into()),
                ));
            }
            Said::Complete => tally.completed += 1,
            Said::Ping => self.say(envelope::PONG),
            Said::Pong => {}
        }
        Ok(())
    }

    fn read<'a>(&self, text: &'a str, tally: &mut Tally) -> Result<Said<'a>, End> {
        let envelope: &mut Envelope = &mut tally.envelope;
        envelope.read(text).map_err(End::Gone)
    }

    fn told(&mut self, payload: &str, now: Instant, run: &Run, tally: &mut Tally) {
        let is_first = self.is_first(now, run, tally);
        let on_channel = || run.publications.count_on(self.channel);
        let owner = match (&run.matching, run.matching.seq(payload)) {
            (Matching::Text { .. }, Some(seq)) => run.publications.owner(seq, self.channel),
            (Matching::Text { .. }, None) => Owner::Nobody,
            // An error is no publication, and otherwise they are taken as they come.
            (Matching::Order, _) if payload.starts_with(r#"{"errors""#) => Owner::Nobody,
            (Matching::Order, _) if is_first || self.place.next() >= on_channel() => Owner::Nobody,
            (Matching::Order, _) => Owner::Own(self.place.next()),
        };
        match owner {
            Owner::Own(place) if is_first => self.place = Place::at(place + 1),
            Owner::Own(place) => self.delivered(place, now, run, tally),
            Owner::Foreign => tally.foreign += 1,
            Owner::Nobody => {
                if let Some(error) = envelope::first_error(payload) {
                    tally.errors.count(error);
                } else if !is_first {
                    tally.others += 1;
                    tally.sample.get_or_insert_with(|| envelope::cut(payload));
                }
                if is_first {
                    self.place = Place::joining(on_channel());
                }
            }
        }
    }

    /// Whether this result is the first of its subscription, as a server tells the present state to
    /// whoever comes. If all had subscribed before anything was published, the first result may be
    /// what was published.
    fn is_first(&mut self, now: Instant, run: &Run, tally: &mut Tally) -> bool {
        let Phase::Subscribed(at) = self.phase else {
            return false;
        };
        self.phase = Phase::Following;
        if run.publishing_since.get().is_some_and(|since| at < *since) {
            return false;
        }
        let took = now.saturating_duration_since(self.since);
        tally.firsts.record(took, self.is_back);
        true
    }

    fn delivered(&mut self, place: u64, now: Instant, run: &Run, tally: &mut Tally) {
        match self.place.delivered(place) {
            Delivered::Again => {
                tally.duplicated += 1;
                return;
            }
            Delivered::InOrder => {}
            Delivered::After(gap) => {
                tally.missing += run.publications.published_in(self.channel, gap);
            }
            Delivered::OutOfOrder => {
                tally.out_of_order += 1;
                tally.missing = tally.missing.saturating_sub(1);
            }
        }
        tally.deliveries += 1;
        tally.last_delivery = Some(now);
        let seq = run.publications.seq(self.channel, place);
        if let Some(sent) = run.publications.sent_at(seq) {
            tally.latency.record(now.saturating_duration_since(sent));
        }
    }

    /// Counts what this connection should have been told by now, and was not.
    pub(super) fn settle(&self, run: &Run, tally: &mut Tally) {
        let knows = match self.phase {
            Phase::Following => true,
            Phase::Subscribed(at) => run.publishing_since.get().is_some_and(|since| at < *since),
            _ => false,
        };
        if knows {
            let left = self.place.next()..run.publications.count_on(self.channel);
            tally.missing += run.publications.published_in(self.channel, left);
        }
    }

    /// Masks are there against proxies that cache, not to keep a secret: xorshift is good enough.
    fn next_mask(&mut self) -> [u8; 4] {
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 7;
        self.mask ^= self.mask << 17;
        let [a, b, c, d, ..] = self.mask.to_le_bytes();
        [a, b, c, d]
    }
}
