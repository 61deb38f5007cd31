//! What was lately told on a topic whose listeners may have been away: webhooks.

use std::collections::VecDeque;
use std::sync::Arc;

use super::shared::Snapshot;
use crate::event::{Event, WebhookId};

/// How much is remembered of one topic.
#[derive(Clone, Copy, Debug)]
pub struct RecentLimits {
    pub events: usize,
    /// Of their payloads.
    pub bytes: usize,
}

/// The last webhooks of one account, in the order of their ids. Beyond the limits the oldest are forgotten.
#[derive(Debug, Default)]
pub(super) struct Recent {
    told: VecDeque<(WebhookId, u64, Arc<Event>)>,
    bytes: usize,
}

impl Recent {
    /// Remembers an event, with its number. `false` if it is here already, or is no webhook.
    pub(super) fn remember(
        &mut self,
        number: u64,
        event: &Arc<Event>,
        limits: RecentLimits,
    ) -> bool {
        let Event::Webhook(webhook) = &**event else {
            return false;
        };
        // Mostly it is the newest.
        let place = self.told.partition_point(|(id, ..)| *id < webhook.id);
        if self
            .told
            .get(place)
            .is_some_and(|(id, ..)| *id == webhook.id)
        {
            return false;
        }
        self.told.insert(place, (webhook.id, number, event.clone()));
        self.bytes += webhook.payload.get().len();
        // The newest stays, however long it is: who comes back for it would never hear of it.
        while self.told.len() > 1
            && (self.told.len() > limits.events || self.bytes > limits.bytes)
            && let Some((_, _, oldest)) = self.told.pop_front()
        {
            if let Event::Webhook(webhook) = &*oldest {
                self.bytes -= webhook.payload.get().len();
            }
        }
        true
    }

    /// What came behind this one.
    pub(super) fn since(&self, after: WebhookId) -> Snapshot {
        let missed = self.told.iter().filter(|(id, ..)| *id > after);
        Snapshot {
            up_to: missed
                .clone()
                .map(|(_, number, _)| *number)
                .max()
                .unwrap_or(0),
            events: missed.map(|(.., event)| event.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Webhook;
    use serde_json::value::RawValue;

    const LIMITS: RecentLimits = RecentLimits {
        events: 3,
        bytes: 10,
    };

    fn id(sequence: u64) -> WebhookId {
        let millisecond = 1;
        WebhookId {
            millisecond,
            sequence,
        }
    }

    fn webhook(sequence: u64, payload: &str) -> Arc<Event> {
        let payload = RawValue::from_string(payload.to_owned()).unwrap();
        let id = id(sequence);
        Arc::new(Event::Webhook(Arc::new(Webhook { id, payload })))
    }

    fn since(recent: &Recent, after: u64) -> Vec<u64> {
        let events = recent.since(id(after)).events.into_iter();
        let ids = events.map(|event| match &*event {
            Event::Webhook(webhook) => webhook.id.sequence,
            _ => unreachable!(),
        });
        ids.collect()
    }

    #[test]
    fn what_came_behind_is_told_in_order_and_once() {
        let mut recent = Recent::default();
        for sequence in [1, 3, 2] {
            assert!(recent.remember(sequence, &webhook(sequence, "1"), LIMITS));
        }
        assert!(!recent.remember(9, &webhook(2, "1"), LIMITS));
        assert_eq!(since(&recent, 0), [1, 2, 3]);
        assert_eq!(since(&recent, 2), [3]);
        assert_eq!(recent.since(id(2)).up_to, 3);
        assert_eq!(since(&recent, 3), [0; 0]);
    }

    #[test]
    fn the_oldest_are_forgotten_by_their_number_and_by_their_bytes() {
        let mut recent = Recent::default();
        for sequence in 0..5 {
            recent.remember(sequence, &webhook(sequence, "1"), LIMITS);
        }
        assert_eq!(since(&recent, 0), [2, 3, 4]);
        recent.remember(5, &webhook(5, "1234567890"), LIMITS);
        assert_eq!(since(&recent, 0), [5]);
        assert_eq!(recent.bytes, 10);
        recent.remember(6, &webhook(6, "12345678901"), LIMITS);
        assert_eq!(since(&recent, 0), [6], "the newest stays");
    }
}
