//! The words of GraphQL over Server-Sent Events.
//!
//! The text of the protocol is `PROTOCOL.md` of <https://github.com/enisdenjo/graphql-sse>; that of event
//! streams is in the HTML standard, section 9.2.

use crate::hub::Words;

/// For `Content-Type`.
pub(super) const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

/// A comment: the first bytes of a stream, which tell proxies and clients that it has begun, and those that
/// tell them now and then that it is still there.
pub(super) const COMMENT: &str = ":\n\n";

/// Where a connection has one operation. `data:` has to be there in `complete`, though it is empty: a
/// browser passes over an event without.
pub(in crate::transport) const DISTINCT: Words = Words {
    before_id: "event: next\ndata: ",
    before_payload: "",
    after_payload: "\n\n",
    before_completed: "event: complete\ndata:",
    after_completed: "\n\n",
};

/// Where it has many.
pub(in crate::transport) const SINGLE: Words = Words {
    before_id: "event: next\ndata: {\"id\":",
    before_payload: ",\"payload\":",
    after_payload: "}\n\n",
    before_completed: "event: complete\ndata: {\"id\":",
    after_completed: "}\n\n",
};
