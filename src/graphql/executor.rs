//! Running operations: by their plans, or by `async-graphql`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_graphql::{EmptyMutation, Response, Schema};
use futures_util::stream::BoxStream;

use super::plan::{Lookups, Plan, Reading};
use super::query::Query;
use super::question::Question;
use super::renderer::{Asking, Begun, Renderer, begin, failed, is_final};
use super::response::{GraphqlError, errors_json, invalid_json, result_json};
use super::subscription::Subscription;
use super::{Refusal, Sources};
use crate::auth::Identity;
use crate::event::Event;
use crate::filter::Filter;
use crate::hub::{self, Render, Rendered};

/// What operations run with.
pub(super) struct Executor {
    pub schema: Schema<Query, EmptyMutation, Subscription>,
    pub sources: Sources,
    pub lookups: Lookups,
}

impl Executor {
    /// Starts a subscription.
    ///
    /// One that has a plan starts nothing but that. What its field refuses is left to the general
    /// executor, which words it.
    pub(super) async fn start(
        self: &Arc<Self>,
        question: &Arc<Question>,
        identity: Identity,
    ) -> Result<hub::Plan, Refusal> {
        if let Some(plan) = &question.plan
            && let Ok(need) = plan.root.need(&self.sources, &identity).await
        {
            let renderer = Planned {
                plan: plan.clone(),
                question: question.clone(),
                executor: self.clone(),
                identity,
                completes: need.completes,
                general: None,
            };
            return Ok(hub::Plan {
                topics: need.topics,
                filter: Filter::default(),
                snapshot: need.snapshot,
                renderer: Box::new(renderer),
                invoice: need.invoice,
            });
        }
        self.start_generally(question, identity).await
    }

    /// The same by the general executor.
    pub(super) async fn start_generally(
        &self,
        question: &Question,
        identity: Identity,
    ) -> Result<hub::Plan, Refusal> {
        let document = question.flat();
        let document = document.map_err(|error| Refusal::Error(errors_json(&[error])))?;
        let execute = |asking| self.stream(question, document, asking);
        match begin(identity, question.origins, execute).await {
            Begun::Runs(plan) => Ok(plan),
            Begun::Failed(response) => Err(Refusal::Result(result_json(&response, false))),
            Begun::Invalid(response) => Err(Refusal::Error(invalid_json(&response.errors))),
        }
    }

    pub(super) fn stream(
        &self,
        question: &Question,
        document: async_graphql::parser::types::ExecutableDocument,
        asking: Arc<Asking>,
    ) -> BoxStream<'static, Response> {
        let mut execution = async_graphql::Request::new("").variables(question.variables.clone());
        execution.operation_name = question.name.as_ref().map(|name| name.to_string());
        execution.set_parsed_query(document);
        self.schema.execute_stream(execution.data(asking))
    }

    /// A general rendering of an operation that runs by its plan.
    pub(super) fn late(
        &self,
        question: &Question,
        identity: Identity,
        completes: bool,
    ) -> Result<Renderer, GraphqlError> {
        let document = question.flat()?;
        Ok(Renderer::late(
            identity,
            question.origins,
            completes,
            |asking| self.stream(question, document, asking),
        ))
    }
}

/// Renders events by a plan, and those that the plan leaves to the general executor by that.
struct Planned {
    plan: Arc<Plan>,
    question: Arc<Question>,
    executor: Arc<Executor>,
    identity: Identity,
    completes: bool,
    /// From the first event that needs it on: where one is an error, the next often is, too (an
    /// account that is not in the directory). It takes 14 KB, and far more time to start than to go on.
    general: Option<Box<Renderer>>,
}

impl Render for Planned {
    fn render(&mut self, event: &Arc<Event>) -> Rendered {
        let reading = Reading {
            identity: &self.identity,
            directory: &self.executor.sources.directory,
            lookups: &self.executor.lookups,
        };
        // A panic ends its own operation, and never its neighbours.
        let written = AssertUnwindSafe(|| self.plan.write(event, &reading));
        match catch_unwind(written) {
            Ok(Ok(payload)) => Rendered {
                payload,
                last: self.completes && is_final(event),
            },
            Ok(Err(_)) => self.render_generally(event),
            Err(_) => {
                tracing::error!("a plan panicked: its operation ends");
                failed()
            }
        }
    }
}

impl Planned {
    fn render_generally(&mut self, event: &Arc<Event>) -> Rendered {
        if self.general.is_none() {
            let identity = self.identity.clone();
            let renderer = self.executor.late(&self.question, identity, self.completes);
            self.general = renderer.ok().map(Box::new);
        }
        match &mut self.general {
            Some(general) => general.render(event),
            None => failed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_by_a_plan_is_small() {
        // There is one for each account that listens.
        assert!(size_of::<Planned>() <= 64, "{}", size_of::<Planned>());
    }
}
