//! All integration tests: one binary, built once.
mod cli;
mod store;
