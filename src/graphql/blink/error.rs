//! Errors that are told inside of a payload, where the operation goes on.

use async_graphql::{Interface, Object};

use crate::event::EventError;

/// What went wrong. Payloads list such errors beside their news.
#[derive(Interface)]
#[graphql(
    name = "Error",
    field(name = "code", ty = "Option<String>"),
    field(name = "message", ty = "String"),
    field(name = "path", ty = "Option<Vec<Option<String>>>")
)]
pub enum Error {
    Application(GraphQLApplicationError),
}

/// The one kind of [`Error`] that there is.
pub struct GraphQLApplicationError(EventError);

/// An error of the application, not of the request.
#[Object(name = "GraphQLApplicationError")]
impl GraphQLApplicationError {
    async fn code(&self) -> Option<String> {
        self.0.code.clone()
    }

    async fn message(&self) -> String {
        self.0.message.clone()
    }

    async fn path(&self) -> Option<Vec<Option<String>>> {
        self.0.path.clone()
    }
}

impl From<EventError> for Error {
    fn from(error: EventError) -> Self {
        Error::Application(GraphQLApplicationError(error))
    }
}

/// The `errors` of a payload.
pub(super) fn errors(told: &[EventError]) -> Vec<Error> {
    told.iter().cloned().map(Error::from).collect()
}
