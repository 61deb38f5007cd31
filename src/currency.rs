//! What is known of currencies: how many minor digits amounts have, and how a currency is shown.

use serde::Deserialize;

use crate::topic::Currency;

/// How a currency is shown to people; `Currency` in the schema.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CurrencyDetails {
    pub code: String,
    pub symbol: String,
    pub name: String,
    pub flag: String,
    /// Digits after the point when amounts are *shown*. Arithmetic uses [`minor_digits`].
    #[serde(rename = "fractionDigits")]
    pub fraction_digits: u8,
}

/// Digits of the minor unit that prices are counted in: ICU's, 2 for a code that ICU does not know.
///
/// Blink takes them from ICU (`Intl.NumberFormat`), which differs from ISO 4217 for several codes,
/// and not from the currency's `fractionDigits`.
pub fn minor_digits(currency: Currency) -> u32 {
    const ZERO: [&str; 33] = [
        "AFN", "ALL", "BIF", "CLP", "COP", "DJF", "GNF", "HUF", "IDR", "IQD", "IRR", "ISK", "JPY",
        "KMF", "KPW", "KRW", "LAK", "LBP", "MGA", "MMK", "PKR", "PYG", "RWF", "SLL", "SOS", "SYP",
        "UGX", "VND", "VUV", "XAF", "XOF", "XPF", "YER",
    ];
    const THREE: [&str; 6] = ["BHD", "JOD", "KWD", "LYD", "OMR", "TND"];
    let code = currency.code();
    if ZERO.contains(&code) {
        0
    } else if THREE.contains(&code) {
        3
    } else {
        2
    }
}

impl CurrencyDetails {
    /// What ISO 4217 says of a currency; a code it does not know is shown by its code.
    pub fn of(currency: Currency) -> Self {
        let code = currency.code();
        let iso = iso_currency::Currency::from_code(code);
        CurrencyDetails {
            code: code.to_owned(),
            symbol: iso.map_or_else(|| code.to_owned(), |iso| iso.symbol().to_string()),
            name: iso.map_or_else(|| code.to_owned(), |iso| iso.name().to_owned()),
            flag: flag(code).unwrap_or_default(),
            fraction_digits: iso
                .and_then(|iso| iso.exponent())
                .map_or(2, |digits| digits as u8),
        }
    }
}

/// The flag of the country whose code begins the currency's. Codes that begin with X belong to no
/// country.
fn flag(code: &str) -> Option<String> {
    let country = code.get(..2).filter(|country| {
        !country.starts_with('X') && country.bytes().all(|byte| byte.is_ascii_uppercase())
    })?;
    country
        .bytes()
        .map(|letter| char::from_u32(0x1F1E6 + u32::from(letter - b'A')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_is_shown_as_in_the_contract() {
        let dollar = CurrencyDetails::of(Currency::USD);
        assert_eq!(dollar.symbol, "$");
        assert_eq!(dollar.flag, "🇺🇸");
        assert_eq!(dollar.fraction_digits, 2);
    }

    #[test]
    fn minor_digits_are_those_of_icu_and_not_of_iso() {
        let digits = |code| minor_digits(Currency::parse(code).unwrap());
        assert_eq!((digits("USD"), digits("JPY"), digits("KWD")), (2, 0, 3));
        // ISO 4217 gives the forint two digits, ICU none.
        assert_eq!(digits("HUF"), 0);
        assert_eq!(digits("ZZZZ"), 2);
    }

    #[test]
    fn a_code_of_no_country_has_no_flag() {
        assert_eq!(
            CurrencyDetails::of(Currency::parse("XAF").unwrap()).flag,
            ""
        );
        assert_eq!(
            CurrencyDetails::of(Currency::parse("EUR").unwrap()).flag,
            "🇪🇺"
        );
    }
}
