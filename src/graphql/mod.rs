//! What is said in GraphQL.

pub mod blink;
pub mod scalars;
