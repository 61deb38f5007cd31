//! The clients that people use.
