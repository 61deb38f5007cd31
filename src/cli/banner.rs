//! What `tidings serve --demo` says: what to paste where.

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{mpsc, watch};

use crate::channels::websocks::WebsocksConfig;
use crate::demo::{Demo, DemoInvoice, DemoWebhooks};
use crate::topic::UserId;
use crate::transport::playground::DemoFacts;

/// Publishes made-up events, and says what to paste where; the playground is told, too.
pub(super) async fn run_demo(
    demo: Demo,
    address: std::net::SocketAddr,
    path: String,
    websocks: WebsocksConfig,
    facts: watch::Sender<Option<DemoFacts>>,
) {
    let (invoices, mut made) = mpsc::channel(1);
    let key = demo.key.expose_secret().to_owned();
    let account = demo.account;
    let rewards = rewards_banner(demo.user, &demo.token, address, &key);
    let blockdb = blockdb_banner(address, &key);
    let allenhark = allenhark_banner(&demo, address, &key);
    let webhooks = demo.webhooks.clone();
    let webhooks = webhooks.map_or_else(String::new, |webhooks| {
        webhooks_banner(&webhooks, address, &websocks)
    });
    let (api_key, token) = (demo.key.clone(), demo.token.clone());
    let tell = |invoice: &DemoInvoice| {
        facts.send_replace(Some(DemoFacts {
            api_key: api_key.clone(),
            token: token.clone(),
            payment_request: invoice.payment_request.clone(),
            payment_hash: invoice.payment_hash.clone(),
        }));
    };
    tokio::spawn(demo.run(invoices));
    let Some(invoice) = made.recv().await else {
        return;
    };
    tell(&invoice);
    // Without a playground nobody is left to tell.
    let playground = match facts.is_closed() {
        true => String::new(),
        false => format!("  Playground    http://{address}{path}     in a browser\n"),
    };
    let banner = banner(
        address,
        &path,
        &playground,
        &key,
        &account.to_string(),
        &invoice,
    );
    let _ = super::print(&(banner + &rewards + &webhooks + &blockdb + &allenhark));
    while let Some(invoice) = made.recv().await {
        tell(&invoice);
        let _ = super::print(&format!("  next invoice  {}\n", invoice.payment_request));
    }
}

fn banner(
    address: std::net::SocketAddr,
    path: &str,
    playground: &str,
    key: &str,
    account: &str,
    invoice: &DemoInvoice,
) -> String {
    format!(
        r#"
Tidings {version}, a demo: prices, payments and rewards are made up, and nothing is kept.

{playground}  WebSocket     ws://{address}{path}     subprotocol graphql-transport-ws
  HTTP          http://{address}{path}     POST, GET, event streams, multipart
  API key       {key}
  Account       {account}
  Invoice       {request}
                (pending for 15 seconds, then paid)

In another terminal:

  websocat -v --protocol graphql-transport-ws ws://{address}{path}

and then, line by line:

  {{"type":"connection_init","payload":{{"X-API-KEY":"{key}"}}}}
  {{"id":"1","type":"subscribe","payload":{{"query":"subscription {{ realtimePrice(input: {{ currency: \"EUR\" }}) {{ realtimePrice {{ timestamp btcSatPrice {{ base offset }} }} errors {{ message }} }} }}"}}}}
  {{"id":"2","type":"subscribe","payload":{{"query":"subscription {{ myUpdates {{ update {{ type: __typename ... on LnUpdate {{ status transaction {{ settlementAmount }} }} ... on OnChainUpdate {{ txNotificationType transaction {{ status settlementAmount }} }} ... on IntraLedgerUpdate {{ transaction {{ settlementAmount }} }} }} }} }}"}}}}
  {{"id":"3","type":"subscribe","payload":{{"query":"subscription {{ lnInvoicePaymentStatusByPaymentRequest(input: {{ paymentRequest: \"{request}\" }}) {{ status paymentPreimage errors {{ message }} }} }}"}}}}
  {{"id":"1","type":"complete"}}

or without a WebSocket:

  curl -N -H 'Accept: text/event-stream' -H 'X-API-KEY: {key}' http://{address}{path} \
    --get --data-urlencode 'query=subscription {{ myUpdates {{ update {{ type: __typename ... on RealtimePrice {{ timestamp }} }} }} }}'
"#,
        version = env!("CARGO_PKG_VERSION"),
        request = invoice.payment_request,
    )
}

fn rewards_banner(
    user: UserId,
    token: &SecretString,
    address: std::net::SocketAddr,
    key: &str,
) -> String {
    format!(
        r#"
For the user {user} of the reward program, who owns the account:

  Token         {token}
                (good for a day)

in a session of its own:

  {{"type":"connection_init","payload":{{"connection_id":"demo-1","Authorization":"Bearer {token}"}}}}
  {{"id":"1","type":"subscribe","payload":{{"query":"subscription {{ StatusUpdate {{ Type Timestamp UserID Data }} }}"}}}}

Who is connected:

  TIDINGS_KEY={key} tidings connections list --url http://{address}

"#,
        token = token.expose_secret(),
    )
}

fn allenhark_banner(demo: &Demo, address: std::net::SocketAddr, key: &str) -> String {
    let Demo {
        bot, wallet, mint, ..
    } = demo;
    format!(
        r#"
A bot that trades, prices of mints, transactions of a wallet, as AllenHark tells them:

  websocat --ping-interval 30 ws://{address}/v1/ws

and then, line by line:

  {{"type":"auth","apiKey":"{key}"}}
  {{"type":"subscribe","channel":"bot","botId":"{bot}"}}
  {{"type":"subscribe","channel":"price","mint":"{mint}"}}
  {{"type":"subscribe","channel":"transactions","wallet":"{wallet}"}}
  {{"type":"unsubscribe","channel":"price","mint":"{mint}"}}
  {{"type":"ping"}}

"#
    )
}

fn blockdb_banner(address: std::net::SocketAddr, key: &str) -> String {
    format!(
        r#"
A chain that grows by a block every four seconds, as BlockDB tells it:

  websocat -H 'Authorization: Bearer {key}' ws://{address}/v1/evm/

and then, line by line:

  {{"action":"subscribe","chain_id":1,"dataset_id":"0101","params":{{}}}}
  {{"action":"subscribe","chain_id":1,"dataset_id":"0304","params":{{"transfer_types":["native"]}}}}
  {{"action":"unsubscribe","chain_id":1,"dataset_id":"0101"}}

"#
    )
}

fn webhooks_banner(
    webhooks: &DemoWebhooks,
    address: std::net::SocketAddr,
    config: &WebsocksConfig,
) -> String {
    format!(
        r#"
Webhooks that are posted to the account, and one every few seconds that is made up:

  Webhook URL   {url}{slug}
  Webhook token {token}

  curl {url}{slug} --json '{{"event":"user.signup","email":"test@example.com"}}'

are heard by event streams, and by WebSockets:

  curl -N 'http://{address}/api/events/stream?token={token}'
  websocat 'ws://{address}{path}?token={token}'

in a page, too, wherever it comes from:

  new EventSource('http://{address}/api/events/stream?token={token}').onmessage = (event) => console.log(JSON.parse(event.data))

"#,
        url = config.intake_url(address),
        slug = webhooks.slug.reveal(),
        token = webhooks.token.expose_secret(),
        path = config.path,
    )
}
