//! The words of subscriptions over multipart responses.
//!
//! The text of the protocol is Apollo's "Multipart HTTP protocol for GraphQL subscriptions"; that of
//! `multipart/mixed` is RFC 2046, section 5.1. Each part ends with the delimiter of the next one, because
//! that is when a client knows that it is complete.

use crate::hub::Words;

/// For `Content-Type`.
pub(super) const CONTENT_TYPE: &str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0";

/// The first bytes: the delimiter of the first part.
pub(super) const BEGIN: &str = "\r\n--graphql";

/// A part that says nothing but that we are there.
pub(super) const HEARTBEAT: &str = "\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql";

/// What is told of an operation; the last delimiter ends the response.
pub(in crate::transport) const WORDS: Words = Words {
    before_id: "\r\ncontent-type: application/json\r\n\r\n{\"payload\":",
    before_payload: "",
    after_payload: "}\r\n--graphql",
    before_completed: "--",
    after_completed: "\r\n",
};

/// The last part of a response that ends before its operation does, with the errors that say why.
pub(super) fn fatal(errors: &str) -> String {
    format!(
        "\r\ncontent-type: application/json\r\n\r\n{{\"payload\":null,\"errors\":{errors}}}\r\n--graphql--\r\n"
    )
}
