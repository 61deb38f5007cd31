//! The types of Blink's API: what its subscriptions and queries tell, and what they are asked.
//!
//! Each type holds the event that it tells, shared, and picks fields from it when they are asked
//! for. Names, nullability and deprecations are Blink's (`schema/blink.graphql`, which `tests/it/schema.rs` holds them to).

mod account;
mod error;
mod invoice;
mod price;
mod price_interface;
mod transaction;
mod updates;
mod user;
mod via;
mod wallet;

#[cfg(test)]
mod tests;

pub use self::account::{Account, AccountLevel, ConsumerAccount};
pub use self::error::{Error, GraphQLApplicationError};
pub use self::invoice::{
    InvoicePaymentStatus, InvoiceRequests, LnInvoicePaymentStatus,
    LnInvoicePaymentStatusByHashInput, LnInvoicePaymentStatusByPaymentRequestInput,
    LnInvoicePaymentStatusInput, LnInvoicePaymentStatusPayload,
};
pub use self::price::{
    Currency, ExchangeCurrencyUnit, LatestPrices, Price, PriceInput, PriceOfOneSatInMinorUnit,
    PriceOfOneUsdCentInMinorUnit, PricePayload, RealtimePrice, RealtimePriceInput,
    RealtimePricePayload, unavailable,
};
pub use self::price_interface::{PriceInterface, PriceOfOneSettlementMinorUnitInDisplayMinorUnit};
pub use self::transaction::{Transaction, TxDirection, TxStatus};
pub use self::updates::{
    IntraLedgerUpdate, LnUpdate, MyUpdatesPayload, OnChainUpdate, TxNotificationType, UserUpdate,
};
pub use self::user::User;
pub use self::via::{
    InitiationVia, InitiationViaIntraLedger, InitiationViaLn, InitiationViaOnChain,
    LnurlSuccessAction, SettlementVia, SettlementViaIntraLedger, SettlementViaLn,
    SettlementViaOnChain,
};
pub use self::wallet::{BtcWallet, PublicWallet, UsdWallet, Wallet, WalletCurrency};

use async_graphql::{ObjectType, SDLExportOptions, Schema, SchemaBuilder, SubscriptionType};

/// Adds what no field leads to: an interface that the schema promises and no field returns.
pub fn complete<Q, M, S>(schema: SchemaBuilder<Q, M, S>) -> SchemaBuilder<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    schema.register_output_type::<PriceInterface>()
}

/// Prints a schema in the one order in which promises are compared.
pub fn sdl<Q, M, S>(schema: &Schema<Q, M, S>) -> String
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .prefer_single_line_descriptions()
        .use_space_ident();
    schema.sdl_with_options(options)
}
