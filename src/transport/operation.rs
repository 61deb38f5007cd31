//! What a client asks for, whatever it speaks; and why it does not get it.

use std::sync::Arc;

use super::server::Server;
use crate::auth::Identity;
use crate::channels::Question;
use crate::event::WebhookId;
use crate::graphql::{GraphqlError, Refusal, Request, errors_json};
use crate::hub::{Asker, Envelope, Membership, NotStarted, Outbox};

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Operation {
    /// A document of GraphQL, with its variables.
    Graphql(Request),
    /// A subscription of a plain-JSON API.
    Channel {
        question: Question,
        /// What it is told once it hears: before anything that it hears.
        welcome: String,
        /// The last webhook that it has heard.
        after: Option<WebhookId>,
    },
}

/// Why an operation does not run.
#[derive(Clone, Debug)]
pub(super) enum NotBegun {
    /// What GraphQL says of it.
    Refused(Refusal),
    NotStarted(NotStarted),
    /// The connection has as many as it may: so many.
    TooMany(usize),
}

impl Operation {
    /// Starts it, or joins the one that answers the same question.
    pub(super) async fn start(
        self,
        server: Arc<Server>,
        identity: Identity,
        outbox: Arc<Outbox>,
        envelope: Envelope,
    ) -> Result<Membership, NotBegun> {
        match self {
            Operation::Graphql(request) => {
                let graphql = &server.graphql;
                let started = graphql.subscribe(&identity, request, &outbox, &envelope);
                started.await.map_err(NotBegun::Refused)
            }
            Operation::Channel {
                question,
                welcome,
                after,
            } => {
                let asker = Asker {
                    outbox: &outbox,
                    envelope: &envelope,
                    welcome: &welcome,
                    after,
                };
                let started = server.apis.channels.subscribe(&identity, question, asker);
                started.await.map_err(NotBegun::NotStarted)
            }
        }
    }
}

impl NotBegun {
    /// In the words of GraphQL.
    pub(super) fn into_refusal(self) -> Refusal {
        match self {
            NotBegun::Refused(refusal) => refusal,
            NotBegun::NotStarted(why) => why.into(),
            NotBegun::TooMany(limit) => {
                let message = format!("A connection may have {limit} subscriptions at a time");
                let error = GraphqlError::new(message).coded("TOO_MANY_SUBSCRIPTIONS");
                Refusal::Error(errors_json(&[error]))
            }
        }
    }
}
