//! WebSocks' WebSocket: an account's webhooks, a message each.
//!
//! It is <https://websocks.io/docs>: who brings a token hears what is posted to the account's endpoints. Nothing
//! is said when a client comes, because clients take every message for a webhook; and what clients say means
//! nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::connection::Says;
use super::heartbeat::Rhythm;
use super::plain::{Api, Desk, accept_known};
use crate::channels::websocks::{By, question};
use crate::hub::NotStarted;
use crate::ingest::webhooks::Intake;
use crate::transport::arrival::{Arrival, Upgrading};
use crate::transport::close::Close;
use crate::transport::http::websocks::{
    Wish, forbidden, no_slug, only_gets, refuse_client, refuse_wish, set_cap, show_usage, stream,
    take, take_only_posts,
};
use crate::transport::operation::NotBegun;
use crate::transport::protocol::Protocol;
use crate::transport::routes::Routes;
use crate::transport::server::ConnectionLimits;

/// What there is where WebSocks is switched on.
pub(in crate::transport) fn routes(intake: &Arc<Intake>) -> Router<Arc<Routes>> {
    Router::new()
        // What is nobody's slug is said so, whatever it looks like.
        .route("/api/in/{*slug}", post(take).fallback(take_only_posts))
        .route("/api/in/", post(no_slug).fallback(take_only_posts))
        .route("/api/events/stream", get(stream).fallback(only_gets))
        .route("/api/usage", get(show_usage).put(set_cap))
        .route(&intake.config().path, get(connect))
        .layer(Extension(intake.clone()))
}

async fn connect(
    Extension(intake): Extension<Arc<Intake>>,
    arrival: Arrival,
    Upgrading(upgrade): Upgrading,
) -> Response {
    let protocol = Protocol::WebSocks;
    let Some(wish) = Wish::of(&arrival) else {
        return refuse_wish();
    };
    match arrival.identify(protocol, arrival.token()).await {
        Ok(session) if session.identity.scopes().may_hear_webhooks() => {
            let config = intake.config();
            // Nothing that it says means anything: as much as it may hear, it may say.
            let (ping_interval, bytes) = (config.ping_interval, config.body_bytes);
            let client = Client {
                wish,
                ping_interval,
            };
            accept_known(arrival, upgrade, protocol, bytes, session, client)
        }
        Ok(_) => forbidden(),
        Err(close) => refuse_client(&close),
    }
}

/// One that listens.
struct Client {
    wish: Wish,
    ping_interval: Duration,
}

impl Api for Client {
    type Said = ();

    fn read(_: Says<'_>) {}

    fn on_open(&mut self, desk: &mut Desk<'_>) -> Result<(), Close> {
        let Some(owner) = desk.identity().account() else {
            return Err(Close::Forbidden);
        };
        let Wish { envelope, after } = self.wish;
        let question = question(owner, envelope, By::WebSocket);
        desk.begin("", question, String::new(), after);
        Ok(())
    }

    fn on_said(&mut self, _: &mut Desk<'_>, (): ()) -> Result<(), Close> {
        Ok(())
    }

    fn on_refused(&mut self, _: &mut Desk<'_>, _: &str, why: NotBegun) -> Result<(), Close> {
        Err(match why {
            NotBegun::NotStarted(NotStarted::Forbidden) => Close::Forbidden,
            _ => Close::TooManyTopics,
        })
    }

    fn rhythm(&self, limits: &ConnectionLimits) -> Rhythm {
        Rhythm {
            interval: self.ping_interval,
            patience: limits.pong_timeout,
        }
    }
}
