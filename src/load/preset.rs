//! Questions and publications that go together, ready to be used: Blink's and those of a reward program.

use super::plan::{Publication, Question};
use super::template::Template;

/// What `--preset` fills in.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    init: &'static str,
    query: &'static str,
    variables: Option<&'static str>,
    operation_name: Option<&'static str>,
    channel: &'static str,
    body: &'static str,
    /// The text around the number of a publication, in the answer.
    pub matching: &'static str,
    once: bool,
    /// The channel and the body of what is published first, if the server has nothing to tell.
    prime: Option<(&'static str, &'static str)>,
}

/// All that there are.
pub const PRESETS: [Preset; 4] = [
    // Everybody hears the same. The number is the price of a sat, in units of 10^-12 cents.
    Preset {
        name: "price",
        init: "{}",
        query: "subscription realtimePrice($input: RealtimePriceInput!) { realtimePrice(input: $input) { \
                realtimePrice { id timestamp denominatorCurrency btcSatPrice { base offset currencyUnit } \
                usdCentPrice { base offset currencyUnit } } errors { code message path } } }",
        variables: Some(r#"{"input":{"currency":"USD"}}"#),
        operation_name: Some("realtimePrice"),
        channel: "PRICE_UPDATE_USD",
        body: r#"{"timestamp":"{time}","currency":{"code":"USD","symbol":"$","name":"US Dollar","flag":"🇺🇸","fractionDigits":2,"countryCodes":["US"]},"displayCurrency":"USD","pricePerSat":{seq}e-14,"pricePerUsdCent":0.01}"#,
        matching: r#""btcSatPrice":{"base":{seq},"#,
        once: false,
        prime: Some((
            "PRICE_UPDATE_USD",
            r#"{"timestamp":"{time}","displayCurrency":"USD","pricePerSat":0.0009725,"pricePerUsdCent":0.01}"#,
        )),
    },
    // Each account hears its own. The number is the memo of a payment.
    Preset {
        name: "my-updates",
        init: r#"{"X-API-KEY":"{key}"}"#,
        query: "subscription myUpdates { myUpdates { errors { message } update { __typename \
                ... on LnUpdate { status transaction { id memo settlementAmount settlementCurrency status createdAt } } \
                ... on RealtimePrice { btcSatPrice { base offset } usdCentPrice { base offset } } } } }",
        variables: None,
        operation_name: Some("myUpdates"),
        channel: "ACCOUNT_UPDATE_{account}",
        body: r#"{"invoice":{"walletId":"6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01","paymentHash":"{seq:64}","status":"Paid","transaction":{"createdAt":"{time}","id":"{run}{seq:16}","walletId":"6c9ae5a1-0c6b-4d8e-9a39-2b5a7a0f0b01","initiationVia":{"type":"lightning","paymentHash":"{seq:64}","pubkey":""},"settlementVia":{"type":"lightning"},"memo":"{run} {seq}","settlementAmount":2707,"settlementFee":0,"settlementCurrency":"BTC","settlementDisplayAmount":"1.00","settlementDisplayFee":"0.00","settlementDisplayPrice":{"base":"36941263391","offset":"12","displayCurrency":"USD","walletCurrency":"BTC"},"status":"success"}}}"#,
        matching: r#""memo":"{run} {seq}""#,
        once: false,
        prime: Some((
            "USER_PRICE_UPDATE_USD",
            r#"{"realtimePrice":{"timestamp":"{time}","displayCurrency":"USD","pricePerSat":0.0009725,"pricePerUsdCent":0.01}}"#,
        )),
    },
    // Each connection waits for an invoice of its own, which is paid once. The number is its preimage.
    Preset {
        name: "invoice",
        init: "{}",
        query: "subscription invoice($input: LnInvoicePaymentStatusByHashInput!) { \
                lnInvoicePaymentStatusByHash(input: $input) { errors { message } status paymentHash paymentPreimage } }",
        variables: Some(r#"{"input":{"paymentHash":"{run}{i:56}"}}"#),
        operation_name: Some("invoice"),
        channel: "LN_PAYMENT_STATUS_{run}{i:56}",
        body: r#"{"paymentHash":"{run}{i:56}","paymentPreimage":"{seq:64}","status":"Paid"}"#,
        matching: r#""paymentPreimage":"{seq}""#,
        once: true,
        prime: None,
    },
    // Each user hears its own. The number is the points, in `Data`, which is JSON in JSON.
    Preset {
        name: "rewards",
        init: r#"{"X-API-KEY":"{key}","connection_id":"load {run} {i}"}"#,
        query: "subscription { StatusUpdate { Type Timestamp UserID Data } }",
        variables: None,
        operation_name: None,
        channel: "REWARDS_STATUS_{account}",
        body: r#"{"Type":"loyalty_update","Timestamp":"{time}","UserID":{account},"Data":{"user_id":{account},"level":2,"xp":{seq}}}"#,
        matching: r#"\"xp\":{seq}"#,
        once: false,
        prime: None,
    },
];

impl Preset {
    /// The one of this name.
    pub fn of_name(name: &str) -> Option<&'static Preset> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// What its connections say.
    pub fn question(&self) -> Question {
        Question {
            init: Template::parse(self.init),
            query: Template::parse(self.query),
            variables: self.variables.map(Template::parse),
            operation_name: self.operation_name.map(str::to_owned),
        }
    }

    /// What is published for them, so often a second.
    pub fn publication(&self, rate: f64) -> Publication {
        let prime = self
            .prime
            .map(|(channel, body)| (Template::parse(channel), Template::parse(body)));
        Publication {
            channel: Template::parse(self.channel),
            body: Template::parse(self.body),
            rate,
            once: self.once,
            prime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, PriceUpdate};
    use crate::ingest;
    use crate::load::template::Values;

    const VALUES: Values<'_> = Values {
        i: 3,
        seq: 12,
        run: "c0ffee00",
        key: "blink_x",
        account: "",
    };

    #[test]
    fn what_is_published_is_what_the_channel_tells() {
        for preset in PRESETS {
            let account = if preset.name == "rewards" {
                "42"
            } else {
                "0d3d3c1a-5e0e-4b7b-8f59-7f1a7b1f6a51"
            };
            let values = Values { account, ..VALUES };
            let Publication {
                channel,
                body,
                prime,
                ..
            } = preset.publication(1.0);
            for (channel, body) in [(channel, body)].into_iter().chain(prime) {
                let (channel, body) = (channel.render(&values), body.render(&values));
                if let Err(error) = ingest::check(&channel, body.as_bytes()) {
                    panic!("{}: {error}: {body}", preset.name);
                }
            }
        }
    }

    #[test]
    fn the_price_of_a_publication_is_its_number() {
        let publication = PRESETS[0].publication(1.0);
        for seq in (1..2_000).chain((1..100).map(|step| step * 199_999)) {
            let body = publication.body.render(&Values { seq, ..VALUES });
            let (_, event) = ingest::check("PRICE_UPDATE_USD", body.as_bytes()).unwrap();
            let Event::Price(PriceUpdate::Tick(tick)) = event else {
                panic!("no tick: {body}");
            };
            assert_eq!(tick.per_sat.base(1, 12), seq as f64, "{body}");
        }
    }
}
