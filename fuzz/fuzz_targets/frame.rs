//! Whatever a client sends is a message or a close whose reason fits into a frame, in both subprotocols.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings::transport::ws::{graphql_transport_ws, graphql_ws};

fuzz_target!(|frame: &str| {
    for decode in [graphql_transport_ws::decode, graphql_ws::decode] {
        if let Err(close) = decode(frame) {
            assert!(close.code().is_some(), "{close:?}");
            assert!(close.reason().len() <= 123, "{close:?}");
        }
    }
});
