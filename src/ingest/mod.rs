//! What comes in from outside, on its way to the bus.

mod publish;
pub mod webhooks;

pub use self::publish::{Refused, check};
