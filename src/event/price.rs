//! `PRICE_UPDATE_<CODE>` and `USER_PRICE_UPDATE_<CODE>`.

use std::sync::Arc;

use serde::Deserialize;

use super::number::optional_number;
use super::timestamp::optional_timestamp;
use super::{Cause, EventError, from_json};
use crate::currency::CurrencyDetails;
use crate::price::MajorPrice;
use crate::topic::Currency;

/// What is told on `PRICE_UPDATE_<CODE>`.
#[derive(Clone, Debug, PartialEq)]
pub enum PriceUpdate {
    Tick(Arc<PriceTick>),
    /// A message without a price in it: subscribers are told "No price info".
    NoPriceInfo,
    Errors(Vec<EventError>),
}

/// What is told on `USER_PRICE_UPDATE_<CODE>`, for `myUpdates`.
#[derive(Clone, Debug, PartialEq)]
pub enum UserPriceUpdate {
    /// The price of one sat in US cents; published for USD alone.
    Price(Arc<PriceTick>),
    RealtimePrice(Arc<PriceTick>),
}

/// The price of bitcoin in one currency at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceTick {
    /// When the price was fetched.
    pub timestamp: jiff::Timestamp,
    pub currency: Currency,
    pub details: CurrencyDetails,
    /// What one sat costs.
    pub per_sat: MajorPrice,
    /// What one US cent costs. Not every publisher tells it: `price` does not need it.
    pub per_usd_cent: Option<MajorPrice>,
}

/// A tick as it is published.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    #[serde(default, deserialize_with = "optional_timestamp")]
    timestamp: Option<jiff::Timestamp>,
    #[serde(default)]
    currency: Option<CurrencyDetails>,
    #[serde(default)]
    display_currency: Option<String>,
    #[serde(default, deserialize_with = "optional_number")]
    price_per_sat: Option<f64>,
    #[serde(default, deserialize_with = "optional_number")]
    price_per_usd_cent: Option<f64>,
    #[serde(default)]
    errors: Option<Vec<EventError>>,
}

impl PriceUpdate {
    pub(super) fn decode(currency: Currency, body: &[u8]) -> Result<Self, Cause> {
        let mut payload: Payload = from_json(body)?;
        if let Some(errors) = payload.errors.take().filter(|errors| !errors.is_empty()) {
            return Ok(PriceUpdate::Errors(errors));
        }
        Ok(
            PriceTick::of(currency, payload)?.map_or(PriceUpdate::NoPriceInfo, |tick| {
                PriceUpdate::Tick(tick.into())
            }),
        )
    }
}

impl UserPriceUpdate {
    pub(super) fn decode(currency: Currency, body: &[u8]) -> Result<Self, Cause> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        enum Message {
            Price(Payload),
            RealtimePrice(Payload),
        }
        let told = |payload| {
            PriceTick::of(currency, payload)?
                .map(Arc::new)
                .ok_or_else(|| Cause::Meaning("there is no price in it".to_owned()))
        };
        match from_json(body)? {
            Message::Price(payload) => told(payload).map(UserPriceUpdate::Price),
            Message::RealtimePrice(payload) => told(payload).map(UserPriceUpdate::RealtimePrice),
        }
    }
}

impl PriceTick {
    /// `None` if the payload tells no price; an error if it tells that of another currency.
    fn of(currency: Currency, payload: Payload) -> Result<Option<Self>, Cause> {
        if let Some(other) = payload
            .display_currency
            .filter(|code| code != currency.code())
        {
            return Err(Cause::Meaning(format!(
                "displayCurrency is {other:?}, and the channel's is {currency}"
            )));
        }
        let price = |published: Option<f64>| {
            published.and_then(|published| MajorPrice::new(published, currency))
        };
        let Some(per_sat) = price(payload.price_per_sat) else {
            return Ok(None);
        };
        Ok(Some(PriceTick {
            timestamp: payload.timestamp.unwrap_or_else(jiff::Timestamp::now),
            currency,
            details: payload
                .currency
                .unwrap_or_else(|| CurrencyDetails::of(currency)),
            per_sat,
            per_usd_cent: price(payload.price_per_usd_cent),
        }))
    }

    /// Of a payload that says itself what its currency is: inside an account's update.
    pub(super) fn of_account(payload: Payload) -> Result<Self, Cause> {
        let currency = payload
            .display_currency
            .as_deref()
            .and_then(Currency::parse)
            .ok_or_else(|| Cause::Meaning("displayCurrency is missing".to_owned()))?;
        PriceTick::of(currency, payload)?
            .ok_or_else(|| Cause::Meaning("there is no price in it".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"timestamp":"2024-01-15T10:30:00.000Z","currency":{"code":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2,"countryCodes":["US"]},"displayCurrency":"USD","pricePerSat":0.000436441484375,"pricePerUsdCent":0.01}"#;

    #[test]
    fn the_body_of_the_contract_is_a_tick() {
        let PriceUpdate::Tick(tick) = PriceUpdate::decode(Currency::USD, BODY.as_bytes()).unwrap()
        else {
            panic!("not a tick");
        };
        assert_eq!(tick.timestamp.as_second(), 1_705_314_600);
        assert_eq!(tick.per_sat.base(100, 12), 4_364_414_843_750.0);
        assert_eq!(tick.details.name, "US Dollar");
    }

    #[test]
    fn the_price_of_another_currency_is_malformed() {
        let euro = Currency::parse("EUR").unwrap();
        let error = PriceUpdate::decode(euro, BODY.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "displayCurrency is \"USD\", and the channel's is EUR"
        );
    }

    #[test]
    fn a_tick_without_a_price_is_no_price_info() {
        assert_eq!(
            PriceUpdate::decode(Currency::USD, b"{}").unwrap(),
            PriceUpdate::NoPriceInfo
        );
    }

    #[test]
    fn errors_are_passed_on() {
        let body =
            br#"{"errors":[{"message":"Price unavailable","code":"PRICE_SERVICE_OFFLINE"}]}"#;
        assert_eq!(
            PriceUpdate::decode(Currency::USD, body).unwrap(),
            PriceUpdate::Errors(vec![EventError::coded(
                "Price unavailable",
                "PRICE_SERVICE_OFFLINE"
            )])
        );
    }

    #[test]
    fn a_user_price_says_which_update_it_is() {
        let body = format!(r#"{{"realtimePrice":{BODY}}}"#);
        assert!(matches!(
            UserPriceUpdate::decode(Currency::USD, body.as_bytes()),
            Ok(UserPriceUpdate::RealtimePrice(_))
        ));
        assert!(UserPriceUpdate::decode(Currency::USD, BODY.as_bytes()).is_err());
    }
}
