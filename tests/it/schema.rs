//! The schema that is served is the one that is promised.

use std::process::Command;

/// What clients are generated from. A change to it is a change to the API.
const PROMISED: &str = include_str!("../../schema/blink.graphql");

#[test]
fn the_schema_is_the_promised_one() {
    let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("schema")
        .env_clear()
        .output()
        .expect("tidings runs");
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).expect("it prints text");
    let differs = printed
        .lines()
        .zip(PROMISED.lines())
        .find(|(printed, promised)| printed != promised);
    assert_eq!(differs, None, "`tidings schema` and schema/blink.graphql");
    assert_eq!(printed, PROMISED);
}
