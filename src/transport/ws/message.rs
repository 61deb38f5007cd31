//! What clients say over a WebSocket, and how it is read: the same for both subprotocols.

use std::borrow::Cow;

use async_graphql::Variables;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Map;
use serde_json::value::RawValue;

use crate::graphql::{Request, Source};
use crate::transport::close::Close;
use crate::transport::introduction::Introduction;
use crate::transport::subscriptions::ID_BYTES;

/// What a client says.
#[derive(Debug)]
pub enum ClientMessage {
    ConnectionInit(Introduction),
    Subscribe {
        id: String,
        request: Request,
    },
    Complete {
        id: String,
    },
    /// With its payload, as the client wrote it.
    Ping(Option<String>),
    /// A ping whose payload has an `Authorization`: newer credentials, in the middle of the
    /// conversation. An extension of ours; to servers that do not know it, it is a ping.
    Refresh(SecretString),
    Pong,
    /// The client leaves, and waits for the socket to be closed.
    Terminate,
    /// Nothing of the protocol, in one that goes on after that: what is wrong, and with which operation.
    Invalid {
        id: Option<String>,
        wrong: Close,
    },
}

/// A text frame, taken apart so far as both subprotocols have it.
pub(super) struct Frame<'a> {
    pub(super) kind: String,
    id: Option<&'a RawValue>,
    payload: Option<&'a RawValue>,
}

impl<'a> Frame<'a> {
    /// An object with a `type`, perhaps an `id` and a `payload`; what else is in it is passed over.
    pub(super) fn read(text: &'a str) -> Result<Self, Close> {
        #[derive(Deserialize)]
        struct Keys<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<&'a RawValue>,
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            payload: Option<&'a RawValue>,
        }
        if !text.trim_start().starts_with('{') {
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            return Err(invalid(if is_json {
                "not a JSON object"
            } else {
                "not JSON"
            }));
        }
        let Keys { kind, id, payload } = serde_json::from_str(text).map_err(|error| {
            invalid(if error.is_data() {
                "a key appears twice"
            } else {
                "not JSON"
            })
        })?;
        let kind = kind.ok_or_else(|| invalid("`type` is missing"))?;
        let kind =
            serde_json::from_str(kind.get()).map_err(|_| invalid("`type` is not a string"))?;
        Ok(Frame { kind, id, payload })
    }

    /// The id of the operation that it is about.
    pub(super) fn id(&self) -> Result<String, Close> {
        let id = self.id.ok_or_else(|| invalid("`id` is missing"))?;
        let id: String =
            serde_json::from_str(id.get()).map_err(|_| invalid("`id` is not a string"))?;
        if id.is_empty() {
            Err(invalid("`id` is empty"))
        } else if id.len() > ID_BYTES {
            Err(invalid(format!("`id` is longer than {ID_BYTES} bytes")))
        } else {
            Ok(id)
        }
    }

    /// Its payload, which has to be an object where there is one. `null` is none.
    pub(super) fn object(&self) -> Result<Option<&'a RawValue>, Close> {
        match self.payload {
            Some(payload) if !is_object(payload) => {
                let kind = &self.kind;
                Err(invalid(format!("`payload` of {kind} is not an object")))
            }
            payload => Ok(payload),
        }
    }

    /// The payload of `connection_init`.
    pub(super) fn introduction(&self) -> Result<Introduction, Close> {
        match self.object()? {
            Some(payload) => Introduction::of_payload(payload).ok_or_else(|| invalid("not JSON")),
            None => Ok(Introduction::default()),
        }
    }

    /// The payload of what begins an operation.
    pub(super) fn request(&self) -> Result<Request, Close> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload<'a> {
            #[serde(borrow)]
            query: Option<&'a RawValue>,
            #[serde(borrow)]
            operation_name: Option<&'a RawValue>,
            #[serde(borrow)]
            variables: Option<&'a RawValue>,
            #[serde(borrow)]
            extensions: Option<&'a RawValue>,
            #[serde(borrow)]
            document_id: Option<&'a RawValue>,
        }
        let kind = &self.kind;
        let payload = self
            .object()?
            .ok_or_else(|| invalid(format!("`payload` of {kind} is missing")))?;
        let payload: Payload<'_> = serde_json::from_str(payload.get())
            .map_err(|_| invalid("a key of `payload` appears twice"))?;
        let text = |value: Option<&RawValue>, name: &str| match value {
            Some(value) => serde_json::from_str(value.get())
                .map_err(|_| invalid(format!("`payload.{name}` is not a string"))),
            None => Ok(None),
        };
        let query = text(payload.query, "query")?;
        let operation_name = text(payload.operation_name, "operationName")?;
        let document_id = text(payload.document_id, "documentId")?;
        let extensions = match payload.extensions {
            Some(extensions) => serde_json::from_str::<Map<_, _>>(extensions.get())
                .map_err(|_| invalid("`payload.extensions` is not an object"))?,
            None => Map::new(),
        };
        let source = Source::of(query, Some(&extensions), document_id)
            .map_err(|_| invalid("`payload.query` is missing"))?;
        let variables = match payload.variables {
            Some(variables) if is_object(variables) => serde_json::from_str(variables.get())
                .map_err(|_| invalid("`payload.variables` cannot be read"))?,
            Some(_) => return Err(invalid("`payload.variables` is not an object")),
            None => Variables::default(),
        };
        Ok(Request {
            source,
            operation_name,
            variables,
        })
    }
}

fn is_object(json: &RawValue) -> bool {
    json.get().starts_with('{')
}

pub(super) fn invalid(what: impl Into<Cow<'static, str>>) -> Close {
    Close::InvalidMessage(what.into())
}
