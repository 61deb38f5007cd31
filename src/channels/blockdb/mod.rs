//! BlockDB: datasets of EVM chains.
//!
//! What its clients may subscribe to, what they are told of it, and how much of it their plans have. What there is
//! to ask of a dataset is in the catalogue ([`Stream`]); what BlockDB's documentation leaves open is decided where
//! it is done.

mod distinct;
mod params;
mod refusal;
#[cfg(test)]
mod tests;

pub use self::distinct::Distinct;
pub use self::refusal::{Problem, Problems, Reason, Refusal};

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::{Form, Question};
use crate::accounts::AccountPlans;
use crate::event::{DatasetRecord, Event, Stream};
use crate::topic::{ChainId, Dataset, DatasetId, Topic};

/// `[blockdb]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockDbConfig {
    pub enabled: bool,
    pub chains: Vec<ChainId>,
    /// From the least to the most.
    pub plans: Vec<String>,
    pub required_plans: Vec<RequiredPlan>,
    pub aliases: Vec<Alias>,
    #[serde(with = "humantime_serde")]
    pub ping_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub pong_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// The longest message that a client may send.
    pub message_bytes: usize,
    pub messages_per_second: NonZeroU32,
    pub docs_url: Url,
}

/// A dataset that not every plan has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredPlan {
    pub dataset: DatasetId,
    /// The least one that has it.
    pub plan: String,
}

/// Another id of a dataset.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    pub id: DatasetId,
    pub means: DatasetId,
}

/// What the connections of this API share.
#[derive(Debug)]
pub struct BlockDb {
    pub config: BlockDbConfig,
}

/// What a client says about a dataset of a chain, before it is known whether there is such a thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub chain_id: Option<Value>,
    pub dataset_id: Option<Value>,
    pub params: Option<Value>,
    /// What else is in the message.
    pub others: Vec<String>,
}

/// A dataset of a chain, as a client calls it: what tells its subscriptions apart.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub chain: ChainId,
    /// As the client wrote it: perhaps an alias.
    pub dataset: DatasetId,
    stream: &'static Stream,
}

static RECORD: Form = Form {
    name: "blockdb",
    render: |_, event| {
        told(event, |record| {
            record.without_details.as_deref().unwrap_or(&record.data)
        })
    },
    gone: nothing,
};

static RECORD_WITH_DETAILS: Form = Form {
    name: "blockdb with details",
    render: |_, event| told(event, |record| &record.data),
    gone: nothing,
};

impl BlockDbConfig {
    /// What is wrong between settings that are right by themselves: the setting, and why.
    pub fn check(&self) -> Result<(), (String, String)> {
        let wrong = |key: &str, why: &str| Err((format!("blockdb.{key}"), why.to_owned()));
        if self.chains.is_empty() {
            return wrong("chains", "expected one chain at least");
        }
        if self.plans.is_empty() {
            return wrong(
                "plans",
                "expected one plan at least: that of accounts that have none",
            );
        }
        for (at, required) in self.required_plans.iter().enumerate() {
            if Stream::of_id(required.dataset).is_none() {
                let key = format!("required_plans[{at}].dataset");
                return wrong(&key, &format!("there is no dataset {}", required.dataset));
            }
            if !self.plans.contains(&required.plan) {
                let key = format!("required_plans[{at}].plan");
                return wrong(&key, "expected one of blockdb.plans");
            }
        }
        for (at, alias) in self.aliases.iter().enumerate() {
            if Stream::of_id(alias.id).is_some() {
                let why = format!("{} is a dataset: an alias cannot take its place", alias.id);
                return wrong(&format!("aliases[{at}].id"), &why);
            }
            if self.aliases[..at].iter().any(|other| other.id == alias.id) {
                let why = format!("{} is an alias already", alias.id);
                return wrong(&format!("aliases[{at}].id"), &why);
            }
            if Stream::of_id(alias.means).is_none() {
                let why = format!("there is no dataset {}", alias.means);
                return wrong(&format!("aliases[{at}].means"), &why);
            }
        }
        Ok(())
    }

    /// The API of these settings, if it is switched on.
    pub fn api(&self) -> Option<Arc<BlockDb>> {
        let config = self.clone();
        self.enabled.then(|| Arc::new(BlockDb { config }))
    }
}

impl BlockDb {
    /// What a client of an account with these plans asks when it subscribes to this.
    pub fn question(
        &self,
        request: &Request,
        plans: &AccountPlans,
    ) -> Result<(Target, Question), Refusal> {
        let mut problems = Problems::default();
        for other in &request.others {
            // What is not understood may be a filter that is misspelt: that must not ask for everything.
            problems.add(other.clone(), Reason::Unknown);
        }
        let target = self.read_target(request, &mut problems);
        let none = Map::new();
        let params = match &request.params {
            None | Some(Value::Null) => Some(&none),
            Some(Value::Object(params)) => Some(params),
            Some(_) => {
                problems.add("params", Reason::InvalidType);
                None
            }
        };
        let wanted = match (target, params) {
            (Some(target), Some(params)) => {
                Some((target, params::read(target.stream, params, &mut problems)))
            }
            _ => None,
        };
        let (target, wanted) = problems.none(wanted)?;
        if let Some(plan) = self.missing_plan(target.stream.id, plans) {
            return Err(Refusal::Plan(plan.to_owned()));
        }
        let question = Question {
            topic: Topic::Dataset(Dataset {
                chain: target.chain,
                id: target.stream.id,
            }),
            filter: wanted.filter,
            form: match wanted.has_details {
                true => &RECORD_WITH_DETAILS,
                false => &RECORD,
            },
        };
        Ok((target, question))
    }

    /// What a client means that wants to leave this.
    pub fn target(&self, request: &Request) -> Result<Target, Refusal> {
        let mut problems = Problems::default();
        let target = self.read_target(request, &mut problems);
        problems.none(target)
    }

    fn read_target(&self, request: &Request, problems: &mut Problems) -> Option<Target> {
        let chain = self.read_chain(request.chain_id.as_ref(), problems);
        let dataset = self.read_dataset(request.dataset_id.as_ref(), problems);
        let (chain, (dataset, stream)) = chain.zip(dataset)?;
        Some(Target {
            chain,
            dataset,
            stream,
        })
    }

    fn read_chain(&self, given: Option<&Value>, problems: &mut Problems) -> Option<ChainId> {
        let reason = match given {
            None | Some(Value::Null) => Reason::Missing,
            Some(Value::Number(number)) => {
                let chain = number.as_u64().and_then(ChainId::of_number);
                match chain.filter(|chain| self.config.chains.contains(chain)) {
                    Some(chain) => return Some(chain),
                    None => {
                        let allowed = self.config.chains.iter();
                        let allowed = allowed.map(|chain| Value::from(chain.get()));
                        problems.unsupported("chain_id", allowed.collect());
                        return None;
                    }
                }
            }
            Some(_) => Reason::InvalidType,
        };
        problems.add("chain_id", reason);
        None
    }

    fn read_dataset(
        &self,
        given: Option<&Value>,
        problems: &mut Problems,
    ) -> Option<(DatasetId, &'static Stream)> {
        let text = match given {
            Some(Value::String(text)) => text,
            // Of a number the zero in front is lost: 101 may be 0101, or a slip.
            Some(given) if !given.is_null() => {
                problems.add("dataset_id", Reason::InvalidType);
                return None;
            }
            _ => {
                problems.add("dataset_id", Reason::Missing);
                return None;
            }
        };
        let found = DatasetId::parse(text).and_then(|id| Some((id, self.stream(id)?)));
        if found.is_none() {
            let allowed = Stream::ALL.iter();
            let allowed = allowed.map(|stream| Value::from(stream.id.as_str()));
            problems.unsupported("dataset_id", allowed.collect());
        }
        found
    }

    fn stream(&self, id: DatasetId) -> Option<&'static Stream> {
        Stream::of_id(id).or_else(|| {
            let mut aliases = self.config.aliases.iter();
            let alias = aliases.find(|alias| alias.id == id)?;
            Stream::of_id(alias.means)
        })
    }

    /// The plan that an account would need for a dataset and has not.
    fn missing_plan(&self, dataset: DatasetId, plans: &AccountPlans) -> Option<&str> {
        let rank = |plan: &str| self.config.plans.iter().position(|known| known == plan);
        // A plan that is not there any more is as good as none.
        let has = plans.blockdb.as_deref().and_then(rank).unwrap_or(0);
        let required = self.config.required_plans.iter();
        let required = required.filter(|required| required.dataset == dataset);
        let required = required.filter_map(|required| Some((rank(&required.plan)?, required)));
        let (needs, required) = required.max_by_key(|(rank, _)| *rank)?;
        (has < needs).then_some(&*required.plan)
    }
}

impl Target {
    /// What names it among the subscriptions of a connection, as channels are named: `1_0103`.
    pub fn name(&self) -> String {
        let Target { chain, dataset, .. } = self;
        format!("{chain}_{dataset}")
    }
}

/// What is told of a record, behind the ids: they are the client's own, which may be an alias.
fn told(event: &Event, data: impl Fn(&DatasetRecord) -> &str) -> String {
    match event {
        Event::Dataset(record) => {
            let (is_reorg, data) = (record.is_reorg, data(record));
            format!(r#""is_reorg":{is_reorg},"data":{data}"#)
        }
        _ => String::new(),
    }
}

/// What a chain says is public, and stays so.
fn nothing(_: &Topic) -> String {
    String::new()
}
