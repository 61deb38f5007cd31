//! Records of datasets of EVM chains.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cause, from_json};
use crate::filter::Term;
use crate::topic::Dataset;

/// A record of a dataset.
#[derive(Clone, Debug)]
pub struct DatasetRecord {
    /// Whether it takes the place of one that was told before: the chain was reorganised.
    pub is_reorg: bool,
    /// The record, as clients are told it.
    pub data: Box<RawValue>,
    /// What filters find it by.
    pub terms: Box<[Term]>,
}

impl DatasetRecord {
    pub(super) fn decode(_dataset: Dataset, body: &[u8]) -> Result<Self, Cause> {
        #[derive(Deserialize)]
        struct Body {
            is_reorg: bool,
            data: Box<RawValue>,
        }
        let Body { is_reorg, data } = from_json(body)?;
        Ok(DatasetRecord {
            is_reorg,
            data,
            terms: Box::default(),
        })
    }
}

impl PartialEq for DatasetRecord {
    fn eq(&self, other: &Self) -> bool {
        (self.is_reorg, self.data.get()) == (other.is_reorg, other.data.get())
    }
}
