//! Prices of one unit, that have a base and an offset; among them the one at which a payment settled.

use async_graphql::{Interface, Object};

use super::price::{MINOR, PriceOfOneSatInMinorUnit, PriceOfOneUsdCentInMinorUnit};
use crate::event::SettlementPrice;
use crate::graphql::json;
use crate::graphql::plan::{Asked, NotPlanned, Told, Write};
use crate::graphql::scalars::{INVALID_INPUT, SafeInt, thrown};
use crate::price::js_number;

/// A price with its base and its offset.
#[derive(Interface)]
#[graphql(
    field(name = "base", ty = "SafeInt"),
    field(
        name = "currencyUnit",
        method = "currency_unit",
        ty = "&'static str",
        deprecation = "Deprecated due to type renaming"
    ),
    field(name = "offset", ty = "u32")
)]
pub enum PriceInterface {
    Sat(PriceOfOneSatInMinorUnit),
    Settlement(PriceOfOneSettlementMinorUnitInDisplayMinorUnit),
    Cent(PriceOfOneUsdCentInMinorUnit),
}

/// What one minor unit of the wallet was worth when a payment settled, as published.
pub struct PriceOfOneSettlementMinorUnitInDisplayMinorUnit {
    base: f64,
    offset: f64,
}

impl PriceOfOneSettlementMinorUnitInDisplayMinorUnit {
    pub(super) fn of(published: &SettlementPrice) -> Self {
        PriceOfOneSettlementMinorUnitInDisplayMinorUnit {
            base: published.base,
            offset: published.offset,
        }
    }

    fn formatted(&self) -> String {
        js_number(self.base / 10f64.powf(self.offset))
    }

    fn digits(&self) -> async_graphql::Result<u32> {
        let offset = self.offset as u32;
        if f64::from(offset) == self.offset {
            Ok(offset)
        } else {
            let offset = js_number(self.offset);
            let message = format!("Int cannot represent non-integer value: {offset}");
            Err(thrown(message, INVALID_INPUT))
        }
    }
}

/// Price of one minor unit of the wallet: `base / 10^offset` minor units of the display currency.
#[Object]
impl PriceOfOneSettlementMinorUnitInDisplayMinorUnit {
    pub(super) async fn base(&self) -> async_graphql::Result<SafeInt> {
        SafeInt::new(self.base)
    }

    #[graphql(deprecation = "Deprecated due to type renaming")]
    pub(super) async fn currency_unit(&self) -> &'static str {
        MINOR
    }

    #[graphql(deprecation = "Deprecated please use `base / 10^offset`")]
    pub(super) async fn formatted_amount(&self) -> String {
        self.formatted()
    }

    pub(super) async fn offset(&self) -> async_graphql::Result<u32> {
        self.digits()
    }
}

impl Told for PriceOfOneSettlementMinorUnitInDisplayMinorUnit {
    type Value = Self;

    fn field(asked: &Asked<'_>) -> Result<Write<Self>, NotPlanned> {
        Ok(match asked.name() {
            "base" => Write::fallible(|price: &Self, _, json| {
                json::scalar(json, &SafeInt::new(price.base)?);
                Ok(())
            }),
            "currencyUnit" => Write::text(MINOR),
            "formattedAmount" => {
                Write::value(|price: &Self, json| json::string(json, &price.formatted()))
            }
            "offset" => Write::fallible(|price: &Self, _, json| {
                json::plain(json, price.digits()?);
                Ok(())
            }),
            _ => return Err(NotPlanned),
        })
    }
}
