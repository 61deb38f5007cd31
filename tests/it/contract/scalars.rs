//! What is said of arguments that are none, where it stands in the document and where in a variable.

use super::first;
use crate::tidings::Tidings;

#[tokio::test]
async fn an_amount_that_is_none_is_told_in_these_words() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let by_variable = "subscription ($amount: SatAmount!) { price(input: { amount: $amount, amountCurrencyUnit: BTCSAT, priceCurrencyUnit: USDCENT }) { errors { message } } }";
    let in_document = |amount: &str| {
        by_variable
            .replace("($amount: SatAmount!) ", "")
            .replace("$amount", amount)
    };
    let (wrong_type, wrong_value, too_big) = (
        "Invalid type for SatAmount",
        "Invalid value for SatAmount",
        "Value too big for SatAmount",
    );
    // The value, what is said of it in the document, and in a variable. What is right by itself is too much here.
    let too_much = "Unsupported exchange amount";
    for (amount, literal, variable) in [
        ("1000000", too_much, too_much),
        ("1000000.9", wrong_type, too_much),
        (r#""1000000""#, wrong_type, too_much),
        (r#""1000000x""#, wrong_type, too_much),
        (r#""x""#, wrong_type, wrong_value),
        (r#""""#, wrong_type, wrong_value),
        ("true", wrong_type, wrong_type),
        ("[1]", wrong_type, wrong_type),
        ("-1", wrong_value, wrong_value),
        ("-0.5", wrong_type, ""),
        ("10000000000000", too_much, too_much),
        ("10000000000001", too_big, too_big),
        ("100000000000000000000000000", too_big, too_big),
    ] {
        let says = |message: &str| {
            format!(r#"{{"data":{{"price":{{"errors":[{{"message":"{message}"}}]}}}}}}"#)
        };
        assert_eq!(
            first(&mut client, &in_document(amount), "{}").await,
            says(literal),
            "{amount} in the document"
        );
        if !variable.is_empty() {
            let told = first(
                &mut client,
                by_variable,
                &format!(r#"{{"amount":{amount}}}"#),
            )
            .await;
            assert_eq!(told, says(variable), "{amount} in a variable");
            let whole = "subscription ($input: PriceInput!) { price(input: $input) { errors { message } } }";
            let told = first(&mut client, whole, &format!(r#"{{"input":{{"amount":{amount},"amountCurrencyUnit":"BTCSAT","priceCurrencyUnit":"USDCENT"}}}}"#)).await;
            assert_eq!(told, says(variable), "{amount} in a variable with the rest");
        }
    }
}

#[tokio::test]
async fn a_currency_that_is_none_is_told_in_these_words() {
    let server = Tidings::start().await;
    let mut client = server.anonymous().await;
    let by_variable = "subscription ($currency: DisplayCurrency) { realtimePrice(input: { currency: $currency }) { errors { message code } } }";
    let in_document = |currency: &str| {
        by_variable
            .replace("($currency: DisplayCurrency) ", "")
            .replace("$currency", currency)
    };
    let (of_document, of_variable) = (
        "Invalid type for Currency",
        "Invalid type for DisplayCurrency",
    );
    let wrong_value = "Invalid value for DisplayCurrency";
    for (currency, literal, variable) in [
        ("7", of_document, of_variable),
        ("true", of_document, of_variable),
        (r#"["USD"]"#, of_document, of_variable),
        (r#"{}"#, of_document, of_variable),
        (r#""""#, wrong_value, wrong_value),
        (r#""US""#, wrong_value, wrong_value),
        (r#""USDOLLAR""#, wrong_value, wrong_value),
    ] {
        let says = |message: &str| {
            format!(
                r#"{{"data":{{"realtimePrice":{{"errors":[{{"message":"{message}","code":null}}]}}}}}}"#
            )
        };
        assert_eq!(
            first(&mut client, &in_document(currency), "{}").await,
            says(literal),
            "{currency} in the document"
        );
        let told = first(
            &mut client,
            by_variable,
            &format!(r#"{{"currency":{currency}}}"#),
        )
        .await;
        assert_eq!(told, says(variable), "{currency} in a variable");
        let whole = "subscription ($input: RealtimePriceInput!) { realtimePrice(input: $input) { errors { message code } } }";
        let told = first(
            &mut client,
            whole,
            &format!(r#"{{"input":{{"currency":{currency}}}}}"#),
        )
        .await;
        assert_eq!(
            told,
            says(variable),
            "{currency} in a variable with the rest"
        );
    }
    let told = first(&mut client, by_variable, r#"{"currency":null}"#).await;
    assert_eq!(
        told,
        r#"{"data":{"realtimePrice":{"errors":[{"message":"Invalid currency.","code":"INVALID_INPUT"}]}}}"#
    );
}
