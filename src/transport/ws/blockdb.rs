//! The words of BlockDB's WebSockets: what clients say, how they are answered, and who is let in.
//!
//! The text of the protocol is <https://docs.blockdb.io/wss-reference/overview/introduction> and the pages behind
//! it. Keys of answers stand in the order in which those show them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use super::connection::Says;
use super::heartbeat::Rhythm;
use super::pace::Pace;
use super::plain::{Api, Desk, accept_known};
use crate::auth::Credentials;
use crate::channels::blockdb::{BlockDb, Distinct, Problems, Reason, Refusal, Request};
use crate::hub::Words;
use crate::transport::arrival::{Arrival, Upgrading};
use crate::transport::close::Close;
use crate::transport::entrance::COME_AGAIN;
use crate::transport::http::advise;
use crate::transport::introduction::Introduction;
use crate::transport::operation::NotBegun;
use crate::transport::protocol::Protocol;
use crate::transport::routes::Routes;
use crate::transport::server::ConnectionLimits;

/// What goes around records: the ids are those by which the client subscribed. It is never said that a subscription
/// has completed.
pub(in crate::transport) const WORDS: Words = Words {
    before_id: r#"{"chain_id":"#,
    before_payload: ",",
    after_payload: "}",
    before_completed: "",
    after_completed: "",
};

/// `1_0103` as it stands among the words: `1,"dataset_id":"0103"`.
pub(in crate::transport) fn spelled(id: &str) -> String {
    let (chain, dataset) = id.split_once('_').unwrap_or_default();
    format!(r#"{chain},"dataset_id":"{dataset}""#)
}

/// Where it is served. BlockDB's pages show the first and the last; clients leave the slash out.
pub(in crate::transport) fn routes(shared: &Arc<BlockDb>) -> Router<Arc<Routes>> {
    Router::new()
        .route("/v1/evm/", any(enter))
        .route("/v1/evm", any(enter))
        .route("/v1/evm/stream", any(enter))
        .layer(Extension(shared.clone()))
}

/// A connection of this API.
struct BlockDbApi {
    shared: Arc<BlockDb>,
    pace: Pace,
    /// Since when nothing is subscribed to.
    idle_since: Option<Instant>,
    /// What is being begun, as the client calls it: for the answer, if it does not run.
    begins: Echo,
}

/// What a client says.
#[derive(Debug, PartialEq)]
enum Said {
    Subscribe(Echo, Request),
    Unsubscribe(Echo, Request),
    Wrong(Echo, Problems),
}

/// What a client has said of its request, which is told back: in JSON, `null` if it is nothing that can be.
#[derive(Clone, Debug, PartialEq)]
struct Echo {
    action: Cow<'static, str>,
    chain_id: Cow<'static, str>,
    dataset_id: Cow<'static, str>,
}

/// Values that are told back are no longer than this, in JSON: no id is.
const ECHO_BYTES: usize = 64;

impl Api for BlockDbApi {
    type Said = Said;

    fn read(says: Says<'_>) -> Said {
        match says {
            Says::Text(text) => read(text.as_bytes()),
            Says::Binary(bytes) => read(bytes),
        }
    }

    fn on_said(&mut self, desk: &mut Desk<'_>, said: Said) -> Result<(), Close> {
        let (echo, answer) = match (self.pace.take(), said) {
            (
                Err(again_in),
                Said::Subscribe(echo, _) | Said::Unsubscribe(echo, _) | Said::Wrong(echo, _),
            ) => (echo, Err(Refusal::TooFast { again_in })),
            (Ok(()), Said::Wrong(echo, problems)) => (echo, Err(Refusal::BadRequest(problems))),
            (Ok(()), Said::Unsubscribe(echo, request)) => {
                let answer = self.unsubscribe(desk, &request);
                (echo, answer)
            }
            (Ok(()), Said::Subscribe(echo, request)) => {
                match self.subscribe(desk, &echo, &request) {
                    // It is acknowledged when it runs.
                    Ok(()) => return Ok(()),
                    Err(refusal) => (echo, Err(refusal)),
                }
            }
        };
        match answer {
            Ok(()) => desk.say(&success(&echo)),
            Err(refusal) => self.refuse(desk, &echo, &refusal),
        }
        Ok(())
    }

    fn on_refused(&mut self, desk: &mut Desk<'_>, _id: &str, why: NotBegun) -> Result<(), Close> {
        let refusal = match why {
            NotBegun::TooMany(limit) => Refusal::TooMany(limit),
            why => {
                let incident = Uuid::new_v4();
                tracing::warn!(%incident, "a dataset is not told: {why:?}");
                Refusal::Internal(incident)
            }
        };
        let echo = self.begins.clone();
        self.refuse(desk, &echo, &refusal);
        self.note_idle(desk);
        Ok(())
    }

    fn rhythm(&self, _: &ConnectionLimits) -> Rhythm {
        Rhythm {
            interval: self.shared.config.ping_interval,
            patience: self.shared.config.pong_timeout,
        }
    }

    fn due_at(&self) -> Option<Instant> {
        Some(self.idle_since? + self.shared.config.idle_timeout)
    }

    fn on_due(&mut self, _: &mut Desk<'_>) -> Result<(), Close> {
        Err(Close::IdleTimeout)
    }
}

impl BlockDbApi {
    fn new(shared: Arc<BlockDb>) -> Self {
        BlockDbApi {
            pace: Pace::new(shared.config.messages_per_second),
            shared,
            idle_since: Some(Instant::now()),
            begins: Echo::NOTHING,
        }
    }

    /// A subscription to the same dataset by the same id takes the place of the one that there is.
    fn subscribe(
        &mut self,
        desk: &mut Desk<'_>,
        echo: &Echo,
        request: &Request,
    ) -> Result<(), Refusal> {
        let account = desk.identity().account();
        let plans = account.map(|account| desk.server().apis.plans.of(account));
        let (target, question) = self.shared.question(request, &plans.unwrap_or_default())?;
        self.idle_since = None;
        self.begins = echo.clone();
        desk.begin(&target.name(), question, success(echo), None);
        Ok(())
    }

    fn unsubscribe(&mut self, desk: &mut Desk<'_>, request: &Request) -> Result<(), Refusal> {
        let target = self.shared.target(request)?;
        if !desk.end(&target.name()) {
            return Err(Refusal::NotSubscribed);
        }
        self.note_idle(desk);
        Ok(())
    }

    fn note_idle(&mut self, desk: &Desk<'_>) {
        if desk.count() == 0 {
            self.idle_since.get_or_insert_with(Instant::now);
        }
    }

    fn refuse(&self, desk: &Desk<'_>, echo: &Echo, refusal: &Refusal) {
        let error = refusal.object(None, &self.shared.config.docs_url);
        desk.say(&failure(echo, &error));
    }
}

/// Reads a message.
fn read(text: &[u8]) -> Said {
    let wrong = |problem, reason| Said::Wrong(Echo::NOTHING, Problems::of(problem, reason));
    let mut message = match serde_json::from_slice(text) {
        Ok(Distinct(Value::Object(message))) => message,
        Ok(_) => return wrong("message", Reason::InvalidType),
        Err(error) if error.is_data() => return wrong("message", Reason::Duplicate),
        Err(_) => return wrong("message", Reason::InvalidFormat),
    };
    let echo = Echo::of(&message);
    let action = match message.remove("action") {
        Some(Value::String(action)) => action,
        None | Some(Value::Null) => {
            return Said::Wrong(echo, Problems::of("action", Reason::Missing));
        }
        Some(_) => return Said::Wrong(echo, Problems::of("action", Reason::InvalidType)),
    };
    let request = Request {
        chain_id: message.remove("chain_id"),
        dataset_id: message.remove("dataset_id"),
        params: message.remove("params"),
        others: message.into_iter().map(|(name, _)| name).collect(),
    };
    match action.as_str() {
        "subscribe" => Said::Subscribe(echo, request),
        "unsubscribe" => Said::Unsubscribe(echo, request),
        _ => {
            let mut problems = Problems::default();
            problems.unsupported("action", vec!["subscribe".into(), "unsubscribe".into()]);
            Said::Wrong(echo, problems)
        }
    }
}

fn success(echo: &Echo) -> String {
    format!(r#"{{{echo},"status":"success"}}"#)
}

fn failure(echo: &Echo, error: &str) -> String {
    format!(r#"{{{echo},"status":"error","error":{error}}}"#)
}

impl Echo {
    const NOTHING: Echo = Echo {
        action: Cow::Borrowed("null"),
        chain_id: Cow::Borrowed("null"),
        dataset_id: Cow::Borrowed("null"),
    };

    fn of(message: &Map<String, Value>) -> Self {
        let told = |name| {
            let value = message.get(name);
            let value = value.filter(|value| value.is_string() || value.is_number());
            let json = value.map(Value::to_string);
            let json = json.filter(|json| json.len() <= ECHO_BYTES);
            json.map_or(Cow::Borrowed("null"), Cow::Owned)
        };
        Echo {
            action: told("action"),
            chain_id: told("chain_id"),
            dataset_id: told("dataset_id"),
        }
    }
}

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Echo {
            action,
            chain_id,
            dataset_id,
        } = self;
        write!(
            f,
            r#""action":{action},"chain_id":{chain_id},"dataset_id":{dataset_id}"#
        )
    }
}

/// A request at a path of this API. Who it is is asked before the upgrade: a client that is not let in is answered
/// over HTTP, with the error object.
async fn enter(
    Extension(shared): Extension<Arc<BlockDb>>,
    arrival: Arrival,
    Upgrading(upgrade): Upgrading,
) -> Response {
    let credentials = credentials(&arrival.headers, arrival.parameter("api_key"));
    let session = match arrival.identify(Protocol::BlockDb, credentials).await {
        Ok(session) => session,
        Err(close) => return refuse(&shared, &close),
    };
    if !session.identity.scopes().may_hear() {
        return not_let_in(&shared, StatusCode::FORBIDDEN, &Refusal::Scope);
    }
    accept_known(
        arrival,
        upgrade,
        Protocol::BlockDb,
        shared.config.message_bytes,
        session,
        BlockDbApi::new(shared),
    )
}

/// What a client is known by: a header, or else the parameter. BlockDB's clients bring their API keys as bearers.
fn credentials(headers: &HeaderMap, parameter: Option<String>) -> Credentials {
    let mut credentials = Introduction::of_headers(headers).credentials;
    if credentials.authorization.is_none() && credentials.api_key.is_none() {
        credentials.api_key = parameter.map(Into::into);
    }
    credentials.with_key_as_bearer()
}

fn refuse(shared: &BlockDb, close: &Close) -> Response {
    match close {
        Close::Forbidden => {
            let status = StatusCode::UNAUTHORIZED;
            advise(not_let_in(shared, status, &Refusal::Unauthorized))
        }
        _ => {
            let incident = Uuid::new_v4();
            tracing::warn!(%incident, "a client cannot be let in now: {}", close.name());
            let refusal = Refusal::Internal(incident);
            let mut response = not_let_in(shared, StatusCode::SERVICE_UNAVAILABLE, &refusal);
            let again_in = COME_AGAIN.as_secs().into();
            response.headers_mut().insert(header::RETRY_AFTER, again_in);
            response
        }
    }
}

fn not_let_in(shared: &BlockDb, status: StatusCode, refusal: &Refusal) -> Response {
    let error = refusal.object(Some(status.as_u16()), &shared.config.docs_url);
    let json = [(header::CONTENT_TYPE, "application/json")];
    (status, json, format!(r#"{{"error":{error}}}"#)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use url::Url;

    fn docs() -> Url {
        Url::parse("https://docs.blockdb.io/wss-reference/overview/errors").unwrap()
    }

    fn wrong(text: &str) -> String {
        match read(text.as_bytes()) {
            Said::Wrong(echo, problems) => {
                failure(&echo, &Refusal::BadRequest(problems).object(None, &docs()))
            }
            other => panic!("{other:?}"),
        }
    }

    fn told(id: &str, payload: &str) -> String {
        let id = spelled(id);
        let parts = WORDS.result(id.as_bytes(), payload.as_bytes());
        String::from_utf8(parts.concat()).unwrap()
    }

    #[test]
    fn answers_have_their_keys_in_the_order_of_the_samples() {
        let text = r#"{"action":"unsubscribe","chain_id":1,"dataset_id":"0101"}"#;
        let Said::Unsubscribe(echo, request) = read(text.as_bytes()) else {
            panic!("it is one");
        };
        assert_eq!(
            success(&echo),
            r#"{"action":"unsubscribe","chain_id":1,"dataset_id":"0101","status":"success"}"#
        );
        assert_eq!(request.dataset_id, Some("0101".into()));
        assert_eq!(
            told("1_0103", r#""is_reorg":false,"data":{}"#),
            r#"{"chain_id":1,"dataset_id":"0103","is_reorg":false,"data":{}}"#
        );
    }

    #[test]
    fn what_is_no_request_is_told_what_is_wrong_with_it() {
        assert_snapshot!(wrong("hello"), @r#"{"action":null,"chain_id":null,"dataset_id":null,"status":"error","error":{"code":"BAD_REQUEST","message":"Parts of the request are missing or wrong.","hint":"See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits.","severity":"error","retryable":false,"details":{"invalid_parameters":[{"name":"message","reason":"invalid_format"}]},"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
        assert_snapshot!(wrong("[]"), @r#"{"action":null,"chain_id":null,"dataset_id":null,"status":"error","error":{"code":"BAD_REQUEST","message":"Parts of the request are missing or wrong.","hint":"See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits.","severity":"error","retryable":false,"details":{"invalid_parameters":[{"name":"message","reason":"invalid_type"}]},"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
        assert_snapshot!(wrong(r#"{"chain_id":1}"#), @r#"{"action":null,"chain_id":1,"dataset_id":null,"status":"error","error":{"code":"BAD_REQUEST","message":"Parts of the request are missing or wrong.","hint":"See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits.","severity":"error","retryable":false,"details":{"invalid_parameters":[{"name":"action","reason":"missing"}]},"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
        assert_snapshot!(wrong(r#"{"action":7,"dataset_id":{}}"#), @r#"{"action":7,"chain_id":null,"dataset_id":null,"status":"error","error":{"code":"BAD_REQUEST","message":"Parts of the request are missing or wrong.","hint":"See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits.","severity":"error","retryable":false,"details":{"invalid_parameters":[{"name":"action","reason":"invalid_type"}]},"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
        assert_snapshot!(wrong(r#"{"action":"ping","chain_id":"1","dataset_id":101}"#), @r#"{"action":"ping","chain_id":"1","dataset_id":101,"status":"error","error":{"code":"BAD_REQUEST","message":"Parts of the request are missing or wrong.","hint":"See details.invalid_parameters. Addresses and hashes are hex without 0x, dataset_id is a string of four digits.","severity":"error","retryable":false,"details":{"invalid_parameters":[{"name":"action","reason":"unsupported","allowed":["subscribe","unsubscribe"]}]},"docs_url":"https://docs.blockdb.io/wss-reference/overview/errors"}}"#);
        let long = "x".repeat(100);
        assert!(wrong(&format!(r#"{{"action":"{long}"}}"#)).starts_with(r#"{"action":null,"#));
    }

    #[test]
    fn what_nobody_knows_is_kept_to_be_complained_of() {
        let text = r#"{"action":"subscribe","chain_id":1,"dataset_id":"0103","param":{}}"#;
        let Said::Subscribe(_, request) = read(text.as_bytes()) else {
            panic!("it is one");
        };
        assert_eq!(request.others, ["param"]);
    }

    fn brought(headers: &[(&'static str, &str)], parameter: Option<&str>) -> [Option<String>; 2] {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| {
            (
                axum::http::HeaderName::from_static(name),
                value.parse().unwrap(),
            )
        });
        let Credentials {
            api_key,
            authorization,
        } = credentials(&headers.collect(), parameter.map(str::to_owned));
        [api_key, authorization]
            .map(|secret| secret.map(|secret| secret.expose_secret().to_owned()))
    }

    #[test]
    fn keys_come_as_bearers_in_a_header_of_their_own_or_as_a_parameter_in_this_order() {
        let key = |text: &str| [Some(text.to_owned()), None];
        assert_eq!(
            brought(&[("authorization", "Bearer blink_a")], None),
            key("blink_a")
        );
        assert_eq!(
            brought(&[("authorization", "bEARER  blink_a")], Some("b")),
            key("blink_a")
        );
        assert_eq!(
            brought(&[("x-api-key", "blink_a")], Some("b")),
            key("blink_a")
        );
        assert_eq!(brought(&[], Some("blink_b")), key("blink_b"));
        let both = [
            ("x-api-key", "blink_a"),
            ("authorization", "Bearer blink_b"),
        ];
        assert_eq!(brought(&both, None), key("blink_b"));
        let token = [None, Some("Bearer a.b.c".to_owned())];
        assert_eq!(brought(&[("authorization", "Bearer a.b.c")], None), token);
        let basic = [None, Some("Basic YTpi".to_owned())];
        assert_eq!(
            brought(&[("authorization", "Basic YTpi")], Some("blink_b")),
            basic
        );
        assert_eq!(brought(&[], None), [None, None]);
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_answered_with_json(text in r#"[{}\[\]",:a-z_0-9.]{0,80}|\{"action":"[a-z\\"]{0,9}","chain_id":.{0,9},"dataset_id":.{0,9}\}"#) {
            let (Said::Subscribe(echo, _) | Said::Unsubscribe(echo, _) | Said::Wrong(echo, _)) = read(text.as_bytes());
            prop_assert!(serde_json::from_str::<Value>(&success(&echo)).is_ok());
        }
    }
}
