//! All integration tests: one binary, built once.

mod bus_contract;
mod redis_bus;
mod redis_server;
