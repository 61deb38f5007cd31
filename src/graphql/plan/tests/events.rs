//! Events at random, of each kind.

use std::sync::Arc;

use super::documents::Choices;
use crate::currency::CurrencyDetails;
use crate::event::{
    AccountUpdate, Event, EventError, InitiationVia, IntraLedgerUpdate, InvoiceState,
    InvoiceStatus, InvoiceUpdate, LnUpdate, OnChainUpdate, PriceTick, PriceUpdate, SettlementPrice,
    SettlementVia, StatusType, StatusUpdate, TransactionStatus, TxNotificationType,
    UserPriceUpdate, WalletCurrency, WalletTransaction,
};
use crate::price::MajorPrice;
use crate::topic::{Currency, PaymentHash, UserId};

/// An event that a root field tells of.
pub(super) fn event(root: &str, choices: &mut Choices<'_>) -> Event {
    match root {
        "myUpdates" => match choices.below(7) {
            0 | 1 => Event::Account(AccountUpdate::Invoice(Arc::new(ln(choices)))),
            2 => Event::Account(AccountUpdate::IntraLedger(Arc::new(intra_ledger(choices)))),
            3 | 4 => Event::Account(AccountUpdate::Transaction(Arc::new(on_chain(choices)))),
            5 => match choices.once_in(2) {
                false => Event::UserPrice(UserPriceUpdate::Price(tick(choices))),
                true => Event::Account(AccountUpdate::Price(tick(choices))),
            },
            _ => match choices.once_in(2) {
                false => Event::UserPrice(UserPriceUpdate::RealtimePrice(tick(choices))),
                true => Event::Account(AccountUpdate::RealtimePrice(tick(choices))),
            },
        },
        "price" | "realtimePrice" => Event::Price(match choices.below(5) {
            0..=2 => PriceUpdate::Tick(tick(choices)),
            3 => PriceUpdate::NoPriceInfo,
            _ => PriceUpdate::Errors(errors(choices)),
        }),
        "StatusUpdate" => Event::Rewards(Arc::new(StatusUpdate {
            status_type: match choices.once_in(2) {
                false => StatusType::LoyaltyUpdate,
                true => StatusType::Unknown(text(choices)),
            },
            timestamp: text(choices),
            user: UserId::of_number(1 + choices.below(60_000) as i64).unwrap(),
            data: text(choices),
        })),
        _ => Event::Invoice(match choices.below(3) {
            0 | 1 => InvoiceUpdate::State(InvoiceState {
                payment_hash: hash(choices),
                payment_request: optional(choices),
                payment_preimage: optional(choices),
                status: invoice_status(choices),
            }),
            _ => InvoiceUpdate::Errors(errors(choices)),
        }),
    }
}

fn text(choices: &mut Choices<'_>) -> String {
    const TEXTS: [&str; 7] = [
        "tea",
        "",
        "\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}",
        "Käsekuchen 🥧 \u{2028}\u{2029}\u{fffd}",
        "bfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbf",
        "</script>'`",
        "{\"a\": [1.0]}",
    ];
    match choices.below(TEXTS.len() + 1) {
        at if at < TEXTS.len() => TEXTS[at].to_owned(),
        _ => (0..choices.below(20))
            .filter_map(|_| char::from_u32(choices.below(0x11_0000) as u32))
            .collect(),
    }
}

fn optional(choices: &mut Choices<'_>) -> Option<String> {
    (!choices.once_in(3)).then(|| text(choices))
}

fn number(choices: &mut Choices<'_>) -> f64 {
    const NUMBERS: [f64; 16] = [
        2707.0,
        0.0,
        -0.0,
        -1.0,
        0.5,
        -0.1,
        12.0,
        1e-7,
        1e21,
        4.36e22,
        9_007_199_254_740_991.0,
        -9_007_199_254_740_992.0,
        1.8446744073709552e19,
        f64::MAX,
        f64::NAN,
        f64::NEG_INFINITY,
    ];
    match choices.below(NUMBERS.len() + 2) {
        at if at < NUMBERS.len() => NUMBERS[at],
        16 => choices.below(1 << 16) as f64 / 8.0,
        _ => f64::from_bits(choices.bits()),
    }
}

fn time(choices: &mut Choices<'_>) -> jiff::Timestamp {
    let second = choices.bits() as i64 % 10_000_000_000;
    let nanosecond = choices.below(3) as i32 * 333_333_333;
    jiff::Timestamp::new(second, nanosecond).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn hash(choices: &mut Choices<'_>) -> PaymentHash {
    PaymentHash::parse(&choices.of::<&str>(&["bf", "ab"]).repeat(32)).unwrap()
}

fn currency(choices: &mut Choices<'_>) -> Currency {
    Currency::parse(choices.of::<&str>(&["USD", "EUR", "JPY", "KWD"])).unwrap()
}

fn wallet_currency(choices: &mut Choices<'_>) -> WalletCurrency {
    *choices.of(&[WalletCurrency::Btc, WalletCurrency::Usd])
}

fn errors(choices: &mut Choices<'_>) -> Vec<EventError> {
    let error = |choices: &mut Choices<'_>| EventError {
        message: text(choices),
        code: optional(choices),
        path: (!choices.once_in(2))
            .then(|| (0..choices.below(3)).map(|_| optional(choices)).collect()),
    };
    (0..choices.below(3)).map(|_| error(choices)).collect()
}

fn tick(choices: &mut Choices<'_>) -> Arc<PriceTick> {
    let currency = currency(choices);
    let price = |choices: &mut Choices<'_>| MajorPrice::new(number(choices), currency);
    Arc::new(PriceTick {
        timestamp: time(choices),
        currency,
        details: match choices.once_in(2) {
            false => CurrencyDetails::of(currency),
            true => CurrencyDetails {
                code: text(choices),
                symbol: text(choices),
                name: text(choices),
                flag: text(choices),
                fraction_digits: choices.below(256) as u8,
            },
        },
        per_sat: price(choices)
            .unwrap_or_else(|| MajorPrice::new(0.000_436_441_484_375, currency).unwrap()),
        per_usd_cent: price(choices),
    })
}

fn invoice_status(choices: &mut Choices<'_>) -> InvoiceStatus {
    *choices.of(&[
        InvoiceStatus::Paid,
        InvoiceStatus::Pending,
        InvoiceStatus::Expired,
    ])
}

fn notification(choices: &mut Choices<'_>) -> TxNotificationType {
    *choices.of(&[
        TxNotificationType::OnchainReceipt,
        TxNotificationType::OnchainReceiptPending,
        TxNotificationType::OnchainPayment,
        TxNotificationType::LigtningReceipt,
        TxNotificationType::IntraLedgerReceipt,
        TxNotificationType::IntraLedgerPayment,
    ])
}

fn ln(choices: &mut Choices<'_>) -> LnUpdate {
    LnUpdate {
        wallet_id: text(choices),
        payment_hash: text(choices),
        status: invoice_status(choices),
        transaction: Arc::new(transaction(choices)),
    }
}

fn intra_ledger(choices: &mut Choices<'_>) -> IntraLedgerUpdate {
    IntraLedgerUpdate {
        wallet_id: text(choices),
        tx_notification_type: notification(choices),
        amount: number(choices),
        display_currency_per_sat: (!choices.once_in(2)).then(|| number(choices)),
        transaction: Arc::new(transaction(choices)),
    }
}

fn on_chain(choices: &mut Choices<'_>) -> OnChainUpdate {
    OnChainUpdate {
        wallet_id: text(choices),
        tx_notification_type: notification(choices),
        amount: number(choices),
        display_currency_per_sat: (!choices.once_in(2)).then(|| number(choices)),
        tx_hash: optional(choices),
        transaction: Arc::new(transaction(choices)),
    }
}

fn transaction(choices: &mut Choices<'_>) -> WalletTransaction {
    WalletTransaction {
        id: text(choices),
        created_at: time(choices),
        initiation_via: match choices.below(3) {
            0 => InitiationVia::Lightning {
                payment_hash: text(choices),
                payment_request: optional(choices),
            },
            1 => InitiationVia::IntraLedger {
                counter_party_wallet_id: optional(choices),
                counter_party_username: optional(choices),
            },
            _ => InitiationVia::OnChain {
                address: optional(choices),
            },
        },
        settlement_via: match choices.below(3) {
            0 => SettlementVia::Lightning {
                revealed_pre_image: optional(choices),
            },
            1 => SettlementVia::IntraLedger {
                counter_party_wallet_id: optional(choices),
                counter_party_username: optional(choices),
                pre_image: optional(choices),
            },
            _ => SettlementVia::OnChain {
                transaction_hash: optional(choices),
                vout: (!choices.once_in(2)).then(|| choices.bits() as i32),
            },
        },
        settlement_amount: number(choices),
        settlement_fee: number(choices),
        settlement_currency: wallet_currency(choices),
        settlement_display_amount: text(choices),
        settlement_display_fee: text(choices),
        settlement_display_price: SettlementPrice {
            base: number(choices),
            offset: number(choices),
            display_currency: text(choices),
        },
        status: *choices.of(&[
            TransactionStatus::Success,
            TransactionStatus::Pending,
            TransactionStatus::Failure,
        ]),
        memo: optional(choices),
        external_id: optional(choices),
    }
}
