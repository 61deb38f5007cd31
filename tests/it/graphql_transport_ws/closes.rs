//! What closes a connection, with which code and reason.

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::{PRICE, next, publish_price};
use crate::client::{CLOSE, Client, Raw};
use crate::tidings::Tidings;

/// Nobody listens there: keys of such a bus cannot be checked, for as long as `auth.timeout`.
const NO_REDIS: (&str, &str) = ("TIDINGS_BUS__URL", "redis://127.0.0.1:1");
const A_KEY: &str = r#"{"type":"connection_init","payload":{"X-API-KEY":"blink_aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"}}"#;

/// Sends a frame after the acknowledgement, and expects 4400 for this reason.
async fn is_invalid(server: &Tidings, frame: &str, reason: &str) {
    let mut client = server.anonymous().await;
    client.send(frame).await;
    let closed = client.closed().await;
    let expected = (4400, format!("Invalid message received: {reason}"));
    assert_eq!(closed, expected, "{frame}");
}

#[tokio::test]
async fn what_is_not_a_json_object_closes_4400() {
    let server = Tidings::start().await;
    for frame in [
        "hello",
        "",
        " ",
        "{",
        r#"{"type":"ping"} x"#,
        r#"{"type":'ping'}"#,
        "{\"type\":\"ping\"}\n{\"type\":\"ping\"}",
    ] {
        is_invalid(&server, frame, "not JSON").await;
    }
    for frame in ["[]", r#"[{"type":"ping"}]"#, "null", "1", r#""ping""#] {
        is_invalid(&server, frame, "not a JSON object").await;
    }
}

#[tokio::test]
async fn a_type_that_is_none_closes_4400() {
    let server = Tidings::start().await;
    is_invalid(&server, "{}", "`type` is missing").await;
    is_invalid(&server, r#"{"type":null}"#, "`type` is missing").await;
    is_invalid(&server, r#"{"type":1}"#, "`type` is not a string").await;
    is_invalid(
        &server,
        r#"{"type":"hello"}"#,
        "`hello` is no type of message",
    )
    .await;
    is_invalid(
        &server,
        r#"{"type":"PING"}"#,
        "`PING` is no type of message",
    )
    .await;
    is_invalid(
        &server,
        r#"{"type":"next","id":"1","payload":{}}"#,
        "`next` is for servers to send",
    )
    .await;
    is_invalid(
        &server,
        r#"{"type":"connection_ack"}"#,
        "`connection_ack` is for servers to send",
    )
    .await;
    is_invalid(
        &server,
        r#"{"type":"ping","type":"ping"}"#,
        "a key appears twice",
    )
    .await;
}

#[tokio::test]
async fn an_id_that_is_none_closes_4400() {
    let server = Tidings::start().await;
    for (id, reason) in [
        ("", "`id` is missing"),
        (r#""id":null,"#, "`id` is missing"),
        (r#""id":"","#, "`id` is empty"),
        (r#""id":1,"#, "`id` is not a string"),
        (r#""id":["1"],"#, "`id` is not a string"),
    ] {
        is_invalid(&server, &format!(r#"{{{id}"type":"complete"}}"#), reason).await;
        let subscribe = format!(r#"{{{id}"type":"subscribe","payload":{{"query":"{{ a }}"}}}}"#);
        is_invalid(&server, &subscribe, reason).await;
    }
}

#[tokio::test]
async fn a_payload_of_the_wrong_type_closes_4400() {
    let server = Tidings::start().await;
    for payload in [r#""x""#, "1", "[]", "true"] {
        for (start, of) in [
            (r#""type":"ping""#, "ping"),
            (r#""type":"pong""#, "pong"),
            (r#""type":"subscribe","id":"1""#, "subscribe"),
        ] {
            let frame = format!(r#"{{{start},"payload":{payload}}}"#);
            is_invalid(
                &server,
                &frame,
                &format!("`payload` of {of} is not an object"),
            )
            .await;
        }
        let mut client = server.connect().await;
        client
            .send(&format!(
                r#"{{"type":"connection_init","payload":{payload}}}"#
            ))
            .await;
        let reason = "Invalid message received: `payload` of connection_init is not an object";
        assert_eq!(client.closed().await, (4400, reason.to_owned()));
    }
}

#[tokio::test]
async fn a_subscribe_without_a_request_closes_4400() {
    let server = Tidings::start().await;
    for (payload, reason) in [
        ("null", "`payload` of subscribe is missing"),
        ("{}", "`payload.query` is missing"),
        (r#"{"query":null}"#, "`payload.query` is missing"),
        (r#"{"query":1}"#, "`payload.query` is not a string"),
        (
            r#"{"query":"{ a }","variables":[]}"#,
            "`payload.variables` is not an object",
        ),
        (
            r#"{"query":"{ a }","variables":"{}"}"#,
            "`payload.variables` is not an object",
        ),
        (
            r#"{"query":"{ a }","operationName":1}"#,
            "`payload.operationName` is not a string",
        ),
        (
            r#"{"query":"{ a }","extensions":1}"#,
            "`payload.extensions` is not an object",
        ),
    ] {
        let frame = format!(r#"{{"id":"1","type":"subscribe","payload":{payload}}}"#);
        is_invalid(&server, &frame, reason).await;
    }
}

#[tokio::test]
async fn a_binary_frame_closes_4400_before_the_init_and_after_it() {
    let server = Tidings::start().await;
    for mut client in [server.connect().await, server.anonymous().await] {
        client
            .send_message(Message::binary(r#"{"type":"ping"}"#))
            .await;
        let reason = "Invalid message received: a binary frame, messages are text";
        assert_eq!(client.closed().await, (4400, reason.to_owned()));
    }
}

#[tokio::test]
async fn an_invalid_message_before_the_init_closes_4400_too() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    client.send("hello").await;
    assert_eq!(
        client.closed().await,
        (4400, "Invalid message received: not JSON".to_owned())
    );
}

#[tokio::test]
async fn a_subscribe_before_the_acknowledgement_closes_4401() {
    let server = Tidings::start().await;
    let mut client = server.connect().await;
    client.subscribe("1", PRICE).await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".to_owned()));
}

#[tokio::test]
async fn while_an_init_is_checked_a_subscribe_closes_4401_and_an_init_4429_but_a_ping_is_answered()
{
    let server = Tidings::start_with(&[NO_REDIS, ("TIDINGS_AUTH__TIMEOUT", "60s")]).await;
    let mut client = server.connect().await;
    client.send(A_KEY).await;
    // Also what a client may do at any time, which is nothing.
    client.complete("1").await;
    assert_eq!(client.fence().await, [""; 0]);
    client.subscribe("1", PRICE).await;
    assert_eq!(client.closed().await, (4401, "Unauthorized".to_owned()));

    let mut client = server.connect().await;
    client.send(A_KEY).await;
    client.send(r#"{"type":"connection_init"}"#).await;
    assert_eq!(
        client.closed().await,
        (4429, "Too many initialisation requests".to_owned())
    );
}

#[tokio::test]
async fn credentials_that_cannot_be_checked_in_time_close_1013_whatever_the_init_timeout() {
    let server = Tidings::start_with(&[
        NO_REDIS,
        ("TIDINGS_AUTH__TIMEOUT", "600ms"),
        ("TIDINGS_LIMITS__INIT_TIMEOUT", "300ms"),
    ])
    .await;
    let mut client = server.connect().await;
    client.send(A_KEY).await;
    let reason = "Credentials cannot be checked now, try again later";
    assert_eq!(client.closed().await, (1013, reason.to_owned()));
    // Nobody needs Redis to be nobody.
    server.anonymous().await;
}

#[tokio::test]
async fn bad_credentials_close_4403() {
    let server = Tidings::start().await;
    for payload in [
        r#"{"X-API-KEY":"nonsense"}"#,
        r#"{"X-API-KEY":7}"#,
        r#"{"x-api-key":"blink_aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"}"#,
        r#"{"Authorization":"Bearer a.b.c"}"#,
    ] {
        let mut client = server.connect().await;
        client
            .send(&format!(
                r#"{{"type":"connection_init","payload":{payload}}}"#
            ))
            .await;
        assert_eq!(
            client.closed().await,
            (4403, "Forbidden".to_owned()),
            "{payload}"
        );
    }
}

#[tokio::test]
async fn no_subprotocol_and_an_unknown_one_are_accepted_and_closed_4406() {
    let server = Tidings::start().await;
    for subprotocols in [
        None,
        Some("graphql-ws2"),
        Some("GRAPHQL-TRANSPORT-WS"),
        Some("graphql-transport-ws2, mqtt"),
    ] {
        let mut client = Client::connect(server.address(), subprotocols).await;
        assert_eq!(client.subprotocol, None);
        assert_eq!(
            client.closed().await,
            (4406, "Subprotocol not acceptable".to_owned()),
            "{subprotocols:?}"
        );
    }
}

#[tokio::test]
async fn of_several_subprotocols_ours_is_chosen() {
    let server = Tidings::start().await;
    for subprotocols in [
        "graphql-transport-ws,graphql-ws",
        "graphql-ws, graphql-transport-ws",
        "mqtt , graphql-transport-ws",
    ] {
        let mut client = Client::connect(server.address(), Some(subprotocols)).await;
        assert_eq!(
            client.subprotocol.as_deref(),
            Some("graphql-transport-ws"),
            "{subprotocols}"
        );
        client.init("{}").await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_say_init_in_time_is_closed_4408() {
    let server = Tidings::start_with(&[("TIDINGS_LIMITS__INIT_TIMEOUT", "200ms")]).await;
    let mut client = server.connect().await;
    // To speak of something else does not help.
    assert_eq!(client.fence().await, [""; 0]);
    assert_eq!(
        client.closed().await,
        (4408, "Connection initialisation timeout".to_owned())
    );
}

#[tokio::test]
async fn an_id_that_is_in_use_closes_4409() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.subscribe("a b", PRICE).await;
    client.subscribe("a b", PRICE).await;
    assert_eq!(
        client.closed().await,
        (4409, "Subscriber for a b already exists".to_owned())
    );
}

#[tokio::test]
async fn a_reason_over_123_bytes_is_cut_at_a_character_and_its_frame_is_well_formed() {
    let server = Tidings::start().await;
    let mut client = Raw::connect(server.address()).await;
    client.text(r#"{"type":"connection_init"}"#).await;
    assert_eq!(
        client.frame().await.unwrap().payload,
        br#"{"type":"connection_ack"}"#
    );
    let id = "é".repeat(200);
    let subscribe = serde_json::json!({"type": "subscribe", "id": id, "payload": {"query": PRICE}});
    client.text(&subscribe.to_string()).await;
    client.text(&subscribe.to_string()).await;
    let frame = client.frame().await.unwrap();
    assert_eq!(frame.first, CLOSE);
    let (code, reason) = frame.payload.split_at(2);
    assert_eq!(code, 4409u16.to_be_bytes());
    let fits = 123 - "Subscriber for ".len();
    let expected = format!("Subscriber for {}", "é".repeat(fits / 2));
    assert_eq!(std::str::from_utf8(reason), Ok(expected.as_str()));
}

#[tokio::test]
async fn a_second_init_closes_4429() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    client.send(r#"{"type":"connection_init"}"#).await;
    assert_eq!(
        client.closed().await,
        (4429, "Too many initialisation requests".to_owned())
    );
}

#[tokio::test]
async fn a_message_over_the_limit_closes_1009_and_one_of_just_the_limit_does_not() {
    let server = Tidings::start().await;
    let ping = |bytes: usize| {
        format!(
            r#"{{"type":"ping"{}}}"#,
            " ".repeat(bytes - r#"{"type":"ping"}"#.len())
        )
    };
    let mut client = server.anonymous().await;
    client.send(&ping(65_536)).await;
    assert_eq!(client.text().await, r#"{"type":"pong"}"#);
    client.send(&ping(65_537)).await;
    assert_eq!(client.closed().await, (1009, "Message too big".to_owned()));

    // In pieces, none of which is too big.
    let mut client = server.anonymous().await;
    for (opcode, is_last) in [
        (OpCode::Data(Data::Text), false),
        (OpCode::Data(Data::Continue), true),
    ] {
        let piece = Frame::message(vec![b' '; 40_000], opcode, is_last);
        client.send_message(Message::Frame(piece)).await;
    }
    assert_eq!(client.closed().await, (1009, "Message too big".to_owned()));
}

#[tokio::test]
async fn a_message_far_over_the_limit_closes_1009_while_it_is_still_being_sent() {
    let server = Tidings::start().await;
    let mut client = Raw::connect(server.address()).await;
    client.send(0x81, &vec![b' '; 8 * 1024 * 1024]).await;
    let frame = client
        .frame()
        .await
        .expect("a close frame, not the end of the connection");
    assert_eq!(
        (frame.first, &frame.payload[..2]),
        (CLOSE, &1009u16.to_be_bytes()[..])
    );
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_1007() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let text = Frame::message(
        b"{\"type\":\"\xff\"}".to_vec(),
        OpCode::Data(Data::Text),
        true,
    );
    client.send_message(Message::Frame(text)).await;
    assert_eq!(
        client.closed().await,
        (1007, "Text that is not UTF-8".to_owned())
    );
}

#[tokio::test]
async fn what_is_not_websocket_closes_1002() {
    let server = Tidings::start().await;
    let mut client = Raw::connect(server.address()).await;
    // An opcode that there is not.
    client.send(0x83, b"{}").await;
    let frame = client.frame().await.unwrap();
    assert_eq!(
        (frame.first, &frame.payload[..2]),
        (CLOSE, &1002u16.to_be_bytes()[..])
    );
}

#[tokio::test]
async fn a_close_of_the_client_is_answered() {
    let server = Tidings::start().await;
    let mut client = Raw::connect(server.address()).await;
    client.send(CLOSE, &1000u16.to_be_bytes()).await;
    let frame = client.frame().await.unwrap();
    assert_eq!(
        (frame.first, &frame.payload[..2]),
        (CLOSE, &1000u16.to_be_bytes()[..])
    );
    assert_eq!(client.frame().await, None);
}

#[tokio::test]
async fn a_close_leaves_the_other_connections_alone() {
    let server = Tidings::start().await;
    let mut stays = server.anonymous().await;
    stays.subscribe("1", PRICE).await;
    let mut goes = server.anonymous().await;
    goes.subscribe("1", PRICE).await;
    goes.send("hello").await;
    assert_eq!(goes.closed().await.0, 4400);
    server.until_metric("tidings_subscriptions", 1.0).await;
    publish_price(&server).await;
    assert_eq!(stays.text().await, next("1", super::PRICE_RESULT));
}

#[tokio::test]
async fn a_server_that_stops_closes_1001() {
    let mut server = Tidings::start().await;
    let mut early = server.connect().await;
    let mut client = server.anonymous().await;
    client.subscribe("1", PRICE).await;
    assert_eq!(client.fence().await, [""; 0]);
    server.signal("TERM");
    for client in [&mut early, &mut client] {
        assert_eq!(client.closed().await, (1001, "Going away".to_owned()));
    }
    assert_eq!(server.exit_code().await, Some(0));
}
