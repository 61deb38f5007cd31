//! Price arithmetic: from a published price to the integers on the wire.
//!
//! A published price is a JSON number, so what its publisher meant is the shortest decimal that
//! names the double. All bases are computed from that decimal exactly, and rounded once, half up.
//! Texts that the original prints from doubles (`formattedAmount`) are computed in doubles, in the
//! original's order of operations.

use sha1::{Digest, Sha1};

use crate::currency::minor_digits;
use crate::topic::Currency;

/// Digits after the point of prices of one sat.
pub const SAT_PRICE_OFFSET: u32 = 12;
/// Digits after the point of prices of one US cent.
pub const CENT_PRICE_OFFSET: u32 = 6;

/// A price in major units of its currency (dollars, yen), as published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MajorPrice {
    published: f64,
    currency: Currency,
}

impl MajorPrice {
    /// A price that can be told: finite and above zero.
    pub fn new(published: f64, currency: Currency) -> Option<Self> {
        (published.is_finite() && published > 0.0).then_some(MajorPrice {
            published,
            currency,
        })
    }

    /// `round(amount × price in minor units × 10^offset)`, halves up: the `base` of a price.
    ///
    /// An integer as a double, as in JavaScript: exact up to 2^53, which is all that can be told.
    pub fn base(&self, amount: u64, offset: u32) -> f64 {
        exact_base(self.published, amount, minor_digits(self.currency) + offset)
            .unwrap_or_else(|| (amount as f64 * self.minor() * 10f64.powi(offset as i32)).round())
    }

    /// What `amount` costs in minor units, printed as JavaScript prints the product of doubles.
    pub fn formatted(&self, amount: u64) -> String {
        js_number(amount as f64 * self.minor())
    }

    fn minor(&self) -> f64 {
        self.published * 10f64.powi(minor_digits(self.currency) as i32)
    }
}

/// `round(published × amount × 10^exponent)` in integers; `None` where 127 bits do not hold it.
fn exact_base(published: f64, amount: u64, exponent: u32) -> Option<f64> {
    // "4.3644e-4": the shortest digits that name the double, and where their point is.
    let text = format!("{published:e}");
    let (digits, power) = text.split_once('e')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let power: i32 = power.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?
        + i32::try_from(exponent).ok()?;
    let product = mantissa.checked_mul(i128::from(amount))?;
    let scale = 10i128.checked_pow(power.unsigned_abs());
    let base = if power >= 0 {
        product.checked_mul(scale?)?
    } else {
        // A divisor beyond 127 bits leaves nothing of any product.
        scale.map_or(Some(0), |scale| {
            product
                .checked_add(scale / 2)
                .map(|sum| sum.div_euclid(scale))
        })?
    };
    Some(base as f64)
}

/// Prints a double as JavaScript's `String(number)` does.
pub fn js_number(number: f64) -> String {
    ryu_js::Buffer::new().format(number).to_owned()
}

/// Whether a double is one of the integers that the `SafeInt` scalar can tell: ±(2^53 − 1).
pub fn is_safe_int(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_991.0
}

/// The id of a realtime price: one a second and currency.
///
/// SHA-1 over JavaScript's `Date` text in UTC, a hyphen and the code, with the bits of a UUID of
/// version 5 (but no namespace).
pub fn realtime_price_id(timestamp: jiff::Timestamp, currency: Currency) -> uuid::Uuid {
    let time = timestamp.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)");
    let digest = Sha1::digest(format!("{time}-{currency}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_sha1_bytes(bytes).into_uuid()
}

#[cfg(test)]
#[expect(
    clippy::excessive_precision,
    reason = "prices come as f32, and are written here as exactly what those are"
)]
mod tests {
    use super::*;
    use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};
    use proptest::prelude::*;
    use std::str::FromStr;

    /// What Blink's trigger publishes for a price server's 32-bit price of one bitcoin.
    fn per_sat(price_of_bitcoin: f32, code: &str) -> MajorPrice {
        let currency = Currency::parse(code).unwrap();
        MajorPrice::new(f64::from(price_of_bitcoin) / 1e8, currency).unwrap()
    }

    fn per_cent(price: f32, dollar_price: f32, code: &str) -> MajorPrice {
        let currency = Currency::parse(code).unwrap();
        MajorPrice::new(f64::from(price) / f64::from(dollar_price) / 100.0, currency).unwrap()
    }

    #[test]
    fn the_published_examples_come_out() {
        let price = per_sat(43644.15, "USD");
        assert_eq!(price.base(100, SAT_PRICE_OFFSET), 4_364_414_843_750.0);
        assert_eq!(price.formatted(100), "4.3644148437500005");
        assert_eq!(
            per_sat(43623.05, "USD").base(1, SAT_PRICE_OFFSET),
            43_623_050_781.0
        );
    }

    #[test]
    fn the_table_of_the_contract_comes_out() {
        for (price, code, base) in [
            (43644.1484375, "USD", 43_644_148_438.0),
            (20000.0, "USD", 20_000_000_000.0),
            (17500.0, "EUR", 17_500_000_000.0),
            (6_500_000.0, "JPY", 65_000_000_000.0),
        ] {
            assert_eq!(
                per_sat(price, code).base(1, SAT_PRICE_OFFSET),
                base,
                "{code}"
            );
        }
        assert_eq!(
            per_cent(43644.1484375, 43644.1484375, "USD").base(1, CENT_PRICE_OFFSET),
            1_000_000.0
        );
        assert_eq!(
            per_cent(17500.0, 20000.0, "EUR").base(1, CENT_PRICE_OFFSET),
            875_000.0
        );
    }

    #[test]
    fn currencies_without_a_minor_unit_and_with_a_thousandth_are_counted_in_theirs() {
        assert_eq!(per_sat(6_500_000.0, "JPY").formatted(1), "0.065");
        assert_eq!(
            per_sat(20_000.0, "KWD").base(1, SAT_PRICE_OFFSET),
            200_000_000_000.0
        );
    }

    #[test]
    fn the_id_is_the_one_that_the_docs_show() {
        let at = |text: &str| text.parse().unwrap();
        assert_eq!(
            realtime_price_id(at("2023-12-22T15:16:11Z"), Currency::USD).to_string(),
            "a6e2abdb-431e-5455-81c1-92fbaccfb0de"
        );
        // Fractions of the second make no other id.
        assert_eq!(
            realtime_price_id(at("2023-12-22T15:16:11.999Z"), Currency::USD).to_string(),
            "a6e2abdb-431e-5455-81c1-92fbaccfb0de"
        );
    }

    #[test]
    fn a_price_of_nothing_is_no_price() {
        for published in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(MajorPrice::new(published, Currency::USD), None);
        }
    }

    #[test]
    fn numbers_are_printed_as_javascript_prints_them() {
        assert_eq!(js_number(5.0), "5");
        assert_eq!(js_number(4.36e22), "4.36e+22");
        assert_eq!(js_number(1e-7), "1e-7");
        assert_eq!(js_number(0.000001), "0.000001");
    }

    proptest! {
        #[test]
        fn a_base_is_what_exact_decimals_give(
            digits in 1u64..100_000_000_000_000_000,
            power in -24i32..2,
            amount in 1u64..1_000_000,
            code in prop_oneof![Just("USD"), Just("JPY"), Just("KWD"), Just("ZZZZ")],
        ) {
            let currency = Currency::parse(code).unwrap();
            let published: f64 = format!("{digits}e{power}").parse().unwrap();
            let base = MajorPrice::new(published, currency).unwrap().base(amount, SAT_PRICE_OFFSET);
            let exact = BigDecimal::from_str(&format!("{published:e}")).unwrap()
                * BigDecimal::from(amount)
                * BigDecimal::from(10u64.pow(SAT_PRICE_OFFSET + minor_digits(currency)));
            let rounded = exact.with_scale_round(0, RoundingMode::HalfUp).to_f64().unwrap();
            if is_safe_int(rounded) {
                prop_assert_eq!(base, rounded);
            } else {
                prop_assert!(!is_safe_int(base));
            }
        }

        #[test]
        fn any_finite_price_has_some_base(published in any::<f64>(), amount in any::<u64>()) {
            if let Some(price) = MajorPrice::new(published, Currency::USD) {
                prop_assert!(price.base(amount, SAT_PRICE_OFFSET) >= 0.0);
                prop_assert!(!price.formatted(amount).is_empty());
            }
        }
    }
}
