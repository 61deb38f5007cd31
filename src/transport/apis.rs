//! The plain-JSON APIs.

use std::sync::Arc;

use crate::accounts::Plans;
use crate::channels::Channels;
use crate::ingest::webhooks::Intake;

/// The plain-JSON APIs: what they share, and those that are switched on.
pub struct Apis {
    pub channels: Channels,
    /// What accounts have subscribed to.
    pub plans: Arc<Plans>,
    /// Takes in what WebSocks' clients hear.
    pub websocks: Option<Arc<Intake>>,
}
