//! How clients are spoken to.

pub mod http;
pub mod listener;
pub mod routes;
pub mod ws;
