//! Lightning payment requests (BOLT 11), read with the `lightning-invoice` crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bech32::primitives::decode::{CharError, CheckedHrpstringError, UncheckedHrpstringError};
use lightning_invoice::{Bolt11ParseError, DEFAULT_EXPIRY_TIME, SignedRawBolt11Invoice};

use crate::topic::PaymentHash;

/// What a payment request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentRequest {
    pub payment_hash: PaymentHash,
    /// From then on it must not be paid: an hour after its timestamp if it does not say.
    pub expires_at: SystemTime,
}

/// Why a payment request cannot be read, in Blink's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("Invoice has an invalid checksum, please check again")]
    Checksum,
    #[error("Invoice has an unknown character, couldn't decode.")]
    UnknownCharacter,
    #[error("Invoice is missing its 'payment secret' value")]
    NoPaymentSecret,
    #[error("Invalid lightning request, couldn't decode.")]
    Invalid,
}

/// Beyond this nothing expires: a time that every clock here can hold.
const FAR_FUTURE: Duration = Duration::from_secs(100 * 365 * 86_400 + 1_000_000_000);

impl PaymentRequest {
    /// Reads a request of any network, in either case.
    ///
    /// The strict `Bolt11Invoice` is not asked: it refuses more than Blink does, and checks a
    /// signature that tells us nothing.
    pub fn decode(text: &str) -> Result<Self, Undecodable> {
        let invoice: SignedRawBolt11Invoice =
            text.to_ascii_lowercase().parse().map_err(undecodable)?;
        let invoice = invoice.raw_invoice();
        invoice
            .payment_secret()
            .ok_or(Undecodable::NoPaymentSecret)?;
        let hash = invoice.payment_hash().ok_or(Undecodable::Invalid)?;
        let payment_hash = PaymentHash::parse(&hash.0.to_string()).ok_or(Undecodable::Invalid)?;
        let made = invoice.data.timestamp.as_duration_since_epoch();
        let lasts = invoice
            .expiry_time()
            .map_or(Duration::from_secs(DEFAULT_EXPIRY_TIME), |expiry| {
                *expiry.as_duration()
            });
        let expires = made.saturating_add(lasts).min(FAR_FUTURE);
        Ok(PaymentRequest {
            payment_hash,
            expires_at: UNIX_EPOCH + expires,
        })
    }
}

fn undecodable(error: Bolt11ParseError) -> Undecodable {
    match error {
        Bolt11ParseError::Bech32Error(CheckedHrpstringError::Checksum(_)) => Undecodable::Checksum,
        Bolt11ParseError::Bech32Error(CheckedHrpstringError::Parse(
            UncheckedHrpstringError::Char(CharError::InvalidChar(_)),
        )) => Undecodable::UnknownCharacter,
        _ => Undecodable::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An example of the specification: "Please send $3 for a cup of coffee …", expires after a minute.
    const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
    /// The first example that has no payment secret, from before they were required.
    const WITHOUT_SECRET: &str = "lnbc2500u1pvjluezpp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpuaztrnwngzn3kdzw5hydlzf03qdgm2hdq27cqv3agm2awhz5se903vruatfhq77w3ls4evs3ch9zw97j25emudupq63nyw24cg27h2rspfj9srp";

    #[test]
    fn an_invoice_of_the_specification_is_read() {
        let request = PaymentRequest::decode(COFFEE).unwrap();
        assert_eq!(
            request.payment_hash.as_str(),
            "0001020304050607080900010203040506070809000102030405060708090102"
        );
        assert_eq!(
            request.expires_at,
            UNIX_EPOCH + Duration::from_secs(1_496_314_658 + 60)
        );
        assert_eq!(PaymentRequest::decode(&COFFEE.to_uppercase()), Ok(request));
    }

    #[test]
    fn what_is_wrong_is_said_in_blinks_words() {
        let wrong = |text: &str| PaymentRequest::decode(text).unwrap_err();
        assert_eq!(wrong(WITHOUT_SECRET), Undecodable::NoPaymentSecret);
        assert_eq!(
            wrong(&COFFEE.replace("quk0rl", "quk0rq")),
            Undecodable::Checksum
        );
        assert_eq!(
            wrong(&COFFEE.replace("quk0rl", "quk0rb")),
            Undecodable::UnknownCharacter
        );
        assert_eq!(wrong("lnqq"), Undecodable::Invalid);
        assert_eq!(wrong(""), Undecodable::Invalid);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_decoder_panic(text in "ln[a-z0-9]{0,300}|.{0,100}") {
            let _ = PaymentRequest::decode(&text);
        }
    }
}
