//! What clients see of an event.

use std::sync::Arc;

use async_graphql::{Context, EmptyMutation, EmptySubscription, Object, Request, Schema};
use insta::assert_snapshot;

use super::*;
use crate::accounts;
use crate::event::{self, Event, InvoiceUpdate, PriceTick, PriceUpdate};
use crate::graphql::scalars::Origin;
use crate::topic::{AccountId, PaymentHash, Topic};

const ACCOUNT: &str = "ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f";
const BTC_WALLET: u128 = 0x1b9d6bcd_bbfd_4b2d_9b5d_ab8dfbbd4bed;
const USD_WALLET: u128 = 0x2b9d6bcd_bbfd_4b2d_9b5d_ab8dfbbd4bed;

const TICK: &str = r#"{"timestamp":"2023-12-22T15:16:11.999Z","currency":{"code":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2,"countryCodes":["US"]},"displayCurrency":"USD","pricePerSat":0.000436441484375,"pricePerUsdCent":0.01}"#;
const BARE_TICK: &str = r#"{"displayCurrency":"USD","pricePerSat":0.000436441484375}"#;

/// Tells the event of the request, as each subscription would.
struct Telling;

#[Object]
impl Telling {
    async fn my_updates(&self, ctx: &Context<'_>) -> Option<MyUpdatesPayload> {
        MyUpdatesPayload::of(ctx.data_unchecked(), ctx.data_unchecked::<User>().clone())
    }

    async fn price(&self, ctx: &Context<'_>, input: PriceInput) -> PricePayload {
        let Event::Price(update) = ctx.data_unchecked() else {
            panic!("not a price")
        };
        match input.sats(Origin::Literal) {
            Ok(sats) => PricePayload::of_update(update, sats),
            Err(error) => PricePayload::error(error),
        }
    }

    async fn realtime_price(
        &self,
        ctx: &Context<'_>,
        input: RealtimePriceInput,
    ) -> RealtimePricePayload {
        let Event::Price(update) = ctx.data_unchecked() else {
            panic!("not a price")
        };
        match input.currency(*ctx.data_unchecked()) {
            Ok(_) => RealtimePricePayload::of_update(update),
            Err(error) => RealtimePricePayload::error(error),
        }
    }

    async fn by_request(
        &self,
        ctx: &Context<'_>,
        input: LnInvoicePaymentStatusInput,
    ) -> async_graphql::Result<LnInvoicePaymentStatusPayload> {
        let Event::Invoice(update) = ctx.data_unchecked() else {
            panic!("not an invoice")
        };
        let request = input.payment_request;
        request.check().map_err(|invalid| invalid.thrown())?;
        let payload = LnInvoicePaymentStatusPayload::of_update(update, Some(request));
        Ok(payload)
    }

    async fn by_hash(
        &self,
        ctx: &Context<'_>,
        input: LnInvoicePaymentStatusByHashInput,
    ) -> async_graphql::Result<LnInvoicePaymentStatusPayload> {
        let Event::Invoice(update) = ctx.data_unchecked() else {
            panic!("not an invoice")
        };
        let invalid = input.payment_hash.check().err();
        invalid.map_or(Ok(()), |invalid| Err(invalid.thrown()))?;
        Ok(LnInvoicePaymentStatusPayload::of_update(update, None))
    }

    async fn status(&self, ctx: &Context<'_>) -> Option<LnInvoicePaymentStatus> {
        match ctx.data_unchecked() {
            Event::Invoice(InvoiceUpdate::State(state)) => {
                Some(LnInvoicePaymentStatus::of(state, None))
            }
            _ => None,
        }
    }
}

/// The answer to a query about what was published on a channel.
fn told(channel: &str, body: &str, query: &str) -> String {
    answer(ask(channel, body, query))
}

/// A request of an account that the directory knows.
fn ask(channel: &str, body: &str, query: &str) -> Request {
    let topic = Topic::of_channel(channel).unwrap();
    Request::new(query)
        .data(Event::decode(&topic, body.as_bytes()).unwrap())
        .data(User::of(account_id(), Some(Arc::new(account()))))
        .data(Origin::Literal)
}

fn answer(request: Request) -> String {
    let schema = complete(Schema::build(Telling, EmptyMutation, EmptySubscription)).finish();
    let response = run(schema.execute(request));
    serde_json::to_string(&response).unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

fn account_id() -> AccountId {
    AccountId::parse("21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f").unwrap()
}

fn account() -> accounts::Account {
    let wallet = |id, currency, balance| accounts::Wallet {
        id: uuid::Uuid::from_u128(id),
        currency,
        balance,
        pending_incoming_balance: Some(0),
    };
    accounts::Account {
        id: account_id(),
        username: Some("satoshi".to_owned()),
        display_currency: crate::topic::Currency::USD,
        level: accounts::AccountLevel::One,
        default_wallet_id: uuid::Uuid::from_u128(BTC_WALLET),
        wallets: vec![
            wallet(BTC_WALLET, event::WalletCurrency::Btc, Some(-2707)),
            wallet(USD_WALLET, event::WalletCurrency::Usd, None),
        ],
    }
}

/// The transaction that Blink's webhook documentation shows, with other ways and amount.
fn transaction(initiation: &str, settlement: &str, amount: i64) -> String {
    format!(
        r#"{{"createdAt":"2023-11-21T01:49:38.375Z","id":"655cd1926445716f60b89418","walletId":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","initiationVia":{initiation},"settlementVia":{settlement},"memo":null,"settlementAmount":{amount},"settlementFee":0,"settlementCurrency":"BTC","settlementDisplayAmount":"1.00","settlementDisplayFee":"0.00","settlementDisplayPrice":{{"base":"36941263391","offset":"12","displayCurrency":"USD","walletCurrency":"BTC"}},"status":"success"}}"#
    )
}

fn hash() -> String {
    "bf".repeat(32)
}

fn ln_update() -> String {
    let initiation = format!(
        r#"{{"type":"lightning","paymentHash":"{}","pubkey":"d75a"}}"#,
        hash()
    );
    let settlement = r#"{"type":"lightning","revealedPreImage":"5ec4e7"}"#;
    let transaction = transaction(&initiation, settlement, 2707);
    let hash = hash();
    format!(
        r#"{{"invoice":{{"walletId":"21087d73","paymentHash":"{hash}","status":"Paid","transaction":{transaction}}}}}"#
    )
}

fn on_chain_update(tx_hash: &str, settlement: &str) -> String {
    let transaction = transaction(r#"{"type":"onchain"}"#, settlement, -50000);
    format!(
        r#"{{"transaction":{{"walletId":"21087d73","txNotificationType":"onchain_payment","amount":-50000,"currency":"BTC"{tx_hash},"transaction":{transaction}}}}}"#
    )
}

#[test]
fn a_lightning_receipt_is_told_as_in_the_contract() {
    let query = "{ myUpdates { errors { message } me { id } update { __typename ... on LnUpdate {
        paymentHash status walletId transaction { id direction status settlementAmount } } } } }";
    assert_snapshot!(told(ACCOUNT, &ln_update(), query), @r#"{"data":{"myUpdates":{"errors":[],"me":{"id":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f"},"update":{"__typename":"LnUpdate","paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf","status":"PAID","walletId":"21087d73","transaction":{"id":"655cd1926445716f60b89418","direction":"RECEIVE","status":"SUCCESS","settlementAmount":2707}}}}}"#);
}

#[test]
fn all_fields_of_a_transaction_are_told() {
    let query = "{ myUpdates { update { ... on LnUpdate { transaction {
        createdAt externalId memo settlementCurrency settlementFee
        settlementDisplayAmount settlementDisplayCurrency settlementDisplayFee
        settlementPrice { base offset currencyUnit formattedAmount }
        initiationVia { ... on InitiationViaLn { paymentHash paymentRequest } }
        settlementVia { ... on SettlementViaLn { preImage paymentSecret successAction { tag } } }
    } } } } }";
    assert_snapshot!(told(ACCOUNT, &ln_update(), query), @r#"{"data":{"myUpdates":{"update":{"transaction":{"createdAt":1700531378,"externalId":null,"memo":null,"settlementCurrency":"BTC","settlementFee":0,"settlementDisplayAmount":"1.00","settlementDisplayCurrency":"USD","settlementDisplayFee":"0.00","settlementPrice":{"base":36941263391,"offset":12,"currencyUnit":"MINOR","formattedAmount":"0.036941263391"},"initiationVia":{"paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf","paymentRequest":""},"settlementVia":{"preImage":"5ec4e7","paymentSecret":"5ec4e7","successAction":null}}}}}}"#);
}

#[test]
fn a_request_that_was_not_published_is_looked_up() {
    let query = "{ myUpdates { update { ... on LnUpdate { transaction { initiationVia {
        ... on InitiationViaLn { paymentRequest } } } } } } }";
    let find = |asked: &PaymentHash| (asked.as_str() == hash()).then(|| "lnbc1".to_owned());
    let request = ask(ACCOUNT, &ln_update(), query).data(InvoiceRequests(Arc::new(find)));
    assert_snapshot!(answer(request), @r#"{"data":{"myUpdates":{"update":{"transaction":{"initiationVia":{"paymentRequest":"lnbc1"}}}}}}"#);
}

#[test]
fn an_update_that_no_fragment_is_for_is_an_empty_object() {
    let query = "{ myUpdates { update { ... on OnChainUpdate { txHash } } } }";
    assert_snapshot!(told(ACCOUNT, &ln_update(), query), @r#"{"data":{"myUpdates":{"update":{}}}}"#);
    let query = "{ myUpdates { update { ... on LnUpdate { transaction { initiationVia {
        ... on InitiationViaOnChain { address } } direction } } } } }";
    assert_snapshot!(told(ACCOUNT, &ln_update(), query), @r#"{"data":{"myUpdates":{"update":{"transaction":{"initiationVia":{},"direction":"RECEIVE"}}}}}"#);
}

const ON_CHAIN: &str = "{ myUpdates { me { id } update { __typename
    ... on OnChainUpdate { txNotificationType txHash amount displayCurrencyPerSat usdPerSat walletId
        transaction { direction initiationVia { ... on InitiationViaOnChain { address } }
            settlementVia { ... on SettlementViaOnChain { transactionHash vout arrivalInMempoolEstimatedAt } } } }
    ... on IntraLedgerUpdate { txNotificationType amount displayCurrencyPerSat usdPerSat walletId
        transaction { settlementVia { ... on SettlementViaIntraLedger { counterPartyWalletId counterPartyUsername preImage } } } }
} } }";

#[test]
fn an_on_chain_payment_is_told_with_its_absolute_amount_and_the_settlement_price() {
    let settlement = r#"{"type":"onchain","transactionHash":"f00d","vout":1}"#;
    let body = on_chain_update(r#","txHash":"beef""#, settlement);
    assert_snapshot!(told(ACCOUNT, &body, ON_CHAIN), @r#"{"data":{"myUpdates":{"me":{"id":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f"},"update":{"__typename":"OnChainUpdate","txNotificationType":"OnchainPayment","txHash":"beef","amount":50000,"displayCurrencyPerSat":0.036941263391,"usdPerSat":0.036941263391,"walletId":"21087d73","transaction":{"direction":"SEND","initiationVia":{"address":"<no-address>"},"settlementVia":{"transactionHash":"f00d","vout":1,"arrivalInMempoolEstimatedAt":null}}}}}}"#);
}

#[test]
fn a_published_price_of_a_sat_is_passed_through() {
    let settlement = r#"{"type":"onchain","transactionHash":"f00d"}"#;
    let body = on_chain_update(
        r#","txHash":"beef","displayCurrencyPerSat":4.36e+22"#,
        settlement,
    );
    let query =
        "{ myUpdates { update { ... on OnChainUpdate { displayCurrencyPerSat usdPerSat } } } }";
    assert_snapshot!(told(ACCOUNT, &body, query), @r#"{"data":{"myUpdates":{"update":{"displayCurrencyPerSat":4.36e+22,"usdPerSat":4.36e+22}}}}"#);
}

#[test]
fn an_on_chain_payment_without_a_hash_has_that_of_its_settlement() {
    let settlement = r#"{"type":"onchain","transactionHash":"f00d"}"#;
    let query = "{ myUpdates { update { __typename ... on OnChainUpdate { txHash } } } }";
    assert_snapshot!(told(ACCOUNT, &on_chain_update("", settlement), query), @r#"{"data":{"myUpdates":{"update":{"__typename":"OnChainUpdate","txHash":"f00d"}}}}"#);
}

#[test]
fn an_on_chain_payment_that_settled_in_the_ledger_is_told_so_and_not_as_null() {
    let settlement =
        r#"{"type":"intraledger","counterPartyWalletId":"w","counterPartyUsername":"hal"}"#;
    assert_snapshot!(told(ACCOUNT, &on_chain_update("", settlement), ON_CHAIN), @r#"{"data":{"myUpdates":{"me":{"id":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f"},"update":{"__typename":"IntraLedgerUpdate","txNotificationType":"OnchainPayment","amount":50000,"displayCurrencyPerSat":0.036941263391,"usdPerSat":0.036941263391,"walletId":"21087d73","transaction":{"settlementVia":{"counterPartyWalletId":"w","counterPartyUsername":"hal","preImage":null}}}}}}"#);
}

#[test]
fn an_intraledger_receipt_is_told() {
    let transaction = transaction(
        r#"{"type":"intraledger","counterPartyWalletId":"w","counterPartyUsername":"hal"}"#,
        r#"{"type":"intraledger","counterPartyWalletId":"w","counterPartyUsername":null}"#,
        1000,
    );
    let body = format!(
        r#"{{"intraLedger":{{"walletId":"21087d73","txNotificationType":"intra_ledger_receipt","amount":"1000","currency":"BTC","displayAmount":"0.44","displayCurrency":"USD","displayCurrencyPerSat":0.0436,"sats":1000,"transaction":{transaction}}}}}"#
    );
    let query = "{ myUpdates { update { __typename ... on IntraLedgerUpdate {
        txNotificationType amount displayCurrencyPerSat walletId transaction { direction initiationVia {
            ... on InitiationViaIntraLedger { counterPartyWalletId counterPartyUsername } } } } } } }";
    assert_snapshot!(told(ACCOUNT, &body, query), @r#"{"data":{"myUpdates":{"update":{"__typename":"IntraLedgerUpdate","txNotificationType":"IntraLedgerReceipt","amount":1000,"displayCurrencyPerSat":0.0436,"walletId":"21087d73","transaction":{"direction":"RECEIVE","initiationVia":{"counterPartyWalletId":"w","counterPartyUsername":"hal"}}}}}}"#);
}

const PRICES: &str = "{ myUpdates { me { id } update { __typename
    ... on Price { base offset currencyUnit formattedAmount }
    ... on RealtimePrice { id timestamp denominatorCurrency
        denominatorCurrencyDetails { id symbol name flag fractionDigits }
        btcSatPrice { base offset currencyUnit } usdCentPrice { base offset currencyUnit } } } } }";

#[test]
fn a_price_in_cents_is_told_without_me() {
    let body = format!(r#"{{"price":{TICK}}}"#);
    assert_snapshot!(told("USER_PRICE_UPDATE_USD", &body, PRICES), @r#"{"data":{"myUpdates":{"me":null,"update":{"__typename":"Price","base":43644148438,"offset":12,"currencyUnit":"USDCENT","formattedAmount":"0.0436441484375"}}}}"#);
    assert_eq!(
        told(ACCOUNT, &body, PRICES),
        told("USER_PRICE_UPDATE_USD", &body, PRICES)
    );
}

#[test]
fn a_realtime_price_is_told_with_me() {
    let body = format!(r#"{{"realtimePrice":{TICK}}}"#);
    assert_snapshot!(told("USER_PRICE_UPDATE_USD", &body, PRICES), @r#"{"data":{"myUpdates":{"me":{"id":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f"},"update":{"__typename":"RealtimePrice","id":"a6e2abdb-431e-5455-81c1-92fbaccfb0de","timestamp":1703258171,"denominatorCurrency":"USD","denominatorCurrencyDetails":{"id":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2},"btcSatPrice":{"base":43644148438,"offset":12,"currencyUnit":"MINOR"},"usdCentPrice":{"base":1000000,"offset":6,"currencyUnit":"MINOR"}}}}}"#);
    assert_eq!(
        told(ACCOUNT, &body, PRICES),
        told("USER_PRICE_UPDATE_USD", &body, PRICES)
    );
}

#[test]
fn a_price_of_a_cent_that_was_not_published_is_missed_by_those_who_ask_for_it() {
    let body = format!(r#"{{"realtimePrice":{BARE_TICK}}}"#);
    let sat = "{ myUpdates { update { ... on RealtimePrice { btcSatPrice { base } } } } }";
    assert_snapshot!(told("USER_PRICE_UPDATE_USD", &body, sat), @r#"{"data":{"myUpdates":{"update":{"btcSatPrice":{"base":43644148438}}}}}"#);
    let cent = "{ myUpdates { update { ... on RealtimePrice { usdCentPrice { base } } } } }";
    assert_snapshot!(told("USER_PRICE_UPDATE_USD", &body, cent), @r#"{"data":{"myUpdates":{"update":null}},"errors":[{"message":"Price unavailable, please wait for a while and try again.","locations":[{"line":1,"column":47}],"path":["myUpdates","update","usdCentPrice"],"extensions":{"code":"PRICE_SERVICE_OFFLINE"}}]}"#);
}

#[test]
fn events_of_other_subscriptions_are_no_updates() {
    let query = "{ myUpdates { update { __typename } } }";
    assert_snapshot!(told("PRICE_UPDATE_USD", TICK, query), @r#"{"data":{"myUpdates":null}}"#);
}

const PRICE: &str =
    "price { base offset currencyUnit formattedAmount } errors { message code path }";

fn price(amount: &str, units: &str, body: &str) -> String {
    let query = format!("{{ price(input: {{ amount: {amount} {units} }}) {{ {PRICE} }} }}");
    told("PRICE_UPDATE_USD", body, &query)
}

#[test]
fn a_price_of_an_amount_is_told_as_the_docs_show_it() {
    let units = "amountCurrencyUnit: BTCSAT priceCurrencyUnit: USDCENT";
    assert_snapshot!(price("100", units, TICK), @r#"{"data":{"price":{"price":{"base":4364414843750,"offset":12,"currencyUnit":"USDCENT","formattedAmount":"4.3644148437500005"},"errors":[]}}}"#);
}

#[test]
fn a_price_beyond_53_bits_is_null_and_an_error_with_a_code() {
    let units = "amountCurrencyUnit: BTCSAT priceCurrencyUnit: USDCENT";
    assert_snapshot!(price("999999", units, TICK), @r#"{"data":{"price":{"price":null,"errors":[]}},"errors":[{"message":"SafeInt cannot represent non 53-bit signed integer value: 43644104793351560","locations":[{"line":1,"column":100}],"path":["price","price","base"],"extensions":{"code":"INVALID_INPUT"}}]}"#);
}

#[test]
fn a_price_that_cannot_be_is_told_in_band() {
    let units = "amountCurrencyUnit: BTCSAT priceCurrencyUnit: USDCENT";
    assert_snapshot!(price("1.5", units, TICK), @r#"{"data":{"price":{"price":null,"errors":[{"message":"Invalid type for SatAmount","code":null,"path":null}]}}}"#);
    assert_snapshot!(price("1000000", units, TICK), @r#"{"data":{"price":{"price":null,"errors":[{"message":"Unsupported exchange amount","code":null,"path":null}]}}}"#);
    let swapped = "amountCurrencyUnit: USDCENT priceCurrencyUnit: BTCSAT";
    assert_snapshot!(price("1000000", swapped, TICK), @r#"{"data":{"price":{"price":null,"errors":[{"message":"Unsupported exchange unit","code":null,"path":null}]}}}"#);
    assert_snapshot!(price("1", units, "{}"), @r#"{"data":{"price":{"price":null,"errors":[{"message":"No price info","code":null,"path":null}]}}}"#);
    let offline =
        r#"{"errors":[{"message":"Price unavailable","code":"OFFLINE","path":["a",null]}]}"#;
    assert_snapshot!(price("1", units, offline), @r#"{"data":{"price":{"price":null,"errors":[{"message":"Price unavailable","code":"OFFLINE","path":["a",null]}]}}}"#);
}

fn realtime_price(input: &str, body: &str) -> String {
    let query = format!(
        "{{ realtimePrice(input: {input}) {{ realtimePrice {{ id btcSatPrice {{ base offset }} }}
            errors {{ code message path }} }} }}"
    );
    told("PRICE_UPDATE_USD", body, &query)
}

#[test]
fn a_realtime_price_is_told_as_the_docs_show_it() {
    let told = realtime_price("{}", TICK);
    assert_snapshot!(told, @r#"{"data":{"realtimePrice":{"realtimePrice":{"id":"a6e2abdb-431e-5455-81c1-92fbaccfb0de","btcSatPrice":{"base":43644148438,"offset":12}},"errors":[]}}}"#);
    assert_eq!(realtime_price(r#"{ currency: "usd" }"#, TICK), told);
}

#[test]
fn a_realtime_price_of_no_currency_is_told_in_band() {
    assert_snapshot!(realtime_price("{ currency: null }", TICK), @r#"{"data":{"realtimePrice":{"realtimePrice":null,"errors":[{"code":"INVALID_INPUT","message":"Invalid currency.","path":null}]}}}"#);
    assert_snapshot!(realtime_price("{ currency: 7 }", TICK), @r#"{"data":{"realtimePrice":{"realtimePrice":null,"errors":[{"code":null,"message":"Invalid type for Currency","path":null}]}}}"#);
    assert_snapshot!(realtime_price(r#"{ currency: "€€€" }"#, TICK), @r#"{"data":{"realtimePrice":{"realtimePrice":null,"errors":[{"code":"INVALID_INPUT","message":"Invalid currency.","path":null}]}}}"#);
    assert_snapshot!(realtime_price("{}", BARE_TICK), @r#"{"data":{"realtimePrice":{"realtimePrice":null,"errors":[{"code":null,"message":"No price info","path":null}]}}}"#);
}

#[test]
fn a_currency_in_a_variable_may_be_absent_or_null() {
    let query = "query($input: RealtimePriceInput!) { realtimePrice(input: $input) { errors { message } } }";
    let with = |input: serde_json::Value| {
        let variables = serde_json::json!({ "input": input });
        answer(
            ask("PRICE_UPDATE_USD", TICK, query)
                .data(Origin::Variable)
                .variables(async_graphql::Variables::from_json(variables)),
        )
    };
    assert_snapshot!(with(serde_json::json!({})), @r#"{"data":{"realtimePrice":{"errors":[]}}}"#);
    assert_snapshot!(with(serde_json::json!({"currency": null})), @r#"{"data":{"realtimePrice":{"errors":[{"message":"Invalid currency."}]}}}"#);
    assert_snapshot!(with(serde_json::json!({"currency": 7})), @r#"{"data":{"realtimePrice":{"errors":[{"message":"Invalid type for DisplayCurrency"}]}}}"#);
}

fn invoice(field: &str, body: &str) -> Request {
    let fields = "status paymentHash paymentRequest paymentPreimage";
    let query = match field {
        "status" => format!("{{ status {{ {fields} }} }}"),
        field => format!("{{ {field} {{ errors {{ message code }} {fields} }} }}"),
    };
    ask(&format!("LN_PAYMENT_STATUS_{}", hash()), body, &query)
}

#[test]
fn a_paid_invoice_is_told_with_the_request_in_the_askers_spelling() {
    let body = r#"{"status":"Paid","paymentPreimage":"5ec4e7"}"#;
    let field = r#"byRequest(input: { paymentRequest: "LNBC1X" })"#;
    assert_snapshot!(answer(invoice(field, body)), @r#"{"data":{"byRequest":{"errors":[],"status":"PAID","paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf","paymentRequest":"LNBC1X","paymentPreimage":"5ec4e7"}}}"#);
}

#[test]
fn an_invoice_that_is_asked_by_hash_has_the_published_request_or_one_that_is_looked_up() {
    let field = format!(r#"byHash(input: {{ paymentHash: "{}" }})"#, hash());
    let body = r#"{"status":"Pending","paymentRequest":"lnbc1x"}"#;
    assert_snapshot!(answer(invoice(&field, body)), @r#"{"data":{"byHash":{"errors":[],"status":"PENDING","paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf","paymentRequest":"lnbc1x","paymentPreimage":null}}}"#);
    let body = r#"{"status":"Expired"}"#;
    assert_snapshot!(answer(invoice(&field, body)), @r#"{"data":{"byHash":{"errors":[],"status":"EXPIRED","paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf","paymentRequest":null,"paymentPreimage":null}}}"#);
    let find = InvoiceRequests(Arc::new(|_: &PaymentHash| Some("lnbc1y".to_owned())));
    assert_snapshot!(answer(invoice(&field, body).data(find)), @r#"{"data":{"byHash":{"errors":[],"status":"EXPIRED","paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf","paymentRequest":"lnbc1y","paymentPreimage":null}}}"#);
    assert_snapshot!(answer(invoice("status", body)), @r#"{"data":{"status":{"status":"EXPIRED","paymentHash":"bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf","paymentRequest":null,"paymentPreimage":null}}}"#);
}

#[test]
fn an_invoice_that_is_none_is_an_error() {
    let body = r#"{"errors":[{"message":"Invalid lightning request, couldn't decode.","code":"INVOICE_DECODE_ERROR"}]}"#;
    let field = format!(r#"byHash(input: {{ paymentHash: "{}" }})"#, hash());
    assert_snapshot!(answer(invoice(&field, body)), @r#"{"data":{"byHash":{"errors":[{"message":"Invalid lightning request, couldn't decode.","code":"INVOICE_DECODE_ERROR"}],"status":null,"paymentHash":null,"paymentRequest":null,"paymentPreimage":null}}}"#);
    let field = r#"byHash(input: { paymentHash: "bf" })"#;
    assert_snapshot!(answer(invoice(field, body)), @r#"{"data":null,"errors":[{"message":"Invalid value for PaymentHash","locations":[{"line":1,"column":3}],"path":["byHash"],"extensions":{"code":"INVALID_INPUT"}}]}"#);
}

fn me(fields: &str) -> Request {
    let query = format!("{{ myUpdates {{ me {{ {fields} }} update {{ __typename }} }} }}");
    ask(ACCOUNT, &ln_update(), &query)
}

#[test]
fn me_is_the_account() {
    let fields = "id username defaultAccount { id displayCurrency level defaultWalletId
        defaultWallet { id currency walletCurrency } wallets { __typename id accountId walletCurrency } }";
    assert_snapshot!(answer(me(fields)), @r#"{"data":{"myUpdates":{"me":{"id":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","username":"satoshi","defaultAccount":{"id":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","displayCurrency":"USD","level":"ONE","defaultWalletId":"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed","defaultWallet":{"id":"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed","currency":"BTC","walletCurrency":"BTC"},"wallets":[{"__typename":"BTCWallet","id":"1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed","accountId":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","walletCurrency":"BTC"},{"__typename":"UsdWallet","id":"2b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed","accountId":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","walletCurrency":"USD"}]}},"update":{"__typename":"LnUpdate"}}}}"#);
}

#[test]
fn a_wallet_is_found_by_its_id() {
    let by_id = |id: &str| {
        answer(me(&format!(
            r#"defaultAccount {{ walletById(walletId: "{id}") {{ balance pendingIncomingBalance }} }}"#
        )))
    };
    assert_snapshot!(by_id("1B9D6BCD-bbfd-4b2d-9b5d-ab8dfbbd4bed"), @r#"{"data":{"myUpdates":{"me":{"defaultAccount":{"walletById":{"balance":-2707,"pendingIncomingBalance":0}}},"update":{"__typename":"LnUpdate"}}}}"#);
    assert_snapshot!(by_id("3b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"), @r#"{"data":{"myUpdates":{"me":null,"update":{"__typename":"LnUpdate"}}},"errors":[{"message":"Wallet not found","locations":[{"line":1,"column":37}],"path":["myUpdates","me","defaultAccount","walletById"],"extensions":{"code":"NOT_FOUND"}}]}"#);
    assert_snapshot!(by_id("savings"), @r#"{"data":{"myUpdates":{"me":null,"update":{"__typename":"LnUpdate"}}},"errors":[{"message":"Invalid value for WalletId","locations":[{"line":1,"column":37}],"path":["myUpdates","me","defaultAccount","walletById"],"extensions":{"code":"INVALID_INPUT"}}]}"#);
    // The balance of this one is not known.
    assert_snapshot!(by_id("2b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"), @r#"{"data":{"myUpdates":{"me":null,"update":{"__typename":"LnUpdate"}}},"errors":[{"message":"Balance not found","locations":[{"line":1,"column":100}],"path":["myUpdates","me","defaultAccount","walletById","balance"],"extensions":{"code":"NOT_FOUND"}}]}"#);
}

#[test]
fn an_account_that_the_directory_does_not_know_has_an_id_and_no_more() {
    let stranger = || User::of(account_id(), None);
    assert_snapshot!(answer(me("id username").data(stranger())), @r#"{"data":{"myUpdates":{"me":{"id":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","username":null},"update":{"__typename":"LnUpdate"}}}}"#);
    assert_snapshot!(answer(me("id defaultAccount { id }").data(stranger())), @r#"{"data":{"myUpdates":{"me":null,"update":{"__typename":"LnUpdate"}}},"errors":[{"message":"Account not found","locations":[{"line":1,"column":23}],"path":["myUpdates","me","defaultAccount"],"extensions":{"code":"NOT_FOUND"}}]}"#);
}

#[test]
fn an_account_has_the_latest_price_of_its_currency_when_there_is_one() {
    let fields = "defaultAccount { realtimePrice { btcSatPrice { base } } }";
    assert_snapshot!(answer(me(fields)), @r#"{"data":{"myUpdates":{"me":null,"update":{"__typename":"LnUpdate"}}},"errors":[{"message":"Price unavailable, please wait for a while and try again.","locations":[{"line":1,"column":37}],"path":["myUpdates","me","defaultAccount","realtimePrice"],"extensions":{"code":"PRICE_SERVICE_OFFLINE"}}]}"#);
    let latest = |currency| {
        let topic = Topic::Price(currency);
        match Event::decode(&topic, TICK.as_bytes()) {
            Ok(Event::Price(PriceUpdate::Tick(tick))) => Some(tick) as Option<Arc<PriceTick>>,
            _ => None,
        }
    };
    assert_snapshot!(answer(me(fields).data(LatestPrices(Arc::new(latest)))), @r#"{"data":{"myUpdates":{"me":{"defaultAccount":{"realtimePrice":{"btcSatPrice":{"base":43644148438}}}},"update":{"__typename":"LnUpdate"}}}}"#);
}
