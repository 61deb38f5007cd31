//! GraphQL: from a request to a running operation, or to one result.
//!
//! Its document is said by its text, by the hash of that or by an id (see `document`): what is not
//! known, or not allowed, goes no further.
//!
//! What a request means is found out once, and kept (see `question`): it is parsed, validated, laid
//! flat at its root, and compiled into a `plan`. A subscription is then looked up: if somebody asks
//! the same already (document, operation, variables and scope), the asker joins what runs. Else it
//! starts, once for all who will ask the same. Its plan writes what each event says; what no plan can
//! say (errors, documents that are not compiled) `async-graphql` does.

pub mod blink;
mod document;
mod documents;
mod executor;
mod extent;
mod json;
mod need;
mod origins;
mod persisted;
mod plan;
mod query;
mod question;
mod renderer;
mod request;
mod response;
mod rewards;
mod root;
pub mod scalars;
mod subscription;
mod variables;

pub use self::persisted::{BadManifest, DocumentsConfig, PersistedDocuments};
pub use self::request::{BadRequest, Request, Source};
pub use self::response::{GraphqlError, errors_json, refused_json};

use std::sync::Arc;

pub use async_graphql::parser::types::OperationType;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition};
use async_graphql::{EmptyMutation, Name, Positioned, Schema, ServerError, Value, Variables};

use self::blink::{InvoiceRequests, LatestPrices};
use self::document::{Hash, Parsed};
use self::documents::{Documents, NoDocument};
use self::executor::Executor;
use self::origins::Origins;
use self::plan::{Interfaces, Lookups, NotPlanned, Plan};
use self::query::Query;
use self::question::{Prepared, Question, Questions, fingerprint};
use self::response::{invalid_json, result_json};
use self::subscription::{Subscription, scope_of};
use self::variables::InputTypes;
use crate::accounts::Directory;
use crate::auth::Identity;
use crate::event::{Event, PriceUpdate};
use crate::hub::{Asker, Envelope, Hub, Membership, NotStarted, OperationKey, Outbox, Render};
use crate::topic::{Currency, Topic};

/// Answers GraphQL requests.
pub struct Graphql {
    executor: Arc<Executor>,
    input_types: InputTypes,
    interfaces: Interfaces,
    documents: Documents,
    questions: Questions,
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
    /// Parsed documents to keep, and as much of what is made of them.
    pub documents: u64,
}

/// The answer to a query, as JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    pub json: String,
    /// Nothing was executed: an HTTP status says so to clients that expect it to.
    pub is_request_error: bool,
}

/// Why a subscription does not run.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// It was not executed: the errors, as a JSON list, for an `error` message.
    Error(String),
    /// It was executed to an error: a result, after which it completes.
    Result(String),
}

impl Graphql {
    pub fn new(sources: Sources, limits: RequestLimits, persisted: PersistedDocuments) -> Self {
        let lookups = sources.lookups();
        let schema = schema(Some(&sources), limits);
        let sdl = schema.sdl();
        Graphql {
            input_types: InputTypes::of_sdl(&sdl),
            interfaces: Interfaces::of_sdl(&sdl),
            documents: Documents::new(limits.documents, limits.complexity, persisted),
            questions: Questions::new(limits.documents),
            hub: sources.hub.clone(),
            executor: Arc::new(Executor {
                schema,
                sources,
                lookups,
            }),
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
        let question = self.question(&request).await?;
        let asker = Asker::new(outbox, envelope);
        let key = OperationKey {
            scope: scope_of(&question.field, identity),
            question: question.fingerprint,
        };
        if let Some(membership) = self.hub.join(&key, asker) {
            return Ok(membership);
        }
        let plan = self.executor.start(&question, key.scope.runs_as()).await?;
        Ok(self.hub.start(key, plan, asker).await?)
    }

    /// The number that stands for what a request asks: the benches measure what finding it out costs.
    #[doc(hidden)]
    pub async fn ask(&self, request: &Request) -> Result<[u8; 32], Refusal> {
        Ok(self.question(request).await?.fingerprint)
    }

    /// What renders a subscription, outside of a hub: the benches measure that alone.
    #[doc(hidden)]
    pub async fn renderer(
        &self,
        identity: &Identity,
        request: &Request,
    ) -> Result<Box<dyn Render>, Refusal> {
        let question = self.question(request).await?;
        let identity = scope_of(&question.field, identity).runs_as();
        Ok(self.executor.start(&question, identity).await?.renderer)
    }

    /// The same by the general executor.
    #[doc(hidden)]
    pub async fn general_renderer(
        &self,
        identity: &Identity,
        request: &Request,
    ) -> Result<Box<dyn Render>, Refusal> {
        let question = self.question(request).await?;
        let identity = scope_of(&question.field, identity).runs_as();
        let started = self.executor.start_generally(&question, identity).await?;
        Ok(started.renderer)
    }

    /// What a request asks: found out once, however many send it.
    ///
    /// That a document is not known, or not allowed, is not kept: it may be said any moment.
    async fn question(&self, request: &Request) -> Prepared {
        let refused = |why: NoDocument| Refusal::Error(errors_json(&[why.into()]));
        let hash = self.documents.identify(&request.source).map_err(refused)?;
        let name = request.operation_name.as_deref();
        let sent = fingerprint(&hash, name, &request.variables);
        if let Some(prepared) = self.questions.get(&sent) {
            return prepared;
        }
        let text = request.source.text();
        let parsed = self.documents.find(hash, text).map_err(refused)?;
        let prepared = self.prepare(request, hash, &parsed).await.map(Arc::new);
        // What is no document is not found by its hash here either.
        if parsed.document.is_ok() {
            self.questions.keep(sent, prepared.clone());
        }
        prepared
    }

    async fn prepare(
        &self,
        request: &Request,
        hash: Hash,
        parsed: &Arc<Parsed>,
    ) -> Result<Question, Refusal> {
        let refused = |error: GraphqlError| Refusal::Error(errors_json(&[error]));
        let (document, name, operation) = meant(parsed, request).map_err(refused)?;
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
        Ok(Question {
            fingerprint: fingerprint(&hash, name.map(|name| name.as_str()), &variables),
            origins: Origins::of(&flat.root),
            field: flat.root.name.node.clone(),
            plan: self.plan(&flat, &variables).map(Arc::new).ok(),
            name: name.cloned(),
            variables,
            parsed: parsed.clone(),
        })
    }

    /// The plan of a subscription whose document is valid.
    fn plan(&self, flat: &root::Subscription, variables: &Variables) -> Result<Plan, NotPlanned> {
        // Validation has seen the document without its variables. Where one is null, or not there, it
        // may yet say no, and the general executor lets it.
        let operation = flat.document.operations.iter().next();
        let (_, operation) = operation.ok_or(NotPlanned)?;
        let are_there = operation
            .node
            .variable_definitions
            .iter()
            .all(|definition| {
                let value = variables.get(&definition.node.name.node);
                value.is_some_and(|value| *value != Value::Null)
            });
        if !(flat.is_plain && are_there) {
            return Err(NotPlanned);
        }
        let document = plan::Document {
            fragments: &flat.document.fragments,
            variables,
            interfaces: &self.interfaces,
            input_types: &self.input_types,
        };
        Plan::of(&document, &flat.root)
    }

    /// What validation says of a document that holds a subscription: of all of it, as it is written.
    /// It is asked once for each document.
    async fn invalid(&self, document: &ExecutableDocument, name: Option<&Name>) -> Option<String> {
        let errors = self.validate(document.clone(), name).await;
        errors.map(|errors| invalid_json(&errors))
    }

    /// The same as it is. Nothing runs, whatever else is in the document.
    async fn validate(
        &self,
        document: ExecutableDocument,
        name: Option<&Name>,
    ) -> Option<Vec<ServerError>> {
        let mut execution = async_graphql::Request::new("");
        execution.operation_name = name.map(|name| name.to_string());
        execution.set_parsed_query(document);
        let response = self.executor.schema.execute(execution).await;
        match &response.errors[..] {
            // That is said of a document that is valid.
            [error] if error.message == "Subscriptions are not supported on this transport." => {
                None
            }
            _ => Some(response.errors),
        }
    }

    /// Says in the log which trusted documents are not valid here. That is no mistake: the manifest of
    /// an app holds what it asks of other servers, too.
    pub async fn look_at_manifest(&self) {
        // A query would be executed, a subscription is only validated.
        let any = "subscription { realtimePrice(input: {}) { errors { code } } }";
        let any = document::parse(any).expect("it is GraphQL");
        let mut invalid = Vec::new();
        let mut count = 0_usize;
        for (id, parsed) in self.documents.trusted() {
            count += 1;
            // Clients are let in meanwhile, and there may be thousands of documents.
            tokio::task::yield_now().await;
            let error = match &parsed.document {
                Ok(document) => {
                    let (document, name) = document::with_operation(document.clone(), &any);
                    let errors = self.validate(document, Some(&name)).await;
                    errors.and_then(|errors| Some(errors.into_iter().next()?.message))
                }
                Err(error) => Some(error.message.clone()),
            };
            if let Some(error) = error {
                tracing::debug!(id, error, "a trusted document is not valid here");
                invalid.push((id, error));
            }
        }
        // Always the same one.
        if let Some((id, error)) = invalid.iter().min() {
            tracing::warn!(
                documents = count,
                invalid = invalid.len(),
                first.id = id,
                first.error = error,
                "some documents of the manifest are not valid here: they are answered with their errors"
            );
        }
    }

    /// What kind of operation a request means: the transport is chosen by it. Nothing but the parser
    /// has seen the document then.
    pub fn operation_type(&self, request: &Request) -> Result<OperationType, Answer> {
        let parsed = self.document(request)?;
        let (_, _, operation) = meant(&parsed, request).map_err(Answer::refused)?;
        Ok(operation.node.ty)
    }

    /// The document that a request means.
    fn document(&self, request: &Request) -> Result<Arc<Parsed>, Answer> {
        let found = self.documents.identify(&request.source);
        found
            .and_then(|hash| self.documents.find(hash, request.source.text()))
            .map_err(|why| Answer::refused(why.into()))
    }

    /// Executes a query.
    pub async fn execute(&self, identity: &Identity, request: Request) -> Answer {
        let parsed = match self.document(&request) {
            Ok(parsed) => parsed,
            Err(answer) => return answer,
        };
        let (document, name, operation) = match meant(&parsed, &request) {
            Ok(meant) => meant,
            Err(error) => return Answer::refused(error),
        };
        if operation.node.ty == OperationType::Subscription {
            let message = "A subscription needs an answer that goes on: a WebSocket with the subprotocol graphql-transport-ws, \
                 or a request with Accept: text/event-stream or multipart/mixed;subscriptionSpec=1.0";
            return Answer::refused(GraphqlError::new(message));
        }
        let variables = match self
            .input_types
            .coerce(&operation.node.variable_definitions, &request.variables)
        {
            Ok(variables) => variables,
            Err(wrong) => return Answer::of_request_error(refused_json(&wrong)),
        };
        let mut execution = async_graphql::Request::new("").variables(variables);
        execution.operation_name = name.map(|name| name.to_string());
        execution.set_parsed_query(document.clone());
        let execution = execution.data(identity.clone());
        let response = self.executor.schema.execute(execution).await;
        // A request error has neither data nor a path; an execution error has at least the latter.
        let is_executed = response.errors.iter().all(|error| !error.path.is_empty())
            || response.data != Value::Null;
        if is_executed {
            Answer {
                json: result_json(&response, true),
                is_request_error: false,
            }
        } else {
            let errors = invalid_json(&response.errors);
            Answer::of_request_error(format!(r#"{{"errors":{errors}}}"#))
        }
    }
}

impl Answer {
    fn refused(error: GraphqlError) -> Self {
        Answer::of_request_error(refused_json(&[error]))
    }

    fn of_request_error(json: String) -> Self {
        Answer {
            json,
            is_request_error: true,
        }
    }
}

/// The document of a request, and the operation of it that is meant.
fn meant<'a>(
    parsed: &'a Parsed,
    request: &Request,
) -> Result<
    (
        &'a ExecutableDocument,
        Option<&'a Name>,
        &'a Positioned<OperationDefinition>,
    ),
    GraphqlError,
> {
    let document = parsed.document.as_ref().map_err(Clone::clone)?;
    let (name, operation) = document::operation(document, request.operation_name.as_deref())
        .ok_or_else(|| GraphqlError::new("Unable to identify operation"))?;
    Ok((document, name, operation))
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
    sources: Option<&Sources>,
    limits: RequestLimits,
) -> Schema<Query, EmptyMutation, Subscription> {
    let mut builder = blink::complete(Schema::build(Query, EmptyMutation, Subscription))
        .limit_depth(limits.depth)
        .limit_complexity(limits.complexity)
        .disable_suggestions();
    if let Some(sources) = sources {
        let Lookups { latest, requests } = sources.lookups();
        builder = builder.data(latest).data(requests).data(sources.clone());
    }
    builder.finish()
}

impl Sources {
    fn lookups(&self) -> Lookups {
        let hub = self.hub.clone();
        let latest = LatestPrices(Arc::new(move |currency| latest_price(&hub, currency)));
        let hub = self.hub.clone();
        let requests = InvoiceRequests(Arc::new(move |hash| hub.known_request(hash)));
        Lookups { latest, requests }
    }
}

fn latest_price(hub: &Hub, currency: Currency) -> Option<Arc<crate::event::PriceTick>> {
    match &*hub.last(&Topic::Price(currency), 0)? {
        Event::Price(PriceUpdate::Tick(tick)) => Some(tick.clone()),
        _ => None,
    }
}

impl Refusal {
    fn bytes(&self) -> usize {
        let (Refusal::Error(json) | Refusal::Result(json)) = self;
        json.len()
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
