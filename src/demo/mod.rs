//! Made-up events for a first look: prices that move, an account that receives payments and webhooks, a user
//! of a reward program, a bot that trades, and a chain.
//!
//! They are published like a producer's: on the same channels, in the same bodies.

mod chain;
mod market;
mod rewards;
mod webhooks;

pub use self::webhooks::DemoWebhooks;

use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::Algorithm;
use lightning_invoice::{Currency as Network, InvoiceBuilder, PaymentSecret};
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};
use uuid::Uuid;

use self::chain::Chain;
use self::market::{Mints, Trade};
use self::rewards::Progress;
use crate::accounts::{Account, AccountLevel, Wallet};
use crate::auth::mint::{self, Claims, MintError, SigningKey};
use crate::auth::{ApiKey, BotRecord, ClaimNames, IssuerConfig, KeyPrefix, KeyRecord, Scope};
use crate::currency::CurrencyDetails;
use crate::event::WalletCurrency;
use crate::hub::Hub;
use crate::ingest::webhooks::Intake;
use crate::store::{Store, StoreError};
use crate::topic::{AccountId, BotId, Currency, PaymentHash, SolanaAddress, Topic, UserId};

/// How often prices move.
const TICK: Duration = Duration::from_secs(1);
/// Between two payments to the account.
const PAYMENT: Duration = Duration::from_secs(4);
/// From a payment's being seen on-chain to its confirmation.
const CONFIRMATION: Duration = Duration::from_secs(2);
/// From an invoice's making to its payment, and from there to the next invoice.
const INVOICE: Duration = Duration::from_secs(15);
/// Between two things that happen to the user of the reward program.
const REWARD: Duration = Duration::from_secs(5);

/// Between two blocks of the chain.
const BLOCK_TIME: Duration = Duration::from_secs(4);

/// Between two trades of the bot.
const TRADE: Duration = Duration::from_secs(3);
/// From a transaction's being processed to its being confirmed, and from there to its being final.
const BLOCK: Duration = Duration::from_millis(400);
/// Every so many trades fail.
const FAILS: u64 = 5;

/// The user of the reward program.
const USER: i64 = 42;
/// Who issues its token, and how long that lasts: a day of trying things out.
const ISSUER: &str = "tidings demo";
const TOKEN_LASTS: SignedDuration = SignedDuration::from_hours(24);

/// What one bitcoin costs at first, in each currency.
const PRICES: [(&str, f64); 5] = [
    ("USD", 97_250.0),
    ("EUR", 92_100.0),
    ("CRC", 49_350_000.0),
    ("JPY", 15_020_000.0),
    ("KWD", 29_900.0),
];

/// Whose events these are, and the key to them.
pub struct Demo {
    pub account: AccountId,
    /// With the scopes `read`, `publish` and `admin`. Without a rewards user, so that it opens a
    /// connection as Blink's keys do, without a `connection_id`.
    pub key: SecretString,
    /// Who owns the account, in the reward program.
    pub user: UserId,
    /// The account's, and the wallet that it trades with.
    pub bot: BotId,
    pub wallet: SolanaAddress,
    /// A token that is traded.
    pub mint: SolanaAddress,
    /// A JSON Web Token of both, for the issuer that it was made with.
    pub token: SecretString,
    /// What is posted to the account, where somebody takes it in.
    pub webhooks: Option<Arc<DemoWebhooks>>,
    btc_wallet: Uuid,
    hub: Arc<Hub>,
}

/// Who issues the demo's tokens. Does not print.
#[derive(Debug)]
pub struct DemoIssuer(SecretString);

/// An invoice that is going to be paid.
#[derive(Clone, Debug)]
pub struct DemoInvoice {
    pub payment_request: String,
    pub payment_hash: PaymentHash,
    preimage: String,
    amount_sat: u64,
}

impl Demo {
    /// Makes the account and its key.
    pub async fn new(
        store: &Store,
        prefix: &KeyPrefix,
        issuer: &DemoIssuer,
        hub: Arc<Hub>,
        intake: Option<Arc<Intake>>,
    ) -> Result<Self, StoreError> {
        let (account, btc_wallet): (AccountId, _) = (Uuid::new_v4().into(), Uuid::new_v4());
        let wallet = |id, currency, balance| Wallet {
            id,
            currency,
            balance: Some(balance),
            pending_incoming_balance: Some(0),
        };
        let wallets = vec![
            wallet(btc_wallet, WalletCurrency::Btc, 210_000),
            wallet(Uuid::new_v4(), WalletCurrency::Usd, 5_000),
        ];
        let directory_entry = Account {
            id: account,
            username: Some("demo".to_owned()),
            display_currency: Currency::USD,
            level: AccountLevel::One,
            default_wallet_id: btc_wallet,
            wallets,
        };
        store.put_accounts(&[directory_entry]).await?;
        let bot = BotRecord {
            id: market::bot(),
            account,
            created_at: Timestamp::now(),
        };
        store.put_bot(&bot).await?;
        let scopes = [Scope::Read, Scope::Publish, Scope::Admin];
        let (_, key) = new_key(store, prefix, account, &scopes).await?;
        let webhooks = match intake {
            Some(intake) => {
                let webhooks = DemoWebhooks::new(store, prefix, account, intake);
                Some(Arc::new(webhooks.await?))
            }
            None => None,
        };
        let user = UserId::of_number(USER).expect("it is in range");
        let token = issuer.token(account, user);
        let token = token.expect("a secret signs whatever it is given");
        Ok(Demo {
            account,
            key,
            user,
            bot: bot.id,
            wallet: market::wallet(),
            mint: market::mint(),
            token,
            webhooks,
            btc_wallet,
            hub,
        })
    }

    /// Publishes until it is dropped. Each new invoice is told on `invoices`.
    pub async fn run(self, invoices: mpsc::Sender<DemoInvoice>) {
        tokio::join!(
            self.move_prices(),
            self.receive_payments(),
            self.receive_rewards(),
            self.move_mint_prices(),
            self.trade(),
            self.receive_webhooks(),
            self.grow_chain(),
            self.pay_invoices(invoices)
        );
    }

    async fn move_prices(&self) {
        let mut prices =
            PRICES.map(|(code, price)| (Currency::parse(code).expect("a code"), price));
        let mut tick = interval(TICK);
        loop {
            tick.tick().await;
            let dollars = prices[0].1;
            for (currency, price) in &mut prices {
                *price *= 1.0 + (random_unit() - 0.5) / 500.0;
                let payload = price_payload(*currency, *price, dollars);
                self.publish(Topic::Price(*currency), &payload).await;
                if *currency == Currency::USD {
                    self.publish(Topic::UserPrice(*currency), &json!({ "price": payload }))
                        .await;
                }
                self.publish(
                    Topic::UserPrice(*currency),
                    &json!({ "realtimePrice": payload }),
                )
                .await;
            }
        }
    }

    async fn receive_payments(&self) {
        let topic = || Topic::Account(self.account);
        for turn in 0u64.. {
            sleep(PAYMENT).await;
            let sats = 1_000 + (random_unit() * 99_000.0) as u64;
            match turn % 3 {
                0 => {
                    let preimage = random_bytes();
                    let hash = sha256::Hash::hash(&preimage).to_string();
                    self.publish(topic(), &self.ln_receipt(&hash, &hex(&preimage), sats))
                        .await;
                }
                1 => {
                    let hash = hex(&random_bytes());
                    for (notification, status) in [
                        ("onchain_receipt_pending", "pending"),
                        ("onchain_receipt", "success"),
                    ] {
                        let update = self.on_chain_receipt(&hash, notification, status, sats);
                        self.publish(topic(), &update).await;
                        if status == "pending" {
                            sleep(CONFIRMATION).await;
                        }
                    }
                }
                _ => self.publish(topic(), &self.intraledger_receipt(sats)).await,
            }
        }
    }

    async fn receive_rewards(&self) {
        let mut progress = Progress::of(self.user);
        loop {
            sleep(REWARD).await;
            self.publish(Topic::Rewards(self.user), &progress.next())
                .await;
        }
    }

    async fn move_mint_prices(&self) {
        let mut mints = Mints::new();
        let mut tick = interval(TICK);
        loop {
            tick.tick().await;
            for (mint, price) in mints.next_prices() {
                self.publish(Topic::MintPrice(mint), &price).await;
            }
        }
    }

    async fn trade(&self) {
        for turn in 1u64.. {
            sleep(TRADE).await;
            let trade = Trade::new(turn);
            self.carry_out(&trade, turn % FAILS == 0).await;
        }
    }

    async fn carry_out(&self, trade: &Trade, fails: bool) {
        let (bot, wallet) = (
            Topic::Bot(self.bot.clone()),
            Topic::Wallet(self.wallet.clone()),
        );
        let reaches = async |status| {
            let body = trade.transaction(status);
            self.publish(wallet.clone(), &body).await;
        };
        reaches("processed").await;
        sleep(BLOCK).await;
        if fails {
            reaches("failed").await;
            self.publish(bot, &trade.failed()).await;
        } else {
            reaches("confirmed").await;
            self.publish(bot, &trade.executed()).await;
            sleep(BLOCK).await;
            reaches("finalized").await;
        }
    }

    async fn receive_webhooks(&self) {
        if let Some(webhooks) = &self.webhooks {
            webhooks.run().await;
        }
    }

    async fn grow_chain(&self) {
        let mut chain = Chain::new();
        loop {
            sleep(BLOCK_TIME).await;
            for (dataset, record) in chain.next() {
                self.publish(chain::topic(dataset), &record).await;
            }
        }
    }

    async fn pay_invoices(&self, invoices: mpsc::Sender<DemoInvoice>) {
        loop {
            let invoice = DemoInvoice::make(2_100);
            let topic = Topic::Invoice(invoice.payment_hash.clone());
            let pending = json!({
                "paymentHash": invoice.payment_hash.as_str(),
                "paymentRequest": invoice.payment_request,
                "status": "Pending",
            });
            self.publish(topic.clone(), &pending).await;
            let _ = invoices.send(invoice.clone()).await;
            sleep(INVOICE).await;
            // As Blink's core says it: without the request.
            let paid = json!({
                "paymentHash": invoice.payment_hash.as_str(),
                "paymentPreimage": invoice.preimage,
                "status": "Paid",
            });
            self.publish(topic, &paid).await;
            let receipt = self.ln_receipt(
                invoice.payment_hash.as_str(),
                &invoice.preimage,
                invoice.amount_sat,
            );
            self.publish(Topic::Account(self.account), &receipt).await;
            sleep(INVOICE).await;
        }
    }

    async fn publish(&self, topic: Topic, body: &impl Serialize) {
        let body = serde_json::to_vec(body).expect("what is made up is JSON");
        if let Err(away) = self.hub.publish(&topic, body.into()).await {
            tracing::debug!("a demo event was not published: {away}");
        }
    }

    fn ln_receipt(&self, hash: &str, preimage: &str, sats: u64) -> Value {
        let via = json!({ "type": "lightning", "paymentHash": hash, "pubkey": "" });
        let settlement = json!({ "type": "lightning", "revealedPreImage": preimage });
        json!({ "invoice": {
            "walletId": self.btc_wallet,
            "paymentHash": hash,
            "status": "Paid",
            "transaction": self.transaction(via, settlement, "success", sats),
        }})
    }

    fn on_chain_receipt(&self, hash: &str, notification: &str, status: &str, sats: u64) -> Value {
        let via =
            json!({ "type": "onchain", "address": "bcrt1qdemodemodemodemodemodemodemodemodemod" });
        let settlement = json!({ "type": "onchain", "transactionHash": hash, "vout": 0 });
        json!({ "transaction": {
            "walletId": self.btc_wallet,
            "txNotificationType": notification,
            "amount": sats,
            "currency": "BTC",
            "displayAmount": display_amount(sats),
            "displayCurrency": "USD",
            "txHash": hash,
            "transaction": self.transaction(via, settlement, status, sats),
        }})
    }

    fn intraledger_receipt(&self, sats: u64) -> Value {
        let via = json!({ "type": "intraledger", "counterPartyWalletId": Uuid::new_v4(), "counterPartyUsername": "alice" });
        json!({ "intraLedger": {
            "walletId": self.btc_wallet,
            "txNotificationType": "intra_ledger_receipt",
            "amount": sats,
            "currency": "BTC",
            "displayAmount": display_amount(sats),
            "displayCurrency": "USD",
            "sats": sats,
            "transaction": self.transaction(via.clone(), via, "success", sats),
        }})
    }

    fn transaction(
        &self,
        initiation_via: Value,
        settlement_via: Value,
        status: &str,
        sats: u64,
    ) -> Value {
        json!({
            "createdAt": Timestamp::now().to_string(),
            "id": hex(&random_bytes()[..12]),
            "walletId": self.btc_wallet,
            "initiationVia": initiation_via,
            "settlementVia": settlement_via,
            "memo": null,
            "settlementAmount": sats,
            "settlementFee": 0,
            "settlementCurrency": "BTC",
            "settlementDisplayAmount": display_amount(sats),
            "settlementDisplayFee": "0.00",
            "settlementDisplayPrice": { "base": "97250000000", "offset": "12", "displayCurrency": "USD", "walletCurrency": "BTC" },
            "status": status,
        })
    }
}

impl DemoIssuer {
    /// With a secret that nobody knows, and that ends with the process.
    pub fn new() -> Self {
        DemoIssuer(mint::new_secret().expect("the system has random numbers"))
    }

    /// What a server must know to believe its tokens.
    pub fn config(&self) -> IssuerConfig {
        let names = claim_names();
        IssuerConfig {
            issuer: Some(ISSUER.to_owned()),
            algorithms: Some(vec![Algorithm::HS256]),
            account_claim: Some(names.account),
            user_claim: Some(names.user),
            scope_claim: Some(names.scope),
            ..IssuerConfig::of_secret(self.0.clone())
        }
    }

    /// A token of the account's owner, who is the rewards user, too.
    fn token(&self, account: AccountId, user: UserId) -> Result<SecretString, MintError> {
        let claims = Claims {
            account: Some(account),
            user: Some(user),
            scopes: Vec::new(),
            issuer: Some(ISSUER.to_owned()),
            audience: None,
            expires_at: Timestamp::now() + TOKEN_LASTS,
            names: claim_names(),
        };
        mint::mint(&claims, &SigningKey::of_secret(&self.0)?)
    }
}

impl Default for DemoIssuer {
    fn default() -> Self {
        DemoIssuer::new()
    }
}

fn claim_names() -> ClaimNames {
    ClaimNames {
        account: "sub".to_owned(),
        user: "user_id".to_owned(),
        scope: "scope".to_owned(),
    }
}

async fn new_key(
    store: &Store,
    prefix: &KeyPrefix,
    account: AccountId,
    scopes: &[Scope],
) -> Result<(Uuid, SecretString), StoreError> {
    let key = ApiKey::generate().expect("the system has random numbers");
    let record = KeyRecord {
        id: Uuid::new_v4(),
        name: Some("demo".to_owned()),
        account,
        user: None,
        scopes: scopes.iter().copied().collect(),
        digest: key.digest(),
        created_at: Timestamp::now(),
        expires_at: None,
        revoked_at: None,
    };
    store.add_key(&record).await?;
    Ok((record.id, key.reveal(prefix)))
}

impl DemoInvoice {
    /// Makes an invoice of the network `regtest`, on which nobody loses money.
    fn make(amount_sat: u64) -> Self {
        let preimage = random_bytes();
        let hash = sha256::Hash::hash(&preimage);
        let node = loop {
            // All but a handful of 32-byte numbers are keys.
            if let Ok(key) = SecretKey::from_slice(&random_bytes()) {
                break key;
            }
        };
        let invoice = InvoiceBuilder::new(Network::Regtest)
            .description("Tidings demo".to_owned())
            .amount_milli_satoshis(amount_sat * 1000)
            .payment_hash(hash)
            .payment_secret(PaymentSecret(random_bytes()))
            .current_timestamp()
            .min_final_cltv_expiry_delta(144)
            .build_signed(|message| Secp256k1::new().sign_ecdsa_recoverable(message, &node))
            .expect("all that an invoice must have is there");
        DemoInvoice {
            payment_request: invoice.to_string(),
            payment_hash: PaymentHash::parse(&hash.to_string())
                .expect("a hash prints as 64 hex digits"),
            preimage: hex(&preimage),
            amount_sat,
        }
    }
}

/// As Blink's trigger publishes it: the price server's price is a 32-bit float.
fn price_payload(currency: Currency, price: f64, dollars: f64) -> Value {
    let exact = |price: f64| f64::from(price as f32);
    let details = CurrencyDetails::of(currency);
    json!({
        "timestamp": Timestamp::now().to_string(),
        "currency": {
            "code": details.code,
            "symbol": details.symbol,
            "name": details.name,
            "flag": details.flag,
            "fractionDigits": details.fraction_digits,
            "countryCodes": [],
        },
        "displayCurrency": currency.code(),
        "pricePerSat": exact(price) / 1e8,
        "pricePerUsdCent": if currency == Currency::USD { 0.01 } else { exact(price) / exact(dollars) / 100.0 },
    })
}

fn display_amount(sats: u64) -> String {
    format!("{:.2}", sats as f64 * PRICES[0].1 / 1e8)
}

fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// From 0 to 1.
fn random_unit() -> f64 {
    let bytes = random_bytes();
    let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    f64::from(number) / f64::from(u32::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bolt11::PaymentRequest;

    #[test]
    fn a_demo_invoice_is_a_real_one() {
        let invoice = DemoInvoice::make(2_100);
        let decoded = PaymentRequest::decode(&invoice.payment_request).unwrap();
        assert_eq!(decoded.payment_hash, invoice.payment_hash);
        let strict: lightning_invoice::Bolt11Invoice = invoice.payment_request.parse().unwrap();
        assert_eq!(strict.amount_milli_satoshis(), Some(2_100_000));
    }
}
