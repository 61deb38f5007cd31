//! The payments of the account that a key belongs to (prices in its currency, too), with the crate `graphql-ws-client`:
//!
//!     TIDINGS_KEY=blink_… cargo run --example graphql_ws_client
use async_tungstenite::tokio::connect_async;
use async_tungstenite::tungstenite::{client::IntoClientRequest, http::HeaderValue};
use futures_util::StreamExt;
use graphql_ws_client::{Client, graphql::GraphqlOperation};
use serde_json::{Value, json};

/// A document. With cynic or graphql_client, which this crate knows of, its results have types.
#[derive(serde::Serialize)]
struct Ask {
    query: &'static str,
}

impl GraphqlOperation for Ask {
    type Response = Value;
    type Error = serde_json::Error;

    fn decode(&self, result: Value) -> Result<Value, serde_json::Error> {
        Ok(result)
    }
}

const UPDATES: &str = "subscription { myUpdates { errors { message } update { __typename \
    ... on RealtimePrice { btcSatPrice { base offset } } \
    ... on LnUpdate { status transaction { settlementAmount settlementCurrency } } \
    ... on OnChainUpdate { txNotificationType transaction { status settlementAmount } } \
    ... on IntraLedgerUpdate { transaction { settlementAmount memo } } } } }";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("TIDINGS_WS_URL").unwrap_or("ws://127.0.0.1:4000/graphql".to_owned());
    let mut request = url.into_client_request()?;
    let subprotocol = HeaderValue::from_static("graphql-transport-ws");
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", subprotocol);
    let (socket, _) = connect_async(request).await?;

    let payload = json!({ "X-API-KEY": std::env::var("TIDINGS_KEY")? });
    let client = Client::build(socket).payload(payload)?;
    let mut updates = client.subscribe(Ask { query: UPDATES }).await?;
    while let Some(update) = updates.next().await {
        println!("{}", update?);
    }
    Ok(())
}
