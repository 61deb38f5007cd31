//! Tidings tells clients what just happened.

pub mod spelling;

pub mod topic;

pub mod currency;

pub mod price;

pub mod event;

pub mod redis_link;

pub mod bus;

pub mod accounts;

pub mod auth;

pub mod store;

pub mod ingest;

pub mod config;

pub mod cli;
