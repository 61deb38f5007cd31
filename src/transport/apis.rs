//! The plain-JSON APIs.

use std::sync::Arc;

use crate::accounts::Plans;
use crate::channels::Channels;

/// The plain-JSON APIs: what they share, and those that are switched on.
pub struct Apis {
    pub channels: Channels,
    /// What accounts have subscribed to.
    pub plans: Arc<Plans>,
}
