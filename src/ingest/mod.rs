//! What comes in from outside, on its way to the bus.

mod publish;

pub use self::publish::{Refused, check};
