//! The plain-JSON APIs.

use std::sync::Arc;

use crate::accounts::Plans;
use crate::channels::Channels;
use crate::channels::allenhark::AllenHark;
use crate::channels::blockdb::BlockDb;
use crate::ingest::webhooks::Intake;

/// The plain-JSON APIs: what they share, and those that are switched on.
pub struct Apis {
    pub channels: Channels,
    /// What accounts have subscribed to.
    pub plans: Arc<Plans>,
    pub allenhark: Option<Arc<AllenHark>>,
    /// Takes in what WebSocks' clients hear.
    pub websocks: Option<Arc<Intake>>,
    pub blockdb: Option<Arc<BlockDb>>,
}
