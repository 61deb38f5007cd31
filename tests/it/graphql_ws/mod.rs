//! The protocol before `graphql-transport-ws`, rule by rule, against the built server.
//!
//! Its text is `PROTOCOL.md` of <https://github.com/apollographql/subscriptions-transport-ws>. What it leaves
//! open is as the clients have it that are still in use: that package, and Apollo's apps.

mod acknowledgement;
mod closes;
mod introductions;
mod operations;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Closed};
use crate::tidings::Tidings;

const KEEP_ALIVE: &str = r#"{"type":"ka"}"#;

const ACCOUNT: &str = "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51";

/// Connects with the subprotocol, and says nothing yet.
async fn connect(server: &Tidings) -> Client {
    Client::connect(server.address(), Some("graphql-ws")).await
}

/// Connects and is let in.
async fn let_in(server: &Tidings, payload: &Value) -> Client {
    let mut client = connect(server).await;
    client.init(&payload.to_string()).await;
    assert_eq!(client.text().await, KEEP_ALIVE);
    client
}

/// Connects and is let in, without credentials.
async fn anonymous(server: &Tidings) -> Client {
    let_in(server, &json!({})).await
}

async fn start(client: &mut Client, id: &str, query: &str) {
    let start = json!({ "id": id, "type": "start", "payload": { "query": query } });
    client.send(&start.to_string()).await;
}

async fn stop(client: &mut Client, id: &str) {
    let stop = json!({ "id": id, "type": "stop" });
    client.send(&stop.to_string()).await;
}

/// The next message that says something.
async fn heard(client: &mut Client) -> String {
    loop {
        let text = client.text().await;
        if text != KEEP_ALIVE {
            return text;
        }
    }
}

/// The payload of the next message, which is of this type and of the operation with this id.
async fn payload(client: &mut Client, kind: &str, id: &str) -> Value {
    let text = heard(client).await;
    let mut message: Value = serde_json::from_str(&text).expect("messages are JSON");
    assert_eq!(message["type"], kind, "{text}");
    assert_eq!(message["id"], id, "{text}");
    message["payload"].take()
}

async fn completed(client: &mut Client, id: &str) {
    let complete = format!(r#"{{"id":"{id}","type":"complete"}}"#);
    assert_eq!(heard(client).await, complete);
}

/// Shows that all was answered that was said, and with nothing that was not read yet: there is no ping in
/// this protocol, so it is one of WebSocket.
async fn fence(client: &mut Client) {
    client.send_message(Message::Ping("fence".into())).await;
    loop {
        match client.message().await {
            Some(Message::Pong(_)) => return,
            Some(Message::Ping(_)) => {}
            Some(Message::Text(text)) if text == KEEP_ALIVE => {}
            other => panic!("{other:?} where nothing was expected"),
        }
    }
}

/// What a client is told that is not let in, and how it is closed.
async fn refused(client: &mut Client) -> (String, Closed) {
    let (mut texts, closed) = client.closed_after_all().await;
    let text = texts.pop().expect("it is told why");
    assert_eq!(texts, [""; 0]);
    let said: Value = serde_json::from_str(&text).expect("messages are JSON");
    assert_eq!(said["type"], "connection_error", "{text}");
    let message = said["payload"]["message"].as_str();
    (message.expect("a message").to_owned(), closed)
}
