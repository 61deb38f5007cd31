//! The words of subscriptions over multipart responses.
//!
//! The text of the protocol is Apollo's "Multipart HTTP protocol for GraphQL subscriptions"; that of
//! `multipart/mixed` is RFC 2046, section 5.1. Each part ends with the delimiter of the next one, because
//! that is when a client knows that it is complete.

use super::{Farewell, Flow};
use crate::hub::Words;

/// It begins with the delimiter of the first part, and a part that says nothing says that we are there.
pub(in crate::transport) const FLOW: Flow = Flow {
    content_type: "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0",
    begin: "\r\n--graphql",
    beat: "\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql",
    interval: |limits| limits.multipart_heartbeat,
    farewell: Farewell::OfAll(fatal),
};

/// What is told of an operation; the last delimiter ends the response.
pub(in crate::transport) const WORDS: Words = Words {
    before_id: "\r\ncontent-type: application/json\r\n\r\n{\"payload\":",
    before_payload: "",
    after_payload: "}\r\n--graphql",
    before_completed: "--",
    after_completed: "\r\n",
};

/// The last part of a response that ends before its operation does, with the errors that say why.
fn fatal(errors: &str) -> String {
    format!(
        "\r\ncontent-type: application/json\r\n\r\n{{\"payload\":null,\"errors\":{errors}}}\r\n--graphql--\r\n"
    )
}
