//! What the programs of the comparison have in common: what is said, and how it is framed.
//!
//! * [`words`] are the documents, bodies, keys and ids that every stack is given;
//! * [`frame`] is WebSocket, as far as these programs need it;
//! * [`resp`] is the protocol of Redis, likewise.

pub mod frame;
pub mod resp;
pub mod words;
