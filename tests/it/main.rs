//! All integration tests: one binary, built once.

mod bodies;
mod bus_contract;
mod cli;
mod client;
mod clients;
mod contract;
mod credentials;
mod fan_out;
mod graphql_transport_ws;
mod handshake;
mod image;
mod invoices;
mod layers;
mod lifetime;
mod publishing;
mod queries;
mod redis_bus;
mod redis_fan_out;
mod redis_server;
mod retained;
mod rewards;
mod schema;
mod scoping;
mod serving;
mod store;
mod tidings;
