//! What one connection still has to be sent, and how it gets there.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use smallvec::SmallVec;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::bell::Bell;
use crate::metrics::Metrics;
use crate::websocket::{Opcode, push_frame};

/// The outgoing half of one connection: the one thing of it that others touch.
///
/// Whoever has something to say writes it to the socket at once, all of it in one `send`: no task
/// wakes up for it. What the socket does not take pends here, and the connection's task, woken by
/// the bell, sends it when it does ([`Outbox::poll_flush`]).
///
/// It is bounded. A client that keeps up sees every event. One that falls behind by more than
/// `conflate_above` frames gets only the newest of each price; a payment is never skipped, so a
/// client that falls behind further has [overflowed](State::Overflowed), and its connection closes
/// with a code that makes it come back.
#[derive(Debug)]
pub struct Outbox {
    rules: Arc<OutboxRules>,
    framing: Framing,
    /// `None` for a connection whose task does all of its writing.
    stream: Option<TcpStream>,
    bell: Bell,
    pending: Mutex<Pending>,
}

/// What holds for the outboxes of all connections.
#[derive(Debug)]
pub struct OutboxRules {
    pub limits: OutboxLimits,
    pub metrics: Arc<Metrics>,
}

/// How much one connection may have pending.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    pub frames: usize,
    /// There may be more by one frame.
    pub bytes: usize,
    /// Frames that may pend before older prices give way to newer ones.
    pub conflate_above: usize,
}

/// What a text becomes on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A text frame of RFC 6455.
    WebSocket,
    /// Itself: the words of the protocol say where it ends.
    Bare,
}

/// What goes around the payloads of one subscription.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Tells the subscriptions of one connection apart, and is never used twice.
    pub subscription: u64,
    /// As it is spelled between the words: JSON for a JSON protocol. Short ones are kept in place.
    pub id: SmallVec<[u8; 16]>,
    pub words: &'static Words,
}

/// How a protocol spells what it says of a subscription.
#[derive(Debug)]
pub struct Words {
    /// `{"id":`
    pub before_id: &'static str,
    /// `,"type":"next","payload":`
    pub before_payload: &'static str,
    /// `}`
    pub after_payload: &'static str,
    /// `{"id":`, before the id of what has completed.
    pub before_completed: &'static str,
    /// `,"type":"complete"}`
    pub after_completed: &'static str,
}

/// What a slow client may miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: over the limit its connection closes.
    Every,
    /// Older frames of this slot of the same subscription.
    Latest { slot: usize },
}

/// A payload that goes to all who asked the same.
#[derive(Clone, Debug)]
pub struct Payload {
    pub json: Bytes,
    pub policy: Policy,
}

/// Frames that are spelled out before they are written, and where each ends. Whoever delivers to many
/// uses one: two members with the same id are told by the same bytes.
#[derive(Debug, Default)]
pub struct Spelled {
    bytes: Vec<u8>,
    ends: SmallVec<[usize; 8]>,
    /// Whose envelope it is spelled with: the id, the words and the framing.
    of: Option<(SmallVec<[u8; 16]>, &'static Words, Framing)>,
}

/// How it stands with an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing pends.
    Clear,
    /// Something pends; nothing of it could be written since.
    Pending { since: Instant },
    /// More pended than the limits allow.
    Overflowed,
    /// Events were lost on their way here.
    Missed,
}

/// Who pushes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The connection itself.
    Own,
    Subscription {
        number: u64,
        policy: Policy,
    },
    /// The last frame of a subscription.
    End {
        number: u64,
    },
}

#[derive(Debug, Default)]
struct Pending {
    overflowed: bool,
    missed: bool,
    /// The other side has gone, or nothing more is to be said.
    shut: bool,
    backlog: Option<Box<Backlog>>,
    /// Subscriptions whose last frame is on its way, for the connection's task to forget.
    ended: Vec<u64>,
}

/// What the socket did not take. Rare, so it is boxed.
#[derive(Debug)]
struct Backlog {
    /// What goes next: the rest of a frame of which the socket has taken a part, and frames that
    /// nothing can replace any more.
    next: Vec<u8>,
    /// So much of it is written.
    written: usize,
    frames: VecDeque<(Origin, Vec<u8>)>,
    /// Of the frames.
    bytes: usize,
    since: Instant,
}

/// So much is handed to the socket at a time: one write for all that pends, but what a newer price
/// may still replace stays a frame of its own for as long as the socket takes nothing.
const WRITE_BYTES: usize = 16 * 1024;

impl Outbox {
    /// The outbox of a connection whose socket is written to by whoever has something to say; or, if
    /// there is none, of one whose task does that.
    pub fn new(rules: Arc<OutboxRules>, framing: Framing, stream: Option<TcpStream>) -> Arc<Self> {
        Arc::new(Outbox {
            rules,
            framing,
            stream,
            bell: Bell::default(),
            pending: Mutex::default(),
        })
    }

    /// The socket, for whoever reads it and waits until it can be written to.
    pub fn stream(&self) -> Option<&TcpStream> {
        self.stream.as_ref()
    }

    /// Sends payloads, in order, each in its envelope and behind all that pends.
    pub fn deliver(&self, envelope: &Envelope, payloads: &[Payload], spelled: &mut Spelled) {
        let mut pending = self.pending();
        if pending.is_deaf() {
            return;
        }
        spelled.spell(envelope, payloads, self.framing);
        let Ok(written) = self.write_now(&mut pending, &spelled.bytes) else {
            return;
        };
        let mut begin = 0;
        for (payload, end) in payloads.iter().zip(&spelled.ends) {
            let origin = Origin::Subscription {
                number: envelope.subscription,
                policy: payload.policy,
            };
            self.keep(
                &mut pending,
                origin,
                &spelled.bytes[begin..*end],
                written.saturating_sub(begin),
            );
            begin = *end;
        }
        self.wake_if_pending(pending);
    }

    /// Looks at what [`deliver`](Self::deliver) looks at first, for it to be in the cache then.
    pub(super) fn touch(&self) -> bool {
        self.stream.is_some() && self.pending.is_poisoned()
    }

    /// Says that a subscription has ended, behind all that pends for it.
    pub fn complete(&self, envelope: &Envelope) {
        let Envelope { words, id, .. } = envelope;
        let number = envelope.subscription;
        if words.after_completed.is_empty() {
            // A protocol without words for it: what was told last has said so. It has ended when that has
            // gone, because what pends for it is thrown away then.
            let mut pending = self.pending();
            match &mut pending.backlog {
                Some(backlog) => backlog
                    .frames
                    .push_back((Origin::End { number }, Vec::new())),
                None => pending.ended.push(number),
            }
        } else {
            let mut frame = Vec::new();
            self.framing.push(&mut frame, &words.completion(id));
            self.send(Origin::End { number }, &frame);
        }
        // Its id is free again when the task has heard of it.
        self.ring();
    }

    /// Sends a frame of the connection's own, behind all that pends. It is written by this as it has to
    /// be on the wire.
    pub fn say(&self, frame: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        frame(&mut bytes);
        self.send(Origin::Own, &bytes);
    }

    /// Sends a text of the connection's own, behind all that pends, framed as results are.
    pub fn tell(&self, parts: &[&[u8]]) {
        self.say(|out| self.framing.push(out, parts));
    }

    /// Sends the last frame of all: what is said afterwards is not sent. What pended and was more than
    /// the limits allow is left out.
    pub fn say_last(&self, frame: impl FnOnce(&mut Vec<u8>)) {
        self.pending().overflowed = false;
        self.say(frame);
        self.pending().shut = true;
    }

    /// Nothing is sent any more, nor kept.
    pub fn shut(&self) {
        let mut pending = self.pending();
        pending.shut = true;
        pending.backlog = None;
    }

    /// How it stands.
    pub fn state(&self) -> State {
        let pending = self.pending();
        match &pending.backlog {
            _ if pending.overflowed => State::Overflowed,
            _ if pending.missed => State::Missed,
            Some(backlog) => State::Pending {
                since: backlog.since,
            },
            None => State::Clear,
        }
    }

    /// Says that events were lost on their way here, which nothing makes up for.
    pub(super) fn miss(&self) {
        self.pending().missed = true;
        self.ring();
    }

    /// The subscriptions whose last frame is on its way, each once.
    pub fn take_ended(&self) -> Vec<u64> {
        std::mem::take(&mut self.pending().ended)
    }

    /// What pends counts as waiting from now on: that it could not be sent before is not the client's fault.
    pub fn excuse(&self) {
        if let Some(backlog) = &mut self.pending().backlog {
            backlog.since = Instant::now();
        }
    }

    /// How many bytes wait to be sent.
    pub fn pending_bytes(&self) -> usize {
        let pending = self.pending();
        let backlog = pending.backlog.as_ref();
        backlog.map_or(0, |backlog| {
            backlog.bytes + backlog.next.len() - backlog.written
        })
    }

    /// Throws away what pends for a subscription that its client has ended.
    pub fn forget(&self, subscription: u64) {
        if let Some(backlog) = &mut self.pending().backlog {
            backlog.remove(|origin| match origin {
                Origin::Own => false,
                Origin::Subscription { number, .. } | Origin::End { number } => {
                    number == subscription
                }
            });
        }
    }

    /// Wakes the connection's task: there is something for it to look at.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// Ready when it was rung for since this was ready last. For the connection's task alone.
    pub fn poll_rung(&self, context: &mut Context<'_>) -> Poll<()> {
        self.bell.poll_rung(context)
    }

    /// Writes what pends, until nothing does or the socket takes no more. For the connection's task
    /// alone: `write` is how it writes.
    pub fn poll_flush(
        &self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&mut Context<'_>, &[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let mut pending = self.pending();
        let Pending { backlog, ended, .. } = &mut *pending;
        while let Some(waiting) = backlog {
            if waiting.is_written() && !waiting.gather(ended) {
                *backlog = None;
                break;
            }
            let written = ready!(write(context, &waiting.next[waiting.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            waiting.written += written;
            waiting.since = Instant::now();
        }
        Poll::Ready(Ok(()))
    }

    fn send(&self, origin: Origin, frame: &[u8]) {
        let mut pending = self.pending();
        if pending.is_deaf() {
            return;
        }
        if let Ok(written) = self.write_now(&mut pending, frame) {
            self.keep(&mut pending, origin, frame, written);
            self.wake_if_pending(pending);
        }
    }

    /// Writes to the socket what it takes at once, if nothing goes before it. An error says that
    /// nothing can be sent any more.
    fn write_now(&self, pending: &mut Pending, bytes: &[u8]) -> Result<usize, ()> {
        let Some(stream) = self.stream.as_ref().filter(|_| pending.backlog.is_none()) else {
            return Ok(0);
        };
        // Straight to the kernel: whether the socket can be written to is its answer. To ask tokio first
        // costs as much as all else that is done here for a delivery.
        let sent = match SockRef::from(stream).send(bytes) {
            // For tokio to know that it cannot, and to say when it can again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.try_write(bytes),
            sent => sent,
        };
        match sent {
            Ok(written) => Ok(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(_) => {
                // The task hears of it when it reads.
                pending.shut = true;
                self.ring();
                Err(())
            }
        }
    }

    /// Keeps what is left of a frame of which so much was written.
    fn keep(&self, pending: &mut Pending, origin: Origin, frame: &[u8], written: usize) {
        if written > 0 {
            if let Origin::End { number } = origin {
                pending.ended.push(number);
            }
            if written < frame.len() {
                pending.backlog().next.extend_from_slice(&frame[written..]);
            }
            return;
        }
        if pending.overflowed {
            return;
        }
        let OutboxRules { limits, metrics } = &*self.rules;
        let backlog = pending.backlog();
        if backlog.frames.len() >= limits.conflate_above
            && matches!(
                origin,
                Origin::Subscription {
                    policy: Policy::Latest { .. },
                    ..
                }
            )
        {
            let replaced = backlog.remove(|older| older == origin);
            metrics.conflated.inc_by(replaced as u64);
        }
        // By what pends before it: a frame may be as long as all that may pend, and is sent when its turn
        // comes, or nobody could ever be told of it.
        let is_full = backlog.frames.len() >= limits.frames || backlog.bytes >= limits.bytes;
        backlog.bytes += frame.len();
        backlog.frames.push_back((origin, frame.to_vec()));
        if is_full {
            // What the socket has taken a part of still goes out, so that a close frame may follow.
            backlog.frames = VecDeque::new();
            backlog.bytes = 0;
            pending.overflowed = true;
            pending.ended.clear();
        }
    }

    fn wake_if_pending(&self, pending: MutexGuard<'_, Pending>) {
        let is_pending = pending.backlog.is_some();
        drop(pending);
        if is_pending {
            self.ring();
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending
            .lock()
            .expect("nothing panics while it holds an outbox")
    }
}

impl Words {
    /// A result of the subscription with this id, in parts.
    pub fn result<'a>(&self, id: &'a [u8], payload: &'a [u8]) -> [&'a [u8]; 5] {
        [
            self.before_id.as_bytes(),
            id,
            self.before_payload.as_bytes(),
            payload,
            self.after_payload.as_bytes(),
        ]
    }

    /// That it has completed, in parts.
    pub fn completion<'a>(&self, id: &'a [u8]) -> [&'a [u8]; 3] {
        let (before, after) = (self.before_completed, self.after_completed);
        [before.as_bytes(), id, after.as_bytes()]
    }
}

impl Framing {
    fn push(self, out: &mut Vec<u8>, parts: &[&[u8]]) {
        match self {
            Framing::WebSocket => push_frame(out, Opcode::Text, parts),
            Framing::Bare => parts.iter().for_each(|part| out.extend_from_slice(part)),
        }
    }
}

impl Spelled {
    /// To be called when other payloads are to be spelled than before.
    pub fn clear(&mut self) {
        self.of = None;
    }

    fn spell(&mut self, envelope: &Envelope, payloads: &[Payload], framing: Framing) {
        let Envelope { id, words, .. } = envelope;
        if let Some((spelled, by, framed)) = &self.of
            && spelled == id
            && std::ptr::eq(*by, *words)
            && *framed == framing
        {
            return;
        }
        self.bytes.clear();
        self.ends.clear();
        for payload in payloads {
            framing.push(&mut self.bytes, &words.result(id, &payload.json));
            self.ends.push(self.bytes.len());
        }
        self.of = Some((id.clone(), words, framing));
    }
}

impl Pending {
    fn is_deaf(&self) -> bool {
        self.shut || self.overflowed
    }

    fn backlog(&mut self) -> &mut Backlog {
        self.backlog.get_or_insert_with(|| {
            Box::new(Backlog {
                next: Vec::new(),
                written: 0,
                frames: VecDeque::new(),
                bytes: 0,
                since: Instant::now(),
            })
        })
    }
}

impl Backlog {
    fn is_written(&self) -> bool {
        self.written == self.next.len()
    }

    /// Puts frames together that go out next; `false` if there are none.
    fn gather(&mut self, ended: &mut Vec<u64>) -> bool {
        self.next.clear();
        self.written = 0;
        while self.next.len() < WRITE_BYTES
            && let Some((origin, frame)) = self.frames.pop_front()
        {
            self.bytes -= frame.len();
            self.next.extend_from_slice(&frame);
            if let Origin::End { number } = origin {
                ended.push(number);
            }
        }
        !self.next.is_empty()
    }

    /// Removes the frames that `which` picks, and tells how many.
    fn remove(&mut self, which: impl Fn(Origin) -> bool) -> usize {
        let before = self.frames.len();
        let bytes = &mut self.bytes;
        self.frames.retain(|(origin, frame)| {
            let gone = which(*origin);
            if gone {
                *bytes -= frame.len();
            }
            !gone
        });
        before - self.frames.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::task::Waker;

    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    const WORDS: Words = Words {
        before_id: "",
        before_payload: "<",
        after_payload: ">\n",
        before_completed: "",
        after_completed: "done\n",
    };

    const PRICE: Policy = Policy::Latest { slot: 0 };

    fn rules(frames: usize, conflate_above: usize) -> Arc<OutboxRules> {
        Arc::new(OutboxRules {
            limits: OutboxLimits {
                frames,
                bytes: usize::MAX,
                conflate_above,
            },
            metrics: Arc::default(),
        })
    }

    fn outbox(frames: usize, conflate_above: usize) -> Arc<Outbox> {
        Outbox::new(rules(frames, conflate_above), Framing::Bare, None)
    }

    fn envelope(subscription: u64) -> Envelope {
        Envelope {
            subscription,
            id: subscription.to_string().into_bytes().into(),
            words: &WORDS,
        }
    }

    fn push(outbox: &Outbox, subscription: u64, json: &str, policy: Policy) {
        let json = json.to_owned().into();
        let payload = Payload { json, policy };
        outbox.deliver(&envelope(subscription), &[payload], &mut Spelled::default());
    }

    /// Everything that pends, if there is not too much.
    fn taken(outbox: &Outbox) -> Option<Vec<String>> {
        if outbox.state() == State::Overflowed {
            return None;
        }
        let mut bytes = Vec::new();
        let flushed = outbox.poll_flush(&mut Context::from_waker(Waker::noop()), |_, some| {
            bytes.extend_from_slice(some);
            Poll::Ready(Ok(some.len()))
        });
        assert!(flushed.is_ready());
        assert_eq!(outbox.pending_bytes(), 0);
        let text = String::from_utf8(bytes).unwrap();
        Some(text.lines().map(str::to_owned).collect())
    }

    #[test]
    fn a_client_that_keeps_up_sees_every_price() {
        let outbox = outbox(8, 4);
        for price in ["1", "2", "3", "4"] {
            push(&outbox, 1, price, PRICE);
        }
        assert_eq!(taken(&outbox).unwrap(), ["1<1>", "1<2>", "1<3>", "1<4>"]);
    }

    #[test]
    fn a_client_that_falls_behind_gets_the_newest_price_of_each_subscription() {
        let outbox = outbox(8, 2);
        push(&outbox, 2, "other", PRICE);
        for price in 1..=100 {
            push(&outbox, 1, &price.to_string(), PRICE);
        }
        assert_eq!(taken(&outbox).unwrap(), ["2<other>", "1<100>"]);
    }

    #[test]
    fn a_payment_is_never_skipped_the_connection_overflows_instead() {
        let outbox = outbox(3, 1);
        for payment in ["a", "b", "c"] {
            push(&outbox, 1, payment, Policy::Every);
        }
        assert_eq!(taken(&outbox).unwrap(), ["1<a>", "1<b>", "1<c>"]);
        for payment in ["a", "b", "c", "d"] {
            push(&outbox, 1, payment, Policy::Every);
        }
        assert_eq!(taken(&outbox), None);
        outbox.say_last(|out| out.extend_from_slice(b"too slow\n"));
        push(&outbox, 1, "e", Policy::Every);
        assert_eq!(taken(&outbox).unwrap(), ["too slow"]);
    }

    #[test]
    fn what_a_client_has_ended_is_not_sent() {
        let outbox = outbox(8, 4);
        push(&outbox, 1, "old", PRICE);
        push(&outbox, 2, "stays", PRICE);
        outbox.complete(&envelope(1));
        outbox.forget(1);
        assert_eq!(taken(&outbox).unwrap(), ["2<stays>"]);
        assert!(outbox.take_ended().is_empty());
    }

    #[test]
    fn a_complete_comes_last_and_frees_its_id_when_it_is_on_its_way() {
        let outbox = outbox(8, 4);
        push(&outbox, 7, "paid", Policy::Every);
        outbox.complete(&envelope(7));
        assert!(outbox.take_ended().is_empty());
        assert_eq!(taken(&outbox).unwrap(), ["7<paid>", "7done"]);
        assert_eq!(outbox.take_ended(), [7]);
        assert!(outbox.take_ended().is_empty());
    }

    #[test]
    fn where_no_words_say_that_it_has_completed_the_last_payload_goes_out_before_its_id_is_free() {
        const WORDLESS: Words = Words {
            before_completed: "",
            after_completed: "",
            ..WORDS
        };
        let outbox = outbox(8, 4);
        let wordless = Envelope {
            words: &WORDLESS,
            ..envelope(7)
        };
        outbox.complete(&wordless);
        assert_eq!(outbox.take_ended(), [7]);
        push(&outbox, 7, "gone", Policy::Every);
        outbox.complete(&wordless);
        assert!(outbox.take_ended().is_empty());
        assert_eq!(taken(&outbox).unwrap(), ["7<gone>"]);
        assert_eq!(outbox.take_ended(), [7]);
    }

    #[test]
    fn whoever_waits_for_the_bell_hears_of_what_pends_once() {
        let outbox = outbox(8, 4);
        let mut context = Context::from_waker(Waker::noop());
        assert!(outbox.poll_rung(&mut context).is_pending());
        push(&outbox, 1, "a", PRICE);
        push(&outbox, 1, "b", PRICE);
        assert!(outbox.poll_rung(&mut context).is_ready());
        assert!(outbox.poll_rung(&mut context).is_pending());
    }

    /// A client that reads nothing, and then everything: what the socket takes a part of in the middle of
    /// a frame goes on where it stopped.
    #[tokio::test]
    async fn what_the_socket_does_not_take_at_once_arrives_whole_and_in_order() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        stream.writable().await.unwrap();
        let outbox = Outbox::new(rules(100_000, 100_000), Framing::Bare, Some(stream));
        let payment = "x".repeat(1_000);
        let mut sent = 0;
        while outbox.state() == State::Clear || sent < 20_000 {
            // Three at a time, as after a burst.
            let payloads = [0, 1, 2].map(|n| Payload {
                json: format!("{}:{payment}", sent + n).into(),
                policy: Policy::Every,
            });
            outbox.deliver(&envelope(1), &payloads, &mut Spelled::default());
            sent += 3;
        }
        outbox.say_last(|out| out.extend_from_slice(b"end\n"));
        let reading = tokio::spawn(async move {
            let mut text = String::new();
            client.read_to_string(&mut text).await.unwrap();
            text
        });
        let stream = outbox.stream().unwrap();
        std::future::poll_fn(|context| {
            outbox.poll_flush(context, |context, bytes| {
                loop {
                    ready!(stream.poll_write_ready(context))?;
                    match stream.try_write(bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        written => return Poll::Ready(written),
                    }
                }
            })
        })
        .await
        .unwrap();
        drop(outbox);
        let text = reading.await.unwrap();
        let mut lines = text.lines();
        for n in 0..sent {
            assert_eq!(lines.next().unwrap(), format!("1<{n}:{payment}>"));
        }
        assert_eq!(lines.collect::<Vec<_>>(), ["end"]);
    }

    proptest! {
        /// Whatever is pushed in whatever order: payments arrive all and in order or the outbox
        /// overflows, and the last price of each subscription arrives.
        #[test]
        fn the_last_price_arrives_and_no_payment_is_lost(pushes in proptest::collection::vec((0u64..3, any::<bool>()), 1..60)) {
            let outbox = outbox(30, 5);
            let mut payments = Vec::new();
            let mut last_price = HashMap::new();
            for (n, (subscription, is_price)) in pushes.iter().enumerate() {
                let text = format!("{n}");
                let line = format!("{subscription}<{n}>");
                if *is_price {
                    last_price.insert(*subscription, line);
                    push(&outbox, *subscription, &text, PRICE);
                } else {
                    payments.push(line);
                    push(&outbox, *subscription, &text, Policy::Every);
                }
            }
            if let Some(frames) = taken(&outbox) {
                for price in last_price.values() {
                    prop_assert!(frames.contains(price));
                }
                let arrived: Vec<_> = frames.into_iter().filter(|frame| payments.contains(frame)).collect();
                prop_assert_eq!(arrived, payments);
            } else {
                prop_assert!(payments.len() > 20, "nothing but payments overflows");
            }
        }
    }
}
