//! What one connection still has to send.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::metrics::Metrics;

/// Everything that is pending for one connection, pushed by the hub's side and taken by the
/// connection's task: the one thing of a connection that others touch.
///
/// It is bounded. A client that keeps up sees every event. One that falls behind by more than
/// `conflate_above` frames gets only the newest of each price; a payment is never skipped, so a
/// client that falls behind further has [`Overflow`]ed, and its connection closes with a code that
/// makes it come back.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    metrics: Arc<Metrics>,
    pending: Mutex<Pending>,
    ready: Notify,
}

/// How much one connection may have pending.
#[derive(Clone, Copy, Debug)]
pub struct OutboxLimits {
    pub frames: usize,
    pub bytes: usize,
    /// Frames that may pend before older prices give way to newer ones.
    pub conflate_above: usize,
}

/// What goes around the payloads of one subscription: the connection's protocol spells it once.
#[derive(Debug)]
pub struct Envelope {
    /// Tells the subscriptions of one connection apart, and is never used twice.
    pub subscription: u64,
    /// `{"id":"1","type":"next","payload":`
    pub before: Box<str>,
    /// `}`
    pub after: &'static str,
    /// `{"id":"1","type":"complete"}`
    pub complete: Box<str>,
}

/// What a slow client may miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Nothing: over the limit its connection closes.
    Every,
    /// Older frames of this slot of the same subscription.
    Latest { slot: usize },
}

/// A frame to send.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub text: String,
    /// The subscription that has ended with this frame.
    pub ends: Option<u64>,
}

/// More was pending than the limits allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

#[derive(Debug, Default)]
struct Pending {
    frames: VecDeque<(u64, Policy, Frame)>,
    bytes: usize,
    overflowed: bool,
}

impl Outbox {
    pub fn new(limits: OutboxLimits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Outbox {
            limits,
            metrics,
            pending: Mutex::default(),
            ready: Notify::new(),
        })
    }

    /// Puts a payload into its envelope and behind all that is pending.
    pub fn push(&self, envelope: &Envelope, payload: &str, policy: Policy) {
        let Envelope { before, after, .. } = envelope;
        let mut text = String::with_capacity(before.len() + payload.len() + after.len());
        text.push_str(before);
        text.push_str(payload);
        text.push_str(after);
        self.metrics.deliveries.inc();
        self.put(envelope.subscription, policy, Frame { text, ends: None });
    }

    /// Says that a subscription has ended, behind all that is pending for it.
    pub fn complete(&self, envelope: &Envelope) {
        let text = envelope.complete.to_string();
        let frame = Frame {
            text,
            ends: Some(envelope.subscription),
        };
        self.put(envelope.subscription, Policy::Every, frame);
    }

    /// How many bytes wait to be sent.
    pub fn pending_bytes(&self) -> usize {
        self.pending().bytes
    }

    /// Wakes the connection's task: there is something other than frames to look at.
    pub fn ring(&self) {
        self.ready.notify_one();
    }

    /// Throws away what is pending for a subscription that its client has ended.
    pub fn forget(&self, subscription: u64) {
        let mut pending = self.pending();
        pending.remove(|of, _| of == subscription);
    }

    /// Takes all that is pending; waits until there is something. Cancel-safe.
    pub async fn take(&self, into: &mut Vec<Frame>) -> Result<(), Overflow> {
        loop {
            let ready = self.ready.notified();
            {
                let mut pending = self.pending();
                if pending.overflowed {
                    return Err(Overflow);
                }
                if !pending.frames.is_empty() {
                    pending.bytes = 0;
                    into.extend(pending.frames.drain(..).map(|(_, _, frame)| frame));
                    return Ok(());
                }
            }
            ready.await;
        }
    }

    fn put(&self, subscription: u64, policy: Policy, frame: Frame) {
        let mut pending = self.pending();
        if pending.overflowed {
            return;
        }
        if pending.frames.len() >= self.limits.conflate_above
            && matches!(policy, Policy::Latest { .. })
        {
            let replaced = pending.remove(|of, older| of == subscription && older == policy);
            self.metrics.conflated.inc_by(replaced as u64);
        }
        pending.bytes += frame.text.len();
        pending.frames.push_back((subscription, policy, frame));
        if pending.frames.len() > self.limits.frames || pending.bytes > self.limits.bytes {
            *pending = Pending {
                overflowed: true,
                ..Pending::default()
            };
        }
        drop(pending);
        self.ready.notify_one();
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending
            .lock()
            .expect("nothing panics while it holds an outbox")
    }
}

impl Pending {
    /// Removes the frames that `which` picks, and tells how many.
    fn remove(&mut self, which: impl Fn(u64, Policy) -> bool) -> usize {
        let before = self.frames.len();
        let bytes = &mut self.bytes;
        self.frames.retain(|(of, policy, frame)| {
            let gone = which(*of, *policy);
            if gone {
                *bytes -= frame.text.len();
            }
            !gone
        });
        before - self.frames.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outbox(frames: usize, conflate_above: usize) -> Arc<Outbox> {
        Outbox::new(
            OutboxLimits {
                frames,
                bytes: 1_000,
                conflate_above,
            },
            Arc::default(),
        )
    }

    fn envelope(subscription: u64) -> Envelope {
        Envelope {
            subscription,
            before: "<".into(),
            after: ">",
            complete: "done".into(),
        }
    }

    const PRICE: Policy = Policy::Latest { slot: 0 };

    async fn taken(outbox: &Outbox) -> Result<Vec<String>, Overflow> {
        let mut frames = Vec::new();
        outbox.take(&mut frames).await?;
        Ok(frames.into_iter().map(|frame| frame.text).collect())
    }

    #[tokio::test]
    async fn a_client_that_keeps_up_sees_every_price() {
        let outbox = outbox(8, 4);
        for price in ["1", "2", "3", "4"] {
            outbox.push(&envelope(1), price, PRICE);
        }
        assert_eq!(taken(&outbox).await.unwrap(), ["<1>", "<2>", "<3>", "<4>"]);
    }

    #[tokio::test]
    async fn a_client_that_falls_behind_gets_the_newest_price_of_each_subscription() {
        let outbox = outbox(8, 2);
        outbox.push(&envelope(2), "other", PRICE);
        for price in 1..=100 {
            outbox.push(&envelope(1), &price.to_string(), PRICE);
        }
        assert_eq!(taken(&outbox).await.unwrap(), ["<other>", "<100>"]);
    }

    #[tokio::test]
    async fn a_payment_is_never_skipped_the_connection_overflows_instead() {
        let outbox = outbox(3, 1);
        for payment in ["a", "b", "c"] {
            outbox.push(&envelope(1), payment, Policy::Every);
        }
        assert_eq!(taken(&outbox).await.unwrap(), ["<a>", "<b>", "<c>"]);
        for payment in ["a", "b", "c", "d"] {
            outbox.push(&envelope(1), payment, Policy::Every);
        }
        assert_eq!(taken(&outbox).await, Err(Overflow));
    }

    #[tokio::test]
    async fn what_a_client_has_ended_is_not_sent() {
        let outbox = outbox(8, 4);
        outbox.push(&envelope(1), "old", PRICE);
        outbox.push(&envelope(2), "stays", PRICE);
        outbox.forget(1);
        assert_eq!(taken(&outbox).await.unwrap(), ["<stays>"]);
    }

    #[tokio::test]
    async fn a_complete_comes_last_and_names_what_has_ended() {
        let outbox = outbox(8, 4);
        outbox.push(&envelope(7), "paid", Policy::Every);
        outbox.complete(&envelope(7));
        let mut frames = Vec::new();
        outbox.take(&mut frames).await.unwrap();
        assert_eq!(
            frames[1],
            Frame {
                text: "done".to_owned(),
                ends: Some(7)
            }
        );
    }

    proptest! {
        /// Whatever is pushed in whatever order: payments arrive all and in order or the outbox
        /// overflows, and the last price of each subscription arrives.
        #[test]
        fn the_last_price_arrives_and_no_payment_is_lost(pushes in proptest::collection::vec((0u64..3, any::<bool>()), 1..60)) {
            let outbox = outbox(30, 5);
            let mut payments = Vec::new();
            let mut last_price = std::collections::HashMap::new();
            for (n, (subscription, is_price)) in pushes.iter().enumerate() {
                let text = format!("{subscription}:{n}");
                if *is_price {
                    last_price.insert(*subscription, format!("<{text}>"));
                    outbox.push(&envelope(*subscription), &text, PRICE);
                } else {
                    payments.push(format!("<{text}>"));
                    outbox.push(&envelope(*subscription), &text, Policy::Every);
                }
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            if let Ok(frames) = runtime.block_on(taken(&outbox)) {
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
