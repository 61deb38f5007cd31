//! Tidings tells clients what just happened.
pub mod accounts;
pub mod currency;
pub mod event;
pub mod graphql;
pub mod price;
pub mod topic;
