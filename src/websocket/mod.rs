//! WebSocket frames, without a socket: [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455) for both of its ends.
//!
//! What is sent is appended to a buffer of the caller's ([`push_frame`], [`push_masked`]); what was
//! received is handed to a [`Reader`], which gives messages out of that same buffer: a frame that
//! came whole is unmasked where it lies and copied nowhere. A reader keeps nothing between messages,
//! so a connection that waits costs no buffer at all.
//!
//! No extension is spoken, so no reserved bit is ever set.

mod close;
mod frame;
mod mask;
mod reader;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

pub use self::close::{close_payload, is_close_code};
pub use self::frame::{Opcode, push_frame, push_masked};
pub use self::reader::{Error, Message, Reader};

/// Which end of a connection this is. A client masks every frame that it sends, a server none
/// ([5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.3)); either end refuses what breaks that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

/// What `Sec-WebSocket-Accept` answers to this `Sec-WebSocket-Key`
/// ([4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)).
pub fn accept_key(sec_websocket_key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(sec_websocket_key);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}
