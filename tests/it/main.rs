//! All integration tests: one binary, built once.
