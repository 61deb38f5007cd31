//! AllenHark's protocol, `/v1/ws`: <https://allenhark.com/docs/api/websocket>.
//!
//! A client says who it is in a message, and may say more at once: it is answered in order. What that page
//! leaves open (answers to `auth` and to subscriptions, errors and their codes, limits, why sockets close) is
//! decided here. Whatever a client gets wrong is answered with an error, and goes on; only who speaks something
//! else altogether, or too fast for too long, is closed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::connection::Says;
use super::heartbeat::Rhythm;
use super::message::invalid;
use super::pace::Pace;
use super::plain::{Api, Desk, Entry, accept_stranger};
use crate::auth::{Credentials, Session};
use crate::channels::allenhark::{
    About, AllenHark, Channel, Code, Subject, Tier, error, no_such_bot, whole_seconds,
};
use crate::hub::NotStarted;
use crate::transport::arrival::{Arrival, Upgrading};
use crate::transport::close::Close;
use crate::transport::endpoint::Endpoint;
use crate::transport::operation::NotBegun;
use crate::transport::protocol::Protocol;
use crate::transport::routes::Routes;
use crate::transport::server::ConnectionLimits;

/// Where it is spoken, if it is switched on.
pub(in crate::transport) fn routes(shared: &Arc<AllenHark>) -> Router<Arc<Routes>> {
    Router::new()
        .route("/v1/ws", get(open))
        .layer(Extension(shared.clone()))
}

async fn open(
    Extension(shared): Extension<Arc<AllenHark>>,
    arrival: Arrival,
    Upgrading(upgrade): Upgrading,
) -> Response {
    let (protocol, message_bytes) = (Protocol::AllenHark, shared.config.message_bytes);
    accept_stranger(
        arrival,
        upgrade,
        protocol,
        message_bytes,
        Stranger::new(shared),
    )
}

/// What a client says.
#[derive(Debug)]
enum Said {
    Auth(SecretString),
    Subscribe(Subject),
    Unsubscribe(Subject),
    Ping,
    /// Nothing that can be done.
    Wrong(Complaint),
    /// A frame that is no text.
    Binary,
}

/// What is wrong with what a client says, or why it is not done.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    code: Code,
    message: Cow<'static, str>,
    about: About,
}

/// So many messages in a row that are none of the protocol: their client speaks something else.
const STRANGE_IN_A_ROW: u8 = 10;

/// What is told back of what a client said is cut off here: it is to recognise it by.
const TOLD_BACK_BYTES: usize = 128;

fn read(says: Says<'_>) -> Said {
    match says {
        Says::Text(text) => decode(text).unwrap_or_else(Said::Wrong),
        Says::Binary(_) => Said::Binary,
    }
}

/// Reads a text frame. What else is in it than what is asked for is passed over.
fn decode(text: &str) -> Result<Said, Complaint> {
    let fields = Fields::read(text)?;
    match &*fields.kind()? {
        "auth" => {
            let key = fields.text("apiKey", fields.api_key, &About::default())?;
            Ok(Said::Auth(key.into()))
        }
        "subscribe" => fields.subject().map(Said::Subscribe),
        "unsubscribe" => fields.subject().map(Said::Unsubscribe),
        "ping" => Ok(Said::Ping),
        other => {
            let known = "expected auth, subscribe, unsubscribe or ping";
            let message = format!("Unknown type {:?}, {known}", told_back(other));
            Err(Complaint::new(Code::UnknownType, message))
        }
    }
}

/// What may be in a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    api_key: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    bot_id: Option<&'a RawValue>,
    #[serde(borrow)]
    mint: Option<&'a RawValue>,
    #[serde(borrow)]
    wallet: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Self, Complaint> {
        let wrong = |message| Complaint::new(Code::InvalidMessage, message);
        // serde would take a list for an object without the names of its keys.
        if !text.trim_start().starts_with('{') {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            return Err(wrong(match is_json {
                true => "The message is not a JSON object",
                false => "The message is not JSON",
            }));
        }
        serde_json::from_str(text).map_err(|error| match error.is_data() {
            true => wrong("A key of the message appears twice"),
            false => wrong("The message is not JSON"),
        })
    }

    fn kind(&self) -> Result<String, Complaint> {
        let wrong = |message| Complaint::new(Code::InvalidMessage, message);
        let kind = self.kind.ok_or_else(|| wrong("`type` is missing"))?;
        serde_json::from_str(kind.get()).map_err(|_| wrong("`type` is not a string"))
    }

    fn subject(&self) -> Result<Subject, Complaint> {
        let name = self.text("channel", self.channel, &About::default())?;
        let mut about = About {
            channel: Some(told_back(&name).to_owned()),
            field: None,
        };
        let Some(channel) = Channel::parse(&name) else {
            let message = "Unknown channel, expected bot, price or transactions";
            return Err(Complaint::new(Code::UnknownChannel, message).about(about));
        };
        let value = match channel {
            Channel::Bot => self.bot_id,
            Channel::Price => self.mint,
            Channel::Transactions => self.wallet,
        };
        let text = self.text(channel.field(), value, &about)?;
        channel.subject(&text).ok_or_else(|| {
            about.field = Some((channel.field(), told_back(&text).to_owned()));
            let message = format!("`{}` is not {}", channel.field(), channel.expects());
            Complaint::new(Code::InvalidField, message).about(about)
        })
    }

    /// A field that has to be there, and a text. `null` is not there.
    fn text(
        &self,
        name: &str,
        value: Option<&RawValue>,
        about: &About,
    ) -> Result<String, Complaint> {
        let Some(value) = value else {
            let message = format!("`{name}` is missing");
            return Err(Complaint::new(Code::MissingField, message).about(about.clone()));
        };
        serde_json::from_str(value.get()).map_err(|_| {
            let message = format!("`{name}` is not a string");
            Complaint::new(Code::InvalidField, message).about(about.clone())
        })
    }
}

impl Said {
    fn about(&self) -> About {
        match self {
            Said::Subscribe(subject) | Said::Unsubscribe(subject) => subject.into(),
            Said::Wrong(complaint) => complaint.about.clone(),
            Said::Auth(_) | Said::Ping | Said::Binary => About::default(),
        }
    }
}

impl Complaint {
    fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Complaint {
            code,
            message: message.into(),
            about: About::default(),
        }
    }

    fn about(self, about: impl Into<About>) -> Self {
        Complaint {
            about: about.into(),
            ..self
        }
    }

    fn encode(&self) -> String {
        error(self.code, &self.message, &self.about)
    }
}

fn told_back(text: &str) -> &str {
    &text[..text.floor_char_boundary(TOLD_BACK_BYTES)]
}

const AUTH_SUCCESS: &str = r#"{"type":"auth_success"}"#;

fn subscribed(subject: &Subject) -> String {
    acknowledged("subscribed", subject)
}

fn unsubscribed(subject: &Subject) -> String {
    acknowledged("unsubscribed", subject)
}

fn acknowledged(what: &str, subject: &Subject) -> String {
    let mut frame = format!(r#"{{"type":"{what}""#);
    About::from(subject).write(&mut frame);
    frame.push('}');
    frame
}

fn pong(now: Timestamp) -> String {
    let timestamp = whole_seconds(now);
    format!(r#"{{"type":"pong","timestamp":"{timestamp}"}}"#)
}

/// How well a client behaves: how fast it speaks, and whether it is this protocol that it speaks.
struct Manners {
    pace: Pace,
    /// Of what is said too fast: whoever goes on as if it had not been told is not told for ever.
    patience: Pace,
    strange_in_a_row: u8,
}

impl Manners {
    fn of(tier: &Tier) -> Self {
        Manners {
            pace: Pace::new(tier.messages_per_second),
            patience: Pace::new(tier.messages_per_second),
            strange_in_a_row: 0,
        }
    }

    /// What is to be done of what was said; what is wrong is answered.
    fn mind(&mut self, said: Said, say: impl Fn(&str)) -> Result<Option<Said>, Close> {
        if let Err(wait) = self.pace.take() {
            self.patience.take().map_err(|_| Close::TooManyMessages)?;
            let wait_ms = wait.as_millis() + 1;
            let message = format!("Too many messages, the next one may come in {wait_ms} ms");
            say(&Complaint::new(Code::RateLimited, message)
                .about(said.about())
                .encode());
            return Ok(None);
        }
        match said {
            Said::Binary => Err(invalid("a binary frame, messages are text")),
            Said::Wrong(complaint) => {
                say(&complaint.encode());
                match complaint.code {
                    Code::InvalidMessage | Code::UnknownType => self.strange_in_a_row += 1,
                    _ => self.strange_in_a_row = 0,
                }
                match self.strange_in_a_row < STRANGE_IN_A_ROW {
                    true => Ok(None),
                    false => Err(invalid(format!("{STRANGE_IN_A_ROW} in a row"))),
                }
            }
            said => {
                self.strange_in_a_row = 0;
                Ok(Some(said))
            }
        }
    }
}

/// Tells one key from others, without keeping it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

impl Fingerprint {
    fn of(key: &SecretString) -> Self {
        Fingerprint(Sha256::digest(key.expose_secret()).into())
    }
}

/// A client that has not said yet who it is, or whose key is being checked.
struct Stranger {
    shared: Arc<AllenHark>,
    manners: Manners,
    brought: Option<Fingerprint>,
}

impl Stranger {
    fn new(shared: Arc<AllenHark>) -> Self {
        Stranger {
            manners: Manners::of(shared.default_tier()),
            shared,
            brought: None,
        }
    }
}

impl Entry for Stranger {
    type Api = Customer;
    type Said = Said;

    fn read(says: Says<'_>) -> Said {
        read(says)
    }

    fn patience(&self) -> Duration {
        self.shared.config.auth_timeout
    }

    fn on_said(&mut self, endpoint: &Endpoint, said: Said) -> Result<Option<Credentials>, Close> {
        match self.manners.mind(said, |text| endpoint.say(text))? {
            Some(Said::Auth(key)) => {
                self.brought = Some(Fingerprint::of(&key));
                return Ok(Some(credentials(key)));
            }
            Some(Said::Ping) => endpoint.say(&pong(Timestamp::now())),
            Some(said @ (Said::Subscribe(_) | Said::Unsubscribe(_))) => {
                let message = "Say who you are first: {\"type\":\"auth\",\"apiKey\":\"…\"}";
                let complaint = Complaint::new(Code::AuthRequired, message).about(said.about());
                endpoint.say(&complaint.encode());
            }
            Some(Said::Wrong(_) | Said::Binary) | None => {}
        }
        Ok(None)
    }

    fn refuse(&self, endpoint: &Endpoint, close: &Close) {
        if let Some(complaint) = refusal(close) {
            endpoint.say(&complaint.encode());
        }
    }

    fn let_in(self, endpoint: &Endpoint, session: &Session) -> Customer {
        let account = session.identity.account();
        let plans = account.map(|account| endpoint.server.apis.plans.of(account));
        let tier = match &plans {
            Some(plans) => self.shared.tier_of(plans),
            None => self.shared.default_tier(),
        };
        Customer {
            manners: Manners::of(tier),
            subscriptions: tier.subscriptions,
            idle_timeout: self.shared.config.idle_timeout,
            brought: self.brought,
            pinged: Instant::now(),
        }
    }
}

/// Where a key is asked for, a token of an issuer will do: its account is whose it is. Keys have no dots.
fn credentials(key: SecretString) -> Credentials {
    match key.expose_secret().split('.').count() == 3 {
        true => Credentials {
            authorization: Some(format!("Bearer {}", key.expose_secret()).into()),
            api_key: None,
        },
        false => Credentials {
            authorization: None,
            api_key: Some(key),
        },
    }
}

/// What is said before a client is closed that is not let in, where something is.
fn refusal(close: &Close) -> Option<Complaint> {
    let (code, message) = match close {
        Close::Forbidden => (Code::AuthFailed, "Invalid API key".into()),
        Close::AuthTimeout => (Code::AuthTimeout, "No `auth` came in time".into()),
        Close::Unavailable => (Code::Internal, close.reason().into()),
        Close::TooManyConnections(_) => (Code::LimitExceeded, close.reason().into()),
        _ => return None,
    };
    Some(Complaint {
        code,
        message,
        about: About::default(),
    })
}

/// A client that was let in.
struct Customer {
    manners: Manners,
    /// How many it may have.
    subscriptions: usize,
    idle_timeout: Duration,
    /// The key that it was let in by.
    brought: Option<Fingerprint>,
    /// When its last ping came.
    pinged: Instant,
}

impl Customer {
    fn subscribe(&mut self, desk: &mut Desk<'_>, subject: &Subject) {
        let id = subject.id();
        let welcome = subscribed(subject);
        // Whoever asks twice has it, and is told so twice, and nothing else.
        match desk.has(&id) {
            true => desk.say(&welcome),
            false => desk.begin(&id, subject.question(), welcome, None),
        }
    }

    fn unsubscribe(&mut self, desk: &mut Desk<'_>, subject: &Subject) {
        match desk.end(&subject.id()) {
            true => desk.say(&unsubscribed(subject)),
            false => {
                let complaint =
                    Complaint::new(Code::NotSubscribed, "There is no such subscription");
                desk.say(&complaint.about(subject).encode());
            }
        }
    }
}

impl Api for Customer {
    type Said = Said;

    fn read(says: Says<'_>) -> Said {
        read(says)
    }

    fn on_open(&mut self, desk: &mut Desk<'_>) -> Result<(), Close> {
        let identity = desk.identity();
        let why = match identity.account() {
            None => "Not the key of an account",
            Some(_) if !identity.scopes().may_hear() => "The API key needs the scope read",
            Some(_) => {
                desk.say(AUTH_SUCCESS);
                return Ok(());
            }
        };
        desk.say(&Complaint::new(Code::AuthFailed, why).encode());
        Err(Close::Forbidden)
    }

    fn on_said(&mut self, desk: &mut Desk<'_>, said: Said) -> Result<(), Close> {
        match self.manners.mind(said, |text| desk.say(text))? {
            Some(Said::Auth(key)) if self.brought == Some(Fingerprint::of(&key)) => {
                desk.say(AUTH_SUCCESS);
            }
            Some(Said::Auth(_)) => {
                let message = "This connection has another key: open one for each";
                desk.say(&Complaint::new(Code::AuthFailed, message).encode());
            }
            Some(Said::Subscribe(subject)) => self.subscribe(desk, &subject),
            Some(Said::Unsubscribe(subject)) => self.unsubscribe(desk, &subject),
            Some(Said::Ping) => {
                self.on_ping();
                desk.say(&pong(Timestamp::now()));
            }
            Some(Said::Wrong(_) | Said::Binary) | None => {}
        }
        Ok(())
    }

    fn on_refused(&mut self, desk: &mut Desk<'_>, id: &str, why: NotBegun) -> Result<(), Close> {
        let subject = Subject::of_id(id).expect("it is the id of what was subscribed to");
        let (code, message) = match why {
            NotBegun::NotStarted(NotStarted::Forbidden) => {
                desk.say(&no_such_bot(&subject));
                return Ok(());
            }
            NotBegun::TooMany(limit) => (
                Code::LimitExceeded,
                format!("A connection may have {limit} subscriptions at a time"),
            ),
            NotBegun::NotStarted(why @ NotStarted::TooManyTopics) => {
                (Code::Internal, why.to_string())
            }
            NotBegun::Refused(_) => (Code::Internal, "Internal error".to_owned()),
        };
        desk.say(&Complaint::new(code, message).about(&subject).encode());
        Ok(())
    }

    fn on_ping(&mut self) {
        self.pinged = Instant::now();
    }

    /// Its own pings say that a client is there. Ours keep what is between us awake, and who cannot answer
    /// them is not gone for that.
    fn rhythm(&self, limits: &ConnectionLimits) -> Rhythm {
        Rhythm {
            interval: limits.ping_interval,
            patience: self.idle_timeout,
        }
    }

    fn subscriptions(&self, _limits: &ConnectionLimits) -> usize {
        self.subscriptions
    }

    fn due_at(&self) -> Option<Instant> {
        Some(self.pinged + self.idle_timeout)
    }

    fn on_due(&mut self, _desk: &mut Desk<'_>) -> Result<(), Close> {
        Err(Close::NoPing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use std::cell::RefCell;
    use std::num::NonZeroU32;

    const MINT: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";

    fn subject(text: &str) -> Subject {
        match decode(text) {
            Ok(Said::Subscribe(subject) | Said::Unsubscribe(subject)) => subject,
            other => panic!("{other:?}"),
        }
    }

    fn error_of(text: &str) -> String {
        decode(text).expect_err("it is wrong").encode()
    }

    #[test]
    fn the_messages_of_the_contract_are_read() {
        let Ok(Said::Auth(key)) = decode(r#"{"type":"auth","apiKey":"blink_x"}"#) else {
            panic!("not an auth")
        };
        assert_eq!(key.expose_secret(), "blink_x");
        for (text, id) in [
            (
                r#"{"type":"subscribe","channel":"bot","botId":"bot_abc123"}"#.to_owned(),
                "bot:bot_abc123".to_owned(),
            ),
            (
                format!(r#"{{"type":"subscribe","channel":"price","mint":"{MINT}"}}"#),
                format!("price:{MINT}"),
            ),
            (
                format!(r#"{{"type":"unsubscribe","channel":"transactions","wallet":"{MINT}"}}"#),
                format!("transactions:{MINT}"),
            ),
        ] {
            assert_eq!(subject(&text).id(), id);
        }
        assert!(matches!(
            decode(r#" {"type":"ping","id":7} "#),
            Ok(Said::Ping)
        ));
    }

    #[test]
    fn answers_echo_the_field() {
        let price = subject(&format!(
            r#"{{"type":"subscribe","channel":"price","mint":"{MINT}"}}"#
        ));
        assert_snapshot!(subscribed(&price), @r#"{"type":"subscribed","channel":"price","mint":"EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"}"#);
        let bot = subject(r#"{"type":"subscribe","channel":"bot","botId":"bot_abc123"}"#);
        assert_snapshot!(unsubscribed(&bot), @r#"{"type":"unsubscribed","channel":"bot","botId":"bot_abc123"}"#);
        let now = Timestamp::from_millisecond(1_705_314_600_750).unwrap();
        assert_snapshot!(pong(now), @r#"{"type":"pong","timestamp":"2024-01-15T10:30:00Z"}"#);
    }

    #[test]
    fn what_is_no_message_is_invalid() {
        assert_snapshot!(error_of("hello"), @r#"{"type":"error","code":"INVALID_MESSAGE","message":"The message is not JSON"}"#);
        assert_snapshot!(error_of(r#"{"type":"ping""#), @r#"{"type":"error","code":"INVALID_MESSAGE","message":"The message is not JSON"}"#);
        assert_snapshot!(error_of(r#"["ping"]"#), @r#"{"type":"error","code":"INVALID_MESSAGE","message":"The message is not a JSON object"}"#);
        assert_snapshot!(error_of(r#"{"type":"ping","type":"ping"}"#), @r#"{"type":"error","code":"INVALID_MESSAGE","message":"A key of the message appears twice"}"#);
        assert_snapshot!(error_of("{}"), @r#"{"type":"error","code":"INVALID_MESSAGE","message":"`type` is missing"}"#);
        assert_snapshot!(error_of(r#"{"type":7}"#), @r#"{"type":"error","code":"INVALID_MESSAGE","message":"`type` is not a string"}"#);
    }

    #[test]
    fn what_is_unknown_or_missing_is_named() {
        assert_snapshot!(error_of(r#"{"type":"connect"}"#), @r#"{"type":"error","code":"UNKNOWN_TYPE","message":"Unknown type \"connect\", expected auth, subscribe, unsubscribe or ping"}"#);
        assert_snapshot!(error_of(r#"{"type":"auth"}"#), @r#"{"type":"error","code":"MISSING_FIELD","message":"`apiKey` is missing"}"#);
        assert_snapshot!(error_of(r#"{"type":"auth","apiKey":7}"#), @r#"{"type":"error","code":"INVALID_FIELD","message":"`apiKey` is not a string"}"#);
        assert_snapshot!(error_of(r#"{"type":"subscribe"}"#), @r#"{"type":"error","code":"MISSING_FIELD","message":"`channel` is missing"}"#);
        assert_snapshot!(error_of(r#"{"type":"subscribe","channel":"trades"}"#), @r#"{"type":"error","code":"UNKNOWN_CHANNEL","message":"Unknown channel, expected bot, price or transactions","channel":"trades"}"#);
        assert_snapshot!(error_of(r#"{"type":"subscribe","channel":"bot","mint":"x"}"#), @r#"{"type":"error","code":"MISSING_FIELD","message":"`botId` is missing","channel":"bot"}"#);
        assert_snapshot!(error_of(r#"{"type":"subscribe","channel":"price","mint":null}"#), @r#"{"type":"error","code":"MISSING_FIELD","message":"`mint` is missing","channel":"price"}"#);
        assert_snapshot!(error_of(r#"{"type":"subscribe","channel":"price","mint":7}"#), @r#"{"type":"error","code":"INVALID_FIELD","message":"`mint` is not a string","channel":"price"}"#);
        assert_snapshot!(error_of(r#"{"type":"subscribe","channel":"bot","botId":"abc"}"#), @r#"{"type":"error","code":"INVALID_FIELD","message":"`botId` is not the id of a bot, such as bot_abc123","channel":"bot","botId":"abc"}"#);
        assert_snapshot!(error_of(r#"{"type":"unsubscribe","channel":"transactions","wallet":"0x\"00"}"#), @r#"{"type":"error","code":"INVALID_FIELD","message":"`wallet` is not an address of Solana: 32 bytes in base58","channel":"transactions","wallet":"0x\"00"}"#);
    }

    #[test]
    fn what_is_told_back_is_short() {
        let long = "é".repeat(5000);
        for text in [
            format!(r#"{{"type":"{long}"}}"#),
            format!(r#"{{"type":"subscribe","channel":"{long}"}}"#),
            format!(r#"{{"type":"subscribe","channel":"price","mint":"{long}"}}"#),
        ] {
            assert!(error_of(&text).len() < 400, "{}", error_of(&text));
        }
    }

    #[test]
    fn a_token_goes_where_a_key_is_asked_for() {
        let of = |key: &str| credentials(key.to_owned().into());
        let brought = of("blink_x");
        assert_eq!(brought.api_key.unwrap().expose_secret(), "blink_x");
        let brought = of("a.b.c");
        assert!(brought.api_key.is_none());
        let authorization = brought.authorization.unwrap();
        assert_eq!(authorization.expose_secret(), "Bearer a.b.c");
    }

    fn manners(per_second: u32) -> Manners {
        Manners::of(&Tier {
            name: "test".to_owned(),
            subscriptions: 1,
            messages_per_second: NonZeroU32::new(per_second).unwrap(),
        })
    }

    /// What becomes of a message, as it is told: `done`, an error, or a close.
    fn said(manners: &mut Manners, text: &str) -> String {
        let told = RefCell::new(Vec::new());
        let said = read(Says::Text(text));
        let outcome = manners.mind(said, |text| told.borrow_mut().push(text.to_owned()));
        let mut told = told.into_inner();
        match outcome {
            Ok(Some(_)) => told.push("done".to_owned()),
            Ok(None) => {}
            Err(close) => told.push(close.reason()),
        }
        told.join(", ")
    }

    #[tokio::test(start_paused = true)]
    async fn who_speaks_too_fast_is_told_so_as_often_as_it_may_speak_and_then_closed() {
        let mut manners = manners(2);
        let subscribe = r#"{"type":"subscribe","channel":"bot","botId":"bot_1"}"#;
        assert_eq!(said(&mut manners, subscribe), "done");
        assert_eq!(said(&mut manners, subscribe), "done");
        assert_snapshot!(said(&mut manners, subscribe), @r#"{"type":"error","code":"RATE_LIMITED","message":"Too many messages, the next one may come in 501 ms","channel":"bot","botId":"bot_1"}"#);
        assert!(said(&mut manners, "{}").contains("RATE_LIMITED"));
        assert_eq!(said(&mut manners, subscribe), "Too many messages");
    }

    #[tokio::test(start_paused = true)]
    async fn who_slows_down_when_told_so_goes_on() {
        let mut manners = manners(2);
        for _ in 0..20 {
            while said(&mut manners, r#"{"type":"ping"}"#) == "done" {}
            tokio::time::advance(Duration::from_millis(501)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_speaks_something_else_altogether_is_closed() {
        let mut manners = manners(100);
        for _ in 1..STRANGE_IN_A_ROW {
            assert!(said(&mut manners, "hello").contains("INVALID_MESSAGE"));
        }
        assert_eq!(said(&mut manners, r#"{"type":"ping"}"#), "done");
        for _ in 1..STRANGE_IN_A_ROW {
            assert!(said(&mut manners, r#"{"type":"connect"}"#).contains("UNKNOWN_TYPE"));
        }
        assert!(said(&mut manners, "{}").ends_with("Invalid message received: 10 in a row"));
        let binary = manners.mind(read(Says::Binary(b"{}")), |_| {});
        let close = binary.expect_err("messages are text");
        assert_eq!(Protocol::AllenHark.close_code(&close), Some(4400));
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read_and_answered_with_json(text in "\\PC{0,60}|[{}\\[\\]\",:a-z0-9]{0,60}") {
            if let Err(complaint) = decode(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&complaint.encode()).is_ok());
            }
        }
    }
}
