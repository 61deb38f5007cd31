//! All integration tests: one binary, built once.

mod bus_contract;
mod cli;
mod redis_bus;
mod redis_server;
mod store;
