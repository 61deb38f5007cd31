//! Tidings tells clients what just happened.
pub mod accounts;
pub mod bus;
pub mod currency;
pub mod event;
pub mod price;
pub mod redis_link;
pub mod retained;
pub mod topic;
