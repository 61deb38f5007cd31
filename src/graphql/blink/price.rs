//! Prices of bitcoin now: `price` in US cents, `realtimePrice` in any currency.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object};

use super::error::{Error, errors, told_errors};
use crate::currency::CurrencyDetails;
use crate::event::{EventError, PriceTick, PriceUpdate};
use crate::graphql::json;
use crate::graphql::plan::{Asked, Bail, NotPlanned, Object, Told, Write};
use crate::graphql::scalars::{
    DisplayCurrency, INVALID_INPUT, Origin, SafeInt, SatAmount, Timestamp, thrown,
};
use crate::price::{CENT_PRICE_OFFSET, MajorPrice, SAT_PRICE_OFFSET, realtime_price_id};
use crate::topic;

/// What an amount of sats costs in US cents.
#[derive(Clone)]
pub struct Price {
    tick: Arc<PriceTick>,
    amount: u64,
}

/// What one sat and one US cent cost in one currency.
#[derive(Clone)]
pub struct RealtimePrice(Arc<PriceTick>);

/// How a currency is shown.
pub struct Currency(CurrencyDetails);

/// What one sat costs in minor units.
pub struct PriceOfOneSatInMinorUnit(MajorPrice);

/// What one US cent costs in minor units.
pub struct PriceOfOneUsdCentInMinorUnit(MajorPrice);

/// What `price` tells.
pub struct PricePayload {
    errors: Vec<EventError>,
    price: Option<Price>,
}

/// What `realtimePrice` tells.
pub struct RealtimePricePayload {
    errors: Vec<EventError>,
    price: Option<RealtimePrice>,
}

/// What `price` is asked.
#[derive(InputObject)]
pub struct PriceInput {
    pub amount: SatAmount,
    pub amount_currency_unit: ExchangeCurrencyUnit,
    pub price_currency_unit: ExchangeCurrencyUnit,
}

/// What `realtimePrice` is asked.
#[derive(InputObject)]
pub struct RealtimePriceInput {
    /// `null` is no currency; not to name one is to ask for USD.
    #[graphql(default_with = "MaybeUndefined::Value(DisplayCurrency::from(\"USD\"))")]
    pub currency: MaybeUndefined<DisplayCurrency>,
}

/// The units of `price`.
#[derive(Enum, Clone, Copy, Debug, PartialEq, Eq)]
#[graphql(rename_items = "UPPERCASE")]
pub enum ExchangeCurrencyUnit {
    BtcSat,
    UsdCent,
}

/// Where resolvers find the latest price of a currency, if there has been any.
#[derive(Clone)]
pub struct LatestPrices(pub Arc<dyn Fn(topic::Currency) -> Option<Arc<PriceTick>> + Send + Sync>);

/// The unit of prices in the minor unit of whichever currency.
pub(super) const MINOR: &str = "MINOR";

/// What is told of a tick that lacks what was asked for.
const NO_PRICE_INFO: &str = "No price info";

impl Price {
    /// What `amount` sats cost by this tick, which is one of USD.
    pub fn of(tick: Arc<PriceTick>, amount: u64) -> Self {
        Price { tick, amount }
    }

    const UNIT: &'static str = "USDCENT";

    fn safe_base(&self) -> async_graphql::Result<SafeInt> {
        SafeInt::new(self.tick.per_sat.base(self.amount, SAT_PRICE_OFFSET))
    }

    fn formatted(&self) -> String {
        self.tick.per_sat.formatted(self.amount)
    }
}

/// Price of an amount of sats: `base / 10^offset` US cents.
#[Object]
impl Price {
    async fn base(&self) -> async_graphql::Result<SafeInt> {
        self.safe_base()
    }

    async fn currency_unit(&self) -> &'static str {
        Price::UNIT
    }

    async fn formatted_amount(&self) -> String {
        self.formatted()
    }

    async fn offset(&self) -> u32 {
        SAT_PRICE_OFFSET
    }
}

impl RealtimePrice {
    /// The prices of this tick.
    pub fn of(tick: Arc<PriceTick>) -> Self {
        RealtimePrice(tick)
    }

    pub(super) fn tick(&self) -> &PriceTick {
        &self.0
    }

    /// The latest prices in a currency, from [`LatestPrices`].
    pub(super) fn latest(
        ctx: &Context<'_>,
        currency: topic::Currency,
    ) -> async_graphql::Result<Self> {
        ctx.data_opt::<LatestPrices>()
            .and_then(|LatestPrices(latest)| latest(currency))
            .map(RealtimePrice)
            .ok_or_else(unavailable)
    }
}

/// Prices of one sat and of one US cent in a currency, at one time.
#[Object]
impl RealtimePrice {
    async fn btc_sat_price(&self) -> PriceOfOneSatInMinorUnit {
        PriceOfOneSatInMinorUnit(self.0.per_sat)
    }

    #[graphql(deprecation = "Deprecated in favor of denominatorCurrencyDetails")]
    async fn denominator_currency(&self) -> DisplayCurrency {
        self.0.currency.code().into()
    }

    async fn denominator_currency_details(&self) -> Currency {
        Currency::of(self.0.details.clone())
    }

    async fn id(&self) -> ID {
        realtime_price_id(self.0.timestamp, self.0.currency).into()
    }

    /// When the prices were fetched, in Unix seconds.
    async fn timestamp(&self) -> Timestamp {
        self.0.timestamp.into()
    }

    async fn usd_cent_price(&self) -> async_graphql::Result<PriceOfOneUsdCentInMinorUnit> {
        let price = self.0.per_usd_cent.ok_or_else(unavailable)?;
        Ok(PriceOfOneUsdCentInMinorUnit(price))
    }
}

/// The error of a price that there is not, or not yet.
pub fn unavailable() -> async_graphql::Error {
    thrown(
        "Price unavailable, please wait for a while and try again.",
        "PRICE_SERVICE_OFFLINE",
    )
}

impl Currency {
    /// The currency with these details.
    pub fn of(details: CurrencyDetails) -> Self {
        Currency(details)
    }
}

/// How a currency is shown.
#[Object]
impl Currency {
    async fn flag(&self) -> &str {
        &self.0.flag
    }

    async fn fraction_digits(&self) -> u8 {
        self.0.fraction_digits
    }

    async fn id(&self) -> ID {
        self.0.code.as_str().into()
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn symbol(&self) -> &str {
        &self.0.symbol
    }
}

/// Price of one sat: `base / 10^offset` minor units.
#[Object]
impl PriceOfOneSatInMinorUnit {
    pub(super) async fn base(&self) -> async_graphql::Result<SafeInt> {
        SafeInt::new(self.0.base(1, SAT_PRICE_OFFSET))
    }

    #[graphql(deprecation = "Deprecated due to type renaming")]
    pub(super) async fn currency_unit(&self) -> &'static str {
        MINOR
    }

    pub(super) async fn offset(&self) -> u32 {
        SAT_PRICE_OFFSET
    }
}

/// Price of one US cent: `base / 10^offset` minor units.
#[Object]
impl PriceOfOneUsdCentInMinorUnit {
    pub(super) async fn base(&self) -> async_graphql::Result<SafeInt> {
        SafeInt::new(self.0.base(1, CENT_PRICE_OFFSET))
    }

    #[graphql(deprecation = "Deprecated due to type renaming")]
    pub(super) async fn currency_unit(&self) -> &'static str {
        MINOR
    }

    pub(super) async fn offset(&self) -> u32 {
        CENT_PRICE_OFFSET
    }
}

impl PricePayload {
    /// What an update of USD tells of the price of `amount` sats.
    pub fn of_update(update: &PriceUpdate, amount: u64) -> Self {
        match update {
            PriceUpdate::Tick(tick) => PricePayload {
                errors: Vec::new(),
                price: Some(Price::of(tick.clone(), amount)),
            },
            PriceUpdate::NoPriceInfo => PricePayload::error(EventError::new(NO_PRICE_INFO)),
            PriceUpdate::Errors(errors) => PricePayload {
                errors: errors.clone(),
                price: None,
            },
        }
    }

    /// An error instead of a price.
    pub fn error(error: EventError) -> Self {
        PricePayload {
            errors: vec![error],
            price: None,
        }
    }
}

#[Object]
impl PricePayload {
    async fn errors(&self) -> Vec<Error> {
        errors(&self.errors)
    }

    async fn price(&self) -> Option<&Price> {
        self.price.as_ref()
    }
}

impl RealtimePricePayload {
    /// What an update tells. Without the price of a cent it tells nothing, as in the original.
    pub fn of_update(update: &PriceUpdate) -> Self {
        match update {
            PriceUpdate::Tick(tick) if tick.per_usd_cent.is_some() => RealtimePricePayload {
                errors: Vec::new(),
                price: Some(RealtimePrice::of(tick.clone())),
            },
            PriceUpdate::Tick(_) | PriceUpdate::NoPriceInfo => {
                RealtimePricePayload::error(EventError::new(NO_PRICE_INFO))
            }
            PriceUpdate::Errors(errors) => RealtimePricePayload {
                errors: errors.clone(),
                price: None,
            },
        }
    }

    /// An error instead of a price.
    pub fn error(error: EventError) -> Self {
        RealtimePricePayload {
            errors: vec![error],
            price: None,
        }
    }
}

#[Object]
impl RealtimePricePayload {
    async fn errors(&self) -> Vec<Error> {
        errors(&self.errors)
    }

    async fn realtime_price(&self) -> Option<&RealtimePrice> {
        self.price.as_ref()
    }
}

impl PriceInput {
    /// Larger amounts have no price here.
    const AMOUNT_LIMIT: u64 = 1_000_000;

    /// How many sats are asked for; or what `errors` has to tell, in the original's order of checks.
    pub fn sats(&self, amount_origin: Origin) -> Result<u64, EventError> {
        let sats = self
            .amount
            .check(amount_origin)
            .map_err(|invalid| invalid.in_band())?;
        let units = (self.amount_currency_unit, self.price_currency_unit);
        if units != (ExchangeCurrencyUnit::BtcSat, ExchangeCurrencyUnit::UsdCent) {
            Err(EventError::new("Unsupported exchange unit"))
        } else if sats >= Self::AMOUNT_LIMIT {
            Err(EventError::new("Unsupported exchange amount"))
        } else {
            Ok(sats)
        }
    }
}

impl RealtimePriceInput {
    /// The currency that is asked for; or what `errors` has to tell.
    pub fn currency(&self, origin: Origin) -> Result<topic::Currency, EventError> {
        let no_currency = || EventError::coded("Invalid currency.", INVALID_INPUT);
        match &self.currency {
            MaybeUndefined::Undefined => Ok(topic::Currency::USD),
            MaybeUndefined::Null => Err(no_currency()),
            MaybeUndefined::Value(currency) => currency
                .check(origin)
                .map_err(|invalid| invalid.in_band())?
                .ok_or_else(no_currency),
        }
    }
}

impl Told for Price {
    type Value = Price;

    fn field(asked: &Asked<'_>) -> Result<Write<Price>, NotPlanned> {
        Ok(match asked.name() {
            "base" => Write::fallible(|price: &Price, _, json| {
                json::scalar(json, &price.safe_base()?);
                Ok(())
            }),
            "currencyUnit" => Write::text(Price::UNIT),
            "formattedAmount" => {
                Write::value(|price: &Price, json| json::string(json, &price.formatted()))
            }
            "offset" => Write::Always(SAT_PRICE_OFFSET.to_string()),
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for RealtimePrice {
    type Value = PriceTick;

    fn field(asked: &Asked<'_>) -> Result<Write<PriceTick>, NotPlanned> {
        use PriceTick as Tick;
        Ok(match asked.name() {
            "btcSatPrice" => {
                let price = Object::<PriceOfOneSatInMinorUnit>::of(asked)?;
                Write::nested(price.size(), move |tick: &Tick, lookups, json| {
                    price.write(&tick.per_sat, lookups, json)
                })
            }
            "denominatorCurrency" => {
                Write::value(|tick: &Tick, json| json::string(json, tick.currency.code()))
            }
            "denominatorCurrencyDetails" => {
                let currency = Object::<Currency>::of(asked)?;
                Write::nested(currency.size(), move |tick: &Tick, lookups, json| {
                    currency.write(&tick.details, lookups, json)
                })
            }
            "id" => Write::value(|tick: &Tick, json| {
                json::id(json, realtime_price_id(tick.timestamp, tick.currency));
            }),
            "timestamp" => Write::value(|tick: &Tick, json| {
                json::scalar(json, &Timestamp::from(tick.timestamp))
            }),
            "usdCentPrice" => {
                let price = Object::<PriceOfOneUsdCentInMinorUnit>::of(asked)?;
                Write::nested(price.size(), move |tick: &Tick, lookups, json| {
                    price.write(tick.per_usd_cent.as_ref().ok_or(Bail)?, lookups, json)
                })
            }
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for Currency {
    type Value = CurrencyDetails;

    fn field(asked: &Asked<'_>) -> Result<Write<CurrencyDetails>, NotPlanned> {
        use CurrencyDetails as Details;
        Ok(match asked.name() {
            "flag" => Write::value(|details: &Details, json| json::string(json, &details.flag)),
            "fractionDigits" => {
                Write::value(|details: &Details, json| json::plain(json, details.fraction_digits))
            }
            "id" => Write::value(|details: &Details, json| json::string(json, &details.code)),
            "name" => Write::value(|details: &Details, json| json::string(json, &details.name)),
            "symbol" => Write::value(|details: &Details, json| json::string(json, &details.symbol)),
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for PriceOfOneSatInMinorUnit {
    type Value = MajorPrice;

    fn field(asked: &Asked<'_>) -> Result<Write<MajorPrice>, NotPlanned> {
        price_of_one(asked, SAT_PRICE_OFFSET)
    }
}

impl Told for PriceOfOneUsdCentInMinorUnit {
    type Value = MajorPrice;

    fn field(asked: &Asked<'_>) -> Result<Write<MajorPrice>, NotPlanned> {
        price_of_one(asked, CENT_PRICE_OFFSET)
    }
}

fn price_of_one(asked: &Asked<'_>, offset: u32) -> Result<Write<MajorPrice>, NotPlanned> {
    Ok(match asked.name() {
        "base" => Write::fallible(move |price: &MajorPrice, _, json| {
            json::scalar(json, &SafeInt::new(price.base(1, offset))?);
            Ok(())
        }),
        "currencyUnit" => Write::text(MINOR),
        "offset" => Write::Always(offset.to_string()),
        _ => return Err(NotPlanned),
    })
}

impl Told for PricePayload {
    type Value = PricePayload;

    fn field(asked: &Asked<'_>) -> Result<Write<PricePayload>, NotPlanned> {
        Ok(match asked.name() {
            "errors" => told_errors(asked, |payload: &PricePayload| &payload.errors[..])?,
            "price" => {
                let price = Object::<Price>::of(asked)?;
                Write::nested(
                    price.size(),
                    move |payload: &PricePayload, lookups, json| {
                        price.write_optional(payload.price.as_ref(), lookups, json)
                    },
                )
            }
            _ => return Err(NotPlanned),
        })
    }
}

impl Told for RealtimePricePayload {
    type Value = RealtimePricePayload;

    fn field(asked: &Asked<'_>) -> Result<Write<RealtimePricePayload>, NotPlanned> {
        use RealtimePricePayload as Payload;
        Ok(match asked.name() {
            "errors" => told_errors(asked, |payload: &Payload| &payload.errors[..])?,
            "realtimePrice" => {
                let price = Object::<RealtimePrice>::of(asked)?;
                Write::nested(price.size(), move |payload: &Payload, lookups, json| {
                    let tick = payload.price.as_ref().map(RealtimePrice::tick);
                    price.write_optional(tick, lookups, json)
                })
            }
            _ => return Err(NotPlanned),
        })
    }
}
