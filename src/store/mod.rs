//! What is kept: keys and accounts.

use std::path::PathBuf;

use serde::Deserialize;

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    pub directory: PathBuf,
}
