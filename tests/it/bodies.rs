//! What producers publish, and what clients ask to hear of it.

use std::time::{Duration, SystemTime};

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use serde_json::{Value, json};

/// Asks for the number of each price in US dollars (see [`price`]).
pub(crate) const DOLLARS: &str = r#"subscription { realtimePrice(input: { currency: "USD" }) { realtimePrice { btcSatPrice { base } } } }"#;

/// Asks for prices in the currency of the variables.
pub(crate) const REALTIME_PRICE: &str = "subscription ($input: RealtimePriceInput!) \
    { realtimePrice(input: $input) { realtimePrice { btcSatPrice { base } } errors { message } } }";

/// Asks for payments, each by the number that it has as its memo, and for prices.
pub(crate) const MY_UPDATES: &str = "subscription { myUpdates { update { __typename \
    ... on LnUpdate { transaction { memo } } \
    ... on IntraLedgerUpdate { transaction { memo } } \
    ... on OnChainUpdate { transaction { memo status } } \
    ... on RealtimePrice { btcSatPrice { base } } } } }";

/// The body of `PRICE_UPDATE_<currency>`, for a currency of two digits: the price whose
/// `btcSatPrice.base` is this number.
pub(crate) fn price(number: u64) -> String {
    price_with(number, &json!({})).to_string()
}

/// The same with more keys.
pub(crate) fn price_with(number: u64, more: &Value) -> Value {
    let mut body = json!({ "timestamp": "2024-01-15T10:30:00.000Z", "pricePerSat": number as f64 / 1e14, "pricePerUsdCent": 0.01 });
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("it is one").extend(more);
    body
}

/// The body of `USER_PRICE_UPDATE_<currency>`.
pub(crate) fn user_price(number: u64) -> String {
    json!({ "realtimePrice": price_with(number, &json!({})) }).to_string()
}

/// The number of a price in the payload of [`DOLLARS`] or [`REALTIME_PRICE`].
pub(crate) fn price_in(payload: &Value) -> u64 {
    payload["data"]["realtimePrice"]["realtimePrice"]["btcSatPrice"]["base"]
        .as_u64()
        .unwrap_or_else(|| panic!("no price in {payload}"))
}

/// The memo of a payment in the payload of [`MY_UPDATES`]; `None` for a price.
pub(crate) fn memo_in(payload: &Value) -> Option<&str> {
    payload["data"]["myUpdates"]["update"]["transaction"]["memo"].as_str()
}

/// The body of `ACCOUNT_UPDATE_<account>`, for a Lightning receipt with this memo.
pub(crate) fn ln_receipt(memo: &str) -> String {
    let via = json!({ "type": "lightning", "paymentHash": "bf".repeat(32), "pubkey": "" });
    let settlement = json!({ "type": "lightning" });
    json!({ "invoice": {
        "walletId": WALLET,
        "paymentHash": "bf".repeat(32),
        "status": "Paid",
        "transaction": transaction(&via, &settlement, "success", memo),
    }})
    .to_string()
}

/// The same for an intraledger receipt.
pub(crate) fn intraledger_receipt(memo: &str) -> String {
    let via = json!({ "type": "intraledger", "counterPartyWalletId": WALLET, "counterPartyUsername": "alice" });
    json!({ "intraLedger": {
        "walletId": WALLET,
        "txNotificationType": "intra_ledger_receipt",
        "amount": 1000,
        "currency": "BTC",
        "displayAmount": "0.44",
        "displayCurrency": "USD",
        "displayCurrencyPerSat": 4.36e+22,
        "sats": 1000,
        "transaction": transaction(&via, &via, "success", memo),
    }})
    .to_string()
}

/// The same for an on-chain receipt that is `pending`, or confirmed.
pub(crate) fn on_chain_receipt(memo: &str, pending: bool) -> String {
    let via = json!({ "type": "onchain", "address": "bcrt1q" });
    let settlement = json!({ "type": "onchain", "transactionHash": "cd".repeat(32), "vout": 0 });
    let (notification, status) = match pending {
        true => ("onchain_receipt_pending", "pending"),
        false => ("onchain_receipt", "success"),
    };
    json!({ "transaction": {
        "walletId": WALLET,
        "txNotificationType": notification,
        // Redis turns big integers into strings.
        "amount": "50000",
        "currency": "BTC",
        "displayAmount": "21.82",
        "displayCurrency": "USD",
        "displayCurrencyPerSat": 4.36e+22,
        "txHash": "cd".repeat(32),
        "transaction": transaction(&via, &settlement, status, memo),
    }})
    .to_string()
}

const WALLET: &str = "6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01";

fn transaction(via: &Value, settlement: &Value, status: &str, memo: &str) -> Value {
    json!({
        "createdAt": "2023-11-21T01:49:38.375Z",
        "id": "655cd1926445716f60b89418",
        "walletId": WALLET,
        "initiationVia": via,
        "settlementVia": settlement,
        "memo": memo,
        "settlementAmount": 2707,
        "settlementFee": 0,
        "settlementCurrency": "BTC",
        "settlementDisplayAmount": "1.00",
        "settlementDisplayFee": "0.00",
        "settlementDisplayPrice": { "base": "36941263391", "offset": "12", "displayCurrency": "USD", "walletCurrency": "BTC" },
        "status": status,
    })
}

/// A real invoice, of the network `regtest`.
pub(crate) struct Invoice {
    pub(crate) request: String,
    pub(crate) hash: String,
    pub(crate) preimage: String,
}

impl Invoice {
    /// One that nobody else has, valid for as long as this from now on.
    pub(crate) fn valid_for(expiry: Duration) -> Self {
        Self::made(SystemTime::now(), expiry)
    }

    /// One that expired an hour ago.
    pub(crate) fn expired() -> Self {
        let hour = Duration::from_secs(3600);
        Self::made(SystemTime::now() - 2 * hour, hour)
    }

    fn made(at: SystemTime, expiry: Duration) -> Self {
        let preimage = random();
        let hash = sha256::Hash::hash(&preimage);
        let node = SecretKey::from_slice(&[7; 32]).expect("it is a key");
        let invoice = InvoiceBuilder::new(Currency::Regtest)
            .description("tea".to_owned())
            .amount_milli_satoshis(2_100_000)
            .payment_hash(hash)
            .payment_secret(PaymentSecret(random()))
            .timestamp(at)
            .expiry_time(expiry)
            .min_final_cltv_expiry_delta(144)
            .build_signed(|message| Secp256k1::new().sign_ecdsa_recoverable(message, &node))
            .expect("all that an invoice must have is there");
        Invoice {
            request: invoice.to_string(),
            hash: hash.to_string(),
            preimage: preimage.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// One that is valid for an hour.
    pub(crate) fn new() -> Self {
        Self::valid_for(Duration::from_secs(3600))
    }

    /// `LN_PAYMENT_STATUS_<hash>`
    pub(crate) fn channel(&self) -> String {
        format!("LN_PAYMENT_STATUS_{}", self.hash)
    }

    /// A body with the request in it, as servers publish it.
    pub(crate) fn told(&self, status: &str) -> String {
        json!({ "paymentHash": self.hash, "paymentRequest": self.request, "status": status })
            .to_string()
    }

    /// The body that Blink's core publishes: without the request.
    pub(crate) fn paid(&self) -> String {
        json!({ "paymentHash": self.hash, "paymentPreimage": self.preimage, "status": "Paid" })
            .to_string()
    }

    /// Asks for all of it, by the request.
    pub(crate) fn by_request(&self) -> String {
        format!(
            r#"subscription {{ lnInvoicePaymentStatusByPaymentRequest(input: {{ paymentRequest: "{}" }}) {{ {STATUS} }} }}"#,
            self.request
        )
    }

    /// Asks for all of it, by the hash.
    pub(crate) fn by_hash(&self) -> String {
        format!(
            r#"subscription {{ lnInvoicePaymentStatusByHash(input: {{ paymentHash: "{}" }}) {{ {STATUS} }} }}"#,
            self.hash
        )
    }

    /// What the payload of [`Invoice::by_request`] or [`Invoice::by_hash`] is in this state.
    pub(crate) fn in_state(&self, field: &str, status: &str) -> Value {
        let preimage = (status == "PAID").then_some(&self.preimage);
        json!({ "data": { field: {
            "errors": [],
            "status": status,
            "paymentHash": self.hash,
            "paymentRequest": self.request,
            "paymentPreimage": preimage,
        }}})
    }
}

/// All that is told of an invoice.
const STATUS: &str = "errors { message code } status paymentHash paymentRequest paymentPreimage";

/// Root fields of subscriptions to invoices.
pub(crate) const BY_REQUEST: &str = "lnInvoicePaymentStatusByPaymentRequest";
pub(crate) const BY_HASH: &str = "lnInvoicePaymentStatusByHash";

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}
