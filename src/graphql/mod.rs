//! GraphQL: from a request to a running operation, or to one result.
//!
//! A subscription is parsed, laid flat at its root, and looked up: if somebody asks the same already
//! (document, operation, variables and scope), the asker joins what runs. Else it is validated and
//! resolved by `async-graphql`, once for all who will ask the same.

pub mod blink;
mod document;
mod extent;
mod origins;
mod query;
mod renderer;
mod response;
mod rewards;
mod root;
pub mod scalars;
mod subscription;
mod variables;

pub use self::response::{GraphqlError, errors_json, refused_json};

use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{EmptyMutation, Name, Schema, Value, Variables};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use self::blink::{InvoiceRequests, LatestPrices};
use self::document::Documents;
use self::origins::Origins;
use self::query::Query;
use self::renderer::{Asking, Begun, begin};
use self::response::{invalid_json, result_json};
use self::subscription::{Subscription, scope_of};
use self::variables::InputTypes;
use crate::accounts::Directory;
use crate::auth::Identity;
use crate::event::{Event, PriceUpdate};
use crate::hub::{Envelope, Hub, Membership, NotStarted, OperationKey, Outbox};
use crate::topic::{Currency, Topic};

/// Answers GraphQL requests.
pub struct Graphql {
    schema: Schema<Query, EmptyMutation, Subscription>,
    input_types: InputTypes,
    documents: Documents,
    hub: Arc<Hub>,
}

/// What resolvers need.
#[derive(Clone)]
pub struct Sources {
    pub hub: Arc<Hub>,
    pub directory: Arc<Directory>,
    /// The currencies that are quoted.
    pub currencies: Arc<[Currency]>,
    /// Of accounts that the directory does not know.
    pub default_display_currency: Currency,
    /// Whether an invoice's subscription completes once it is paid or has expired.
    pub complete_when_final: bool,
}

/// How large a request may be.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    pub depth: usize,
    /// Fields in all.
    pub complexity: usize,
    /// Parsed documents to keep.
    pub documents: u64,
}

/// What a client asks, over whatever transport.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub query: String,
    #[serde(default)]
    pub operation_name: Option<String>,
    #[serde(default, deserialize_with = "variables_or_null")]
    pub variables: Variables,
}

/// Why a subscription does not run.
#[derive(Debug)]
pub enum Refusal {
    /// It was not executed: the errors, as a JSON list, for an `error` message.
    Error(String),
    /// It was executed to an error: a result, after which it completes.
    Result(String),
}

impl Graphql {
    pub fn new(sources: Sources, limits: RequestLimits) -> Self {
        let schema = schema(Some(sources.clone()), limits);
        Graphql {
            input_types: InputTypes::of_sdl(&schema.sdl()),
            schema,
            documents: Documents::new(limits.documents, limits.complexity),
            hub: sources.hub,
        }
    }

    /// Starts a subscription, or joins the one that answers the same question.
    ///
    /// Its results go to `outbox` in `envelope`, the snapshot first.
    pub async fn subscribe(
        &self,
        identity: &Identity,
        request: Request,
        outbox: &Arc<Outbox>,
        envelope: &Envelope,
    ) -> Result<Membership, Refusal> {
        let refused = |error: GraphqlError| Refusal::Error(errors_json(&[error]));
        let parsed = self.documents.parse(&request.query);
        let document = parsed
            .document
            .as_ref()
            .map_err(|error| refused(error.clone()))?;
        let (name, operation) = document::operation(document, request.operation_name.as_deref())
            .ok_or_else(|| refused(GraphqlError::new("Unable to identify operation")))?;
        if operation.node.ty != OperationType::Subscription {
            return Err(refused(GraphqlError::new(
                "Only subscription operations are supported",
            )));
        }
        let coerced = self
            .input_types
            .coerce(&operation.node.variable_definitions, &request.variables);
        let given = coerced.as_ref().cloned().unwrap_or_default();
        let flat = root::subscription(document, name, operation, &given).map_err(refused)?;
        // An invalid document is answered before wrong variables are.
        let invalid = parsed.invalid.get_or_init(|| self.invalid(document, name));
        if let Some(errors) = invalid.await {
            return Err(Refusal::Error(errors.clone()));
        }
        let variables = coerced.map_err(|wrong| Refusal::Result(refused_json(&wrong)))?;
        let origins = Origins::of(&flat.root);
        let execute = |asking: Arc<Asking>| {
            let mut execution = async_graphql::Request::new("").variables(variables.clone());
            execution.operation_name = name.map(|name| name.to_string());
            execution.set_parsed_query(flat.document.clone());
            self.schema.execute_stream(execution.data(asking))
        };
        let key = OperationKey {
            scope: scope_of(flat.root.name.node.as_str(), identity),
            question: question(&request.query, name.map(|name| name.as_str()), &variables),
        };
        if let Some(membership) = self.hub.join(&key, outbox, envelope) {
            return Ok(membership);
        }
        match begin(key.scope.runs_as(), origins, execute).await {
            Begun::Runs(plan) => Ok(self.hub.start(key, plan, outbox, envelope).await?),
            Begun::Failed(response) => Err(Refusal::Result(result_json(&response, false))),
            Begun::Invalid(response) => Err(Refusal::Error(invalid_json(&response.errors))),
        }
    }

    /// What validation says of a document that holds a subscription: of all of it, as it is written.
    /// It is asked once for each document.
    async fn invalid(&self, document: &ExecutableDocument, name: Option<&Name>) -> Option<String> {
        let mut execution = async_graphql::Request::new("");
        execution.operation_name = name.map(|name| name.to_string());
        execution.set_parsed_query(document.clone());
        let response = self.schema.execute(execution).await;
        match &response.errors[..] {
            // That is said of a document that is valid.
            [error] if error.message == "Subscriptions are not supported on this transport." => {
                None
            }
            errors => Some(invalid_json(errors)),
        }
    }

    /// Executes a query, and gives its result as JSON.
    pub async fn execute(&self, identity: &Identity, request: Request) -> String {
        let parsed = self.documents.parse(&request.query);
        let document = match &parsed.document {
            Ok(document) => document,
            Err(error) => return refused_json(std::slice::from_ref(error)),
        };
        let Some((name, operation)) =
            document::operation(document, request.operation_name.as_deref())
        else {
            return refused_json(&[GraphqlError::new("Unable to identify operation")]);
        };
        if operation.node.ty == OperationType::Subscription {
            let message =
                "Subscriptions are served over WebSocket, by the protocol graphql-transport-ws";
            return refused_json(&[GraphqlError::new(message)]);
        }
        let variables = match self
            .input_types
            .coerce(&operation.node.variable_definitions, &request.variables)
        {
            Ok(variables) => variables,
            Err(wrong) => return refused_json(&wrong),
        };
        let mut execution = async_graphql::Request::new("").variables(variables);
        execution.operation_name = name.map(|name| name.to_string());
        execution.set_parsed_query(document.clone());
        let response = self.schema.execute(execution.data(identity.clone())).await;
        // A request error has neither data nor a path; an execution error has at least the latter.
        let is_executed = response.errors.iter().all(|error| !error.path.is_empty())
            || response.data != Value::Null;
        if is_executed {
            result_json(&response, true)
        } else {
            format!(r#"{{"errors":{}}}"#, invalid_json(&response.errors))
        }
    }
}

/// The SDL of the schema that is served.
pub fn sdl() -> String {
    let limits = RequestLimits {
        depth: usize::MAX,
        complexity: usize::MAX,
        documents: 0,
    };
    blink::sdl(&schema(None, limits))
}

fn schema(
    sources: Option<Sources>,
    limits: RequestLimits,
) -> Schema<Query, EmptyMutation, Subscription> {
    let mut builder = blink::complete(Schema::build(Query, EmptyMutation, Subscription))
        .limit_depth(limits.depth)
        .limit_complexity(limits.complexity)
        .disable_suggestions();
    if let Some(sources) = sources {
        let hub = sources.hub.clone();
        builder = builder.data(LatestPrices(Arc::new(move |currency| {
            latest_price(&hub, currency)
        })));
        let hub = sources.hub.clone();
        builder = builder.data(InvoiceRequests(Arc::new(move |hash| {
            hub.known_request(hash)
        })));
        builder = builder.data(sources);
    }
    builder.finish()
}

fn latest_price(hub: &Hub, currency: Currency) -> Option<Arc<crate::event::PriceTick>> {
    match &*hub.last(&Topic::Price(currency), 0)? {
        Event::Price(PriceUpdate::Tick(tick)) => Some(tick.clone()),
        _ => None,
    }
}

impl From<NotStarted> for Refusal {
    fn from(why: NotStarted) -> Self {
        let code = match why {
            NotStarted::Forbidden => {
                tracing::error!("a resolver asked for a topic that its identity must not hear");
                "NOT_AUTHORIZED"
            }
            NotStarted::TooManyTopics => "TOO_MANY_TOPICS",
        };
        Refusal::Error(errors_json(&[
            GraphqlError::new(why.to_string()).coded(code)
        ]))
    }
}

/// What is asked, as one number: equal for equal questions alone.
fn question(query: &str, name: Option<&str>, variables: &Variables) -> [u8; 32] {
    let mut variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), sorted(value)))
        .collect();
    variables.sort_by_key(|(name, _)| *name);
    let variables = serde_json::to_vec(&variables).expect("variables are JSON");
    let mut hash = Sha256::new();
    for part in [
        query.as_bytes(),
        name.unwrap_or_default().as_bytes(),
        &variables,
    ] {
        // The length keeps one part from being taken for another.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A value with the keys of its objects in order, so that equal values are written alike.
fn sorted(value: &Value) -> serde_json::Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.to_string(), sorted(value)))
            .collect(),
        Value::List(items) => items.iter().map(sorted).collect(),
        // No string: a variable of an enum in a literal default is not the same as one in JSON.
        Value::Enum(name) => serde_json::json!({ " enum": name.as_str() }),
        value => value.clone().into_json().unwrap_or_default(),
    }
}

fn variables_or_null<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Variables, D::Error> {
    Option::<Variables>::deserialize(deserializer).map(Option::unwrap_or_default)
}
