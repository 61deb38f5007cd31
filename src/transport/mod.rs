//! How clients are spoken to.

pub mod address;
pub mod connections;
pub mod http;
pub mod listener;
pub mod playground;
pub mod routes;
pub mod ws;
