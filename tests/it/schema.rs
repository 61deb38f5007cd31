//! The schema that is served is the one that is promised.

use std::process::Command;

/// What clients are generated from. A change to it is a change to the API.
const BLINK: &str = include_str!("../../schema/blink.graphql");
/// The same for what is served beside it.
const REWARDS: &str = include_str!("../../schema/rewards.graphql");

#[test]
fn the_schema_is_blinks_with_rewards_beside_it_and_nothing_else() {
    let output = Command::new(env!("CARGO_BIN_EXE_tidings"))
        .arg("schema")
        .env_clear()
        .output()
        .expect("tidings runs");
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).expect("it prints text");
    let mut rest = printed.clone();
    for definition in REWARDS.trim_end().split("\n\n") {
        rest = match definition.strip_prefix("extend ") {
            Some(extended) => without_fields(&rest, extended),
            None => without(&rest, &format!("{definition}\n\n")),
        };
    }
    let differs = rest
        .lines()
        .zip(BLINK.lines())
        .find(|(printed, promised)| printed != promised);
    assert_eq!(differs, None, "`tidings schema` and schema/*.graphql");
    assert_eq!(rest, BLINK);
}

/// A schema without the fields that a type is extended by: `type Name {`, fields, `}`.
fn without_fields(schema: &str, extended: &str) -> String {
    let (head, fields) = extended.split_once('\n').expect("a type with fields");
    let fields = fields.strip_suffix('}').expect("its end");
    let start = schema.find(&format!("\n{head}\n"));
    let start = start.unwrap_or_else(|| panic!("`tidings schema` has no {head}"));
    let end = start + schema[start..].find("\n}").expect("its end");
    let (before, after) = (&schema[..start], &schema[end..]);
    format!("{before}{}{after}", without(&schema[start..end], fields))
}

/// A text without a part that is there, once.
fn without(text: &str, part: &str) -> String {
    let times = text.matches(part).count();
    assert_eq!(times, 1, "times that `tidings schema` has this:\n{part}");
    text.replacen(part, "", 1)
}
