//! How clients are spoken to.

pub mod address;
pub mod apis;
mod arrival;
mod clock;
pub mod close;
pub mod connections;
pub mod endpoint;
pub mod entrance;
pub mod http;
pub mod introduction;
mod life;
pub mod listener;
mod operation;
pub mod origin;
pub mod playground;
mod preferences;
pub mod protocol;
pub mod routes;
pub mod server;
mod stalling;
mod subscriptions;
pub mod ws;
