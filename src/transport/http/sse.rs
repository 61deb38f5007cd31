//! The words of GraphQL over Server-Sent Events.
//!
//! The text of the protocol is `PROTOCOL.md` of <https://github.com/enisdenjo/graphql-sse>; that of event
//! streams is in the HTML standard, section 9.2.

use super::{Farewell, Flow};
use crate::hub::Words;

const CONTENT_TYPE: &str = "text/event-stream; charset=utf-8";

/// A comment: the first bytes of a stream, which tell proxies and clients that it has begun, and those that
/// tell them now and then that it is still there.
const COMMENT: &str = ":\n\n";

/// Of GraphQL's event streams.
pub(in crate::transport) const FLOW: Flow = Flow {
    content_type: CONTENT_TYPE,
    begin: COMMENT,
    beat: COMMENT,
    interval: |limits| limits.sse_heartbeat,
    farewell: Farewell::OfEachOperation,
};

/// Of event streams that browsers' `EventSource` reads as they come: it comes back after 3 seconds where one
/// ends, and stays away where it is answered 401.
pub(in crate::transport) const PLAIN_FLOW: Flow = Flow {
    content_type: "text/event-stream",
    begin: "retry: 3000\n: connected\n\n",
    beat: ": keepalive\n\n",
    interval: |limits| limits.sse_heartbeat,
    farewell: Farewell::None,
};

/// Their events: fields that are written already.
pub(in crate::transport) const PLAIN: Words = Words {
    before_id: "",
    before_payload: "",
    after_payload: "\n\n",
    before_completed: "",
    after_completed: "",
};

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
