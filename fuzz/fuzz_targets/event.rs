//! Whatever is published on a channel is an event, or refused with a reason.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidings::event::Event;
use tidings::topic::Topic;

/// One of each kind.
static TOPICS: LazyLock<[Topic; 5]> = LazyLock::new(|| {
    let hash = "LN_PAYMENT_STATUS_".to_owned() + &"0f".repeat(32);
    [
        "PRICE_UPDATE_USD",
        "USER_PRICE_UPDATE_USD",
        "ACCOUNT_UPDATE_21087d73-28c9-4d1f-9b0c-1a2b3c4d5e6f",
        &hash,
        "REWARDS_STATUS_123",
    ]
    .map(|channel| Topic::of_channel(channel).expect("a channel of ours"))
});

fuzz_target!(|body: &[u8]| {
    for topic in TOPICS.iter() {
        match Event::decode(topic, body) {
            Ok(event) => {
                event.slot();
                event.conflates();
            }
            Err(malformed) => assert!(!malformed.to_string().is_empty()),
        }
    }
});
