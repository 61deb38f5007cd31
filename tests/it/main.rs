//! All integration tests: one binary, built once.

mod bodies;
mod bus_contract;
mod cli;
mod client;
mod clients;
mod contract;
mod fan_out;
mod graphql_transport_ws;
mod image;
mod redis_bus;
mod redis_server;
mod retained;
mod store;
mod tidings;
