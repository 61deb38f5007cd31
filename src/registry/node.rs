//! What nodes are called in lists.

use serde::{Deserialize, Deserializer, de::Error as _};

/// `server.name`: up to 100 characters, none of which is a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

/// Where Linux says what this machine is called.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_name = !text.is_empty() && text.chars().count() <= 100;
        if is_name && !text.contains(char::is_control) {
            Ok(NodeName(text))
        } else {
            Err(D::Error::custom("expected up to 100 printable characters"))
        }
    }
}

/// The name of the node that listens on this port: what it was told, or what its machine is called,
/// with the port.
pub fn node_name(told: Option<&NodeName>, port: u16) -> String {
    if let Some(NodeName(name)) = told {
        return name.clone();
    }
    let host = std::fs::read_to_string(HOST_NAME).ok();
    // Elsewhere than on Linux shells say so.
    let host = host
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_default();
    match host.trim() {
        "" => format!("localhost:{port}"),
        host => format!("{host}:{port}"),
    }
}
