//! Errors that are told inside of a payload, where the operation goes on.

use async_graphql::{Interface, Object};

use crate::event::EventError;
use crate::graphql::json;
use crate::graphql::plan::{Asked, Bail, NotPlanned, Object, Told, Write};

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

/// What a field of an interface returns if it may fail. The library drops the path of an error that
/// such a field returns as a `Result` by that name; one that is told as a value keeps it.
pub(super) type Fallible<T> = Result<T, async_graphql::Error>;

/// The `errors` of a payload.
pub(super) fn errors(told: &[EventError]) -> Vec<Error> {
    told.iter().cloned().map(Error::from).collect()
}

impl Told for GraphQLApplicationError {
    type Value = EventError;

    fn field(asked: &Asked<'_>) -> Result<Write<EventError>, NotPlanned> {
        Ok(match asked.name() {
            "code" => Write::value(|error: &EventError, json| {
                json::optional(json, error.code.as_deref());
            }),
            "message" => {
                Write::value(|error: &EventError, json| json::string(json, &error.message))
            }
            "path" => Write::value(|error: &EventError, json| match &error.path {
                Some(path) => json::list(json, path, |json, segment| {
                    json::optional(json, segment.as_deref());
                }),
                None => json.push_str("null"),
            }),
            _ => return Err(NotPlanned),
        })
    }
}

/// What is written for the `errors` of a payload.
pub(super) fn told_errors<T>(
    asked: &Asked<'_>,
    errors: impl Fn(&T) -> &[EventError] + Send + Sync + 'static,
) -> Result<Write<T>, NotPlanned> {
    let object = Object::<GraphQLApplicationError>::one_of("Error", asked)?;
    Ok(Write::nested(object.size(), move |told, lookups, json| {
        told_list(json, errors(told), |json, error| {
            object.write(error, lookups, json)
        })
    }))
}

/// A list of objects, of which any may be an error.
pub(super) fn told_list<T>(
    json: &mut String,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> Result<(), Bail>,
) -> Result<(), Bail> {
    let mut all = Ok(());
    json::list(json, items, |json, item| {
        all = std::mem::replace(&mut all, Ok(())).and_then(|()| write(json, item));
    });
    all
}
