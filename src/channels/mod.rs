//! What the plain-JSON APIs tell: from a subscription of theirs to a running operation.
//!
//! GraphQL's clients say what they want to know of an event; those of these APIs only which events. So a
//! [`Question`] is a topic, a filter, and the [`Form`] in which the API tells it: what two clients ask alike is
//! one operation, rendered once.

pub mod allenhark;
pub mod blockdb;
pub mod websocks;

use std::sync::Arc;

use sha2::{Digest, Sha256};
use smallvec::smallvec;

use crate::auth::Identity;
use crate::event::Event;
use crate::filter::Filter;
use crate::hub::{
    Asker, Hub, Membership, NotStarted, OperationKey, Plan, Render, Rendered, Scope, Snapshot,
};
use crate::topic::Topic;

/// Starts what clients of these APIs subscribe to.
pub struct Channels {
    hub: Arc<Hub>,
}

/// What a subscription asks.
#[derive(Clone, Debug)]
pub struct Question {
    pub topic: Topic,
    pub filter: Filter,
    pub form: &'static Form,
}

/// How an API tells the events of a topic.
#[derive(Debug)]
pub struct Form {
    /// Tells it from all other forms.
    pub name: &'static str,
    /// What is told of an event. Events of other topics are none of its business.
    pub render: fn(&Topic, &Event) -> String,
    /// What is told in the place of an event to who may not hear the topic any more; nothing follows.
    pub gone: fn(&Topic) -> String,
}

impl Channels {
    pub fn new(hub: Arc<Hub>) -> Self {
        Channels { hub }
    }

    /// Starts a subscription, or joins the one that answers the same question.
    pub async fn subscribe(
        &self,
        identity: &Identity,
        question: Question,
        asker: Asker<'_>,
    ) -> Result<Membership, NotStarted> {
        let key = OperationKey {
            scope: scope(&question.topic, identity),
            question: question.fingerprint(),
        };
        // Whoever may not hear it any more does not join what is still running. As themselves: an operation
        // runs as somebody who may do less.
        if !self.hub.may_read(identity, &question.topic) {
            return Err(NotStarted::Forbidden);
        }
        if let Some(membership) = self.hub.join(&key, asker) {
            return Ok(membership);
        }
        let plan = self.plan(&key, question);
        self.hub.start(key, plan, asker).await
    }

    fn plan(&self, key: &OperationKey, question: Question) -> Plan {
        let Question {
            topic,
            filter,
            form,
        } = question;
        let (hub, of) = (self.hub.clone(), topic.clone());
        Plan {
            topics: smallvec![topic.clone()],
            filter,
            snapshot: Box::new(move |after| match (&of, after) {
                (Topic::Webhook(owner), Some(after)) => hub.webhooks_since(*owner, after),
                (Topic::Webhook(_), None) => Snapshot::default(),
                (of, _) => hub.snapshot_of(of),
            }),
            renderer: Box::new(Renderer {
                hub: self.hub.clone(),
                identity: key.scope.runs_as(),
                topic,
                form,
            }),
            invoice: None,
        }
    }
}

impl Question {
    /// Equal for equal questions alone: no part can be taken for another, because each says how long it is.
    fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut feed = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        feed(self.form.name);
        feed(&self.topic.channel());
        for (dimension, value) in self.filter.iter() {
            feed(&dimension.to_string());
            feed(value);
        }
        hash.finalize().into()
    }
}

/// Who may share what is told of a topic.
fn scope(topic: &Topic, identity: &Identity) -> Scope {
    match topic {
        Topic::Dataset(_) | Topic::MintPrice(_) | Topic::Wallet(_) => Scope::Everybody,
        Topic::Webhook(_) => Scope::Only(identity.as_hearer_of_webhooks()),
        _ => Scope::Only(identity.as_account()),
    }
}

struct Renderer {
    hub: Arc<Hub>,
    identity: Identity,
    topic: Topic,
    form: &'static Form,
}

impl Render for Renderer {
    fn render(&mut self, event: &Arc<Event>) -> Rendered {
        match self.end() {
            None => Rendered {
                payload: (self.form.render)(&self.topic, event),
                last: false,
            },
            Some(payload) => Rendered {
                payload,
                last: true,
            },
        }
    }

    /// A bot may have been given to somebody else.
    fn end(&self) -> Option<String> {
        let may_read = self.hub.may_read(&self.identity, &self.topic);
        (!may_read).then(|| (self.form.gone)(&self.topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Currency;

    static ONE: Form = form("one");
    static OTHER: Form = form("other");

    const fn form(name: &'static str) -> Form {
        Form {
            name,
            render: |_, _| String::new(),
            gone: |_| String::new(),
        }
    }

    #[test]
    fn questions_are_one_if_form_topic_and_filter_are() {
        let of = |form, code, filter: &Filter| {
            let topic = Topic::Price(Currency::parse(code).unwrap());
            let filter = filter.clone();
            Question {
                topic,
                filter,
                form,
            }
            .fingerprint()
        };
        let filter = |values: &[(u8, &str)]| {
            values
                .iter()
                .fold(Filter::default(), |filter, (dimension, value)| {
                    filter.one_of(*dimension, [*value])
                })
        };
        let one = of(&ONE, "USD", &filter(&[(0, "a"), (0, "b")]));
        assert_eq!(one, of(&ONE, "USD", &filter(&[(0, "b"), (0, "a")])));
        for other in [
            of(&OTHER, "USD", &filter(&[(0, "a"), (0, "b")])),
            of(&ONE, "EUR", &filter(&[(0, "a"), (0, "b")])),
            of(&ONE, "USD", &filter(&[(0, "a"), (1, "b")])),
            of(&ONE, "USD", &filter(&[(0, "ab")])),
            of(&ONE, "USD", Filter::ALL),
        ] {
            assert_ne!(one, other);
        }
    }
}
