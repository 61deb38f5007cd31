//! `ACCOUNT_UPDATE_<account>`: payments that reach an account or leave it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::number::{number, optional_number};
use super::tagged::tagged;
use super::timestamp::timestamp;
use super::{Cause, InvoiceStatus, PriceTick, from_json, shared};

/// What happened to an account. Shared, because every rendering of it holds a part.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountUpdate {
    /// `{"invoice": …}`: a Lightning payment was received.
    Invoice(Arc<LnUpdate>),
    /// `{"intraLedger": …}`
    IntraLedger(Arc<IntraLedgerUpdate>),
    /// `{"transaction": …}`: on-chain.
    Transaction(Arc<OnChainUpdate>),
    /// `{"price": …}`, in US cents.
    Price(Arc<PriceTick>),
    /// `{"realtimePrice": …}`
    RealtimePrice(Arc<PriceTick>),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LnUpdate {
    pub wallet_id: String,
    pub payment_hash: String,
    pub status: InvoiceStatus,
    #[serde(deserialize_with = "shared")]
    pub transaction: Arc<WalletTransaction>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntraLedgerUpdate {
    pub wallet_id: String,
    pub tx_notification_type: TxNotificationType,
    /// In minor units of the wallet's currency.
    #[serde(deserialize_with = "number")]
    pub amount: f64,
    #[serde(default, deserialize_with = "optional_number")]
    pub display_currency_per_sat: Option<f64>,
    #[serde(deserialize_with = "shared")]
    pub transaction: Arc<WalletTransaction>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnChainUpdate {
    pub wallet_id: String,
    pub tx_notification_type: TxNotificationType,
    /// In minor units of the wallet's currency.
    #[serde(deserialize_with = "number")]
    pub amount: f64,
    #[serde(default, deserialize_with = "optional_number")]
    pub display_currency_per_sat: Option<f64>,
    /// Absent when a payment that was initiated on-chain settled intraledger.
    #[serde(default)]
    pub tx_hash: Option<String>,
    #[serde(deserialize_with = "shared")]
    pub transaction: Arc<WalletTransaction>,
}

/// Why an account is told of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum TxNotificationType {
    #[serde(rename = "onchain_receipt")]
    OnchainReceipt,
    #[serde(rename = "onchain_receipt_pending")]
    OnchainReceiptPending,
    #[serde(rename = "onchain_payment")]
    OnchainPayment,
    /// Spelled so in the schema, for good.
    #[serde(rename = "paid-invoice")]
    LigtningReceipt,
    #[serde(rename = "intra_ledger_receipt")]
    IntraLedgerReceipt,
    #[serde(rename = "intra_ledger_payment")]
    IntraLedgerPayment,
}

/// One entry of a wallet's ledger, as in Blink's webhooks.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletTransaction {
    pub id: String,
    #[serde(deserialize_with = "timestamp")]
    pub created_at: jiff::Timestamp,
    #[serde(deserialize_with = "tagged")]
    pub initiation_via: InitiationVia,
    #[serde(deserialize_with = "tagged")]
    pub settlement_via: SettlementVia,
    /// Signed, in minor units of `settlement_currency`.
    #[serde(deserialize_with = "number")]
    pub settlement_amount: f64,
    #[serde(deserialize_with = "number")]
    pub settlement_fee: f64,
    pub settlement_currency: WalletCurrency,
    /// In major units of the display currency: "1.00".
    pub settlement_display_amount: String,
    pub settlement_display_fee: String,
    pub settlement_display_price: SettlementPrice,
    pub status: TransactionStatus,
    #[serde(default)]
    pub memo: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
}

/// The price of one minor unit of the wallet in minor units of the display currency.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettlementPrice {
    #[serde(deserialize_with = "number")]
    pub base: f64,
    #[serde(deserialize_with = "number")]
    pub offset: f64,
    pub display_currency: String,
}

/// How a payment was asked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum InitiationVia {
    IntraLedger {
        #[serde(default)]
        counter_party_wallet_id: Option<String>,
        #[serde(default)]
        counter_party_username: Option<String>,
    },
    Lightning {
        payment_hash: String,
        #[serde(default)]
        payment_request: Option<String>,
    },
    OnChain {
        #[serde(default)]
        address: Option<String>,
    },
}

/// How a payment was settled.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum SettlementVia {
    IntraLedger {
        #[serde(default)]
        counter_party_wallet_id: Option<String>,
        #[serde(default)]
        counter_party_username: Option<String>,
        #[serde(default)]
        pre_image: Option<String>,
    },
    Lightning {
        #[serde(default)]
        revealed_pre_image: Option<String>,
    },
    OnChain {
        #[serde(default)]
        transaction_hash: Option<String>,
        #[serde(default)]
        vout: Option<i32>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WalletCurrency {
    Btc,
    Usd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransactionStatus {
    Pending,
    Success,
    Failure,
}

impl AccountUpdate {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Cause> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        enum Message<'a> {
            #[serde(deserialize_with = "shared")]
            Invoice(Arc<LnUpdate>),
            #[serde(deserialize_with = "shared")]
            IntraLedger(Arc<IntraLedgerUpdate>),
            #[serde(deserialize_with = "shared")]
            Transaction(Arc<OnChainUpdate>),
            /// Read by itself, because it must not be a list either. Prices are hardly ever told to
            /// one account.
            #[serde(borrow)]
            Price(&'a RawValue),
            #[serde(borrow)]
            RealtimePrice(&'a RawValue),
        }
        let tick = |json: &RawValue| {
            let payload = from_json(json.get().as_bytes())?;
            PriceTick::of_account(payload).map(Arc::new)
        };
        Ok(match from_json(body)? {
            Message::Invoice(update) => AccountUpdate::Invoice(update),
            Message::IntraLedger(update) => AccountUpdate::IntraLedger(update),
            Message::Transaction(update) => AccountUpdate::Transaction(update),
            Message::Price(json) => AccountUpdate::Price(tick(json)?),
            Message::RealtimePrice(json) => AccountUpdate::RealtimePrice(tick(json)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transaction that Blink's webhook documentation shows.
    const TRANSACTION: &str = r#"{"createdAt":"2023-11-21T01:49:38.375Z","id":"655cd1926445716f60b89418","walletId":"21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f","initiationVia":{"type":"lightning","paymentHash":"bf6b","pubkey":"d75a"},"settlementVia":{"type":"lightning"},"memo":null,"settlementAmount":2707,"settlementFee":0,"settlementCurrency":"BTC","settlementDisplayAmount":"1.00","settlementDisplayFee":"0.00","settlementDisplayPrice":{"base":"36941263391","offset":"12","displayCurrency":"USD","walletCurrency":"BTC"},"status":"success"}"#;

    fn decode(body: &str) -> Result<AccountUpdate, String> {
        AccountUpdate::decode(body.as_bytes()).map_err(|cause| cause.to_string())
    }

    #[test]
    fn a_lightning_receipt_is_read() {
        let body = format!(
            r#"{{"invoice":{{"walletId":"w","paymentHash":"h","status":"Paid","transaction":{TRANSACTION}}}}}"#
        );
        let Ok(AccountUpdate::Invoice(update)) = decode(&body) else {
            panic!("not an invoice")
        };
        assert_eq!(
            update.transaction.settlement_display_price.base,
            36_941_263_391.0
        );
        assert_eq!(update.transaction.created_at.as_second(), 1_700_531_378);
    }

    #[test]
    fn an_on_chain_receipt_is_read_with_a_big_integer_in_a_string() {
        let body = format!(
            r#"{{"transaction":{{"walletId":"w","txNotificationType":"onchain_receipt_pending","amount":"50000","currency":"BTC","displayAmount":"21.82","displayCurrency":"USD","displayCurrencyPerSat":4.36e+22,"txHash":"t","transaction":{TRANSACTION}}}}}"#
        );
        let Ok(AccountUpdate::Transaction(update)) = decode(&body) else {
            panic!("not on-chain")
        };
        assert_eq!(update.amount, 50_000.0);
        assert_eq!(
            update.tx_notification_type,
            TxNotificationType::OnchainReceiptPending
        );
    }

    #[test]
    fn a_message_of_no_known_kind_is_malformed() {
        assert!(
            decode(r#"{"surprise":{}}"#)
                .unwrap_err()
                .contains("unknown variant `surprise`")
        );
        assert!(decode("[]").is_err());
    }

    #[test]
    fn an_error_names_the_field() {
        let body = r#"{"invoice":{"walletId":"w","paymentHash":"h","status":"Paid","transaction":{"id":"x","createdAt":"yesterday"}}}"#;
        assert!(
            decode(body)
                .unwrap_err()
                .starts_with("invoice.transaction.createdAt"),
            "{}",
            decode(body).unwrap_err()
        );
    }
}
