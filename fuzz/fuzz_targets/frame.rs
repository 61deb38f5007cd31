//! Whatever a client sends is a message or a close whose reason fits into a frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings::transport::ws::decode_frame;

fuzz_target!(|frame: &str| {
    if let Err(close) = decode_frame(frame) {
        assert!(close.code().is_some(), "{close:?}");
        assert!(close.reason().len() <= 123, "{close:?}");
    }
});
