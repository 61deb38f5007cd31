//! Tidings tells clients what just happened.
//!
//! Producers put events on a [`bus`]. The [`hub`] decodes each event once, renders it once for every
//! *different* question that somebody asked about it, and puts the same bytes into the outbox of
//! everyone who asked that question. Read on in the order of the list: each module may know those
//! above it, and no others (`tests/it/layers.rs` says so).
//!
//! What things are:
//!
//! * [`spelling`] finds what somebody who mistyped a name may have meant;
//! * [`websocket`] frames what is said on a socket, without the socket;
//! * [`topic`] names streams of events, and spells their channels;
//! * [`currency`], [`price`] and [`bolt11`] know money: minor units, exact prices, invoices;
//! * [`filter`] is which events of a topic are asked for;
//! * [`event`] reads what was published;
//! * [`metrics`] counts.
//!
//! Where events come from, and what is kept:
//!
//! * [`redis_link`] runs commands on Redis;
//! * [`bus`] brings payloads in, from this process or from Redis;
//! * [`retained`] remembers last prices and what was paid;
//! * [`accounts`] is the directory that `me` is answered from.
//!
//! Who asks, and who hears what:
//!
//! * [`auth`] turns credentials into an identity, and says what it may hear;
//! * [`webhook`] knows where webhooks are posted to, and what a delivery must bring;
//! * [`store`] keeps keys and accounts, in SQLite or in Redis;
//! * [`hub`] hands each event to the operations that wait for it;
//! * [`registry`] knows every connection of the fleet, and tells those to go that are to;
//! * [`graphql`] turns a request into an operation, and an event into a result;
//! * [`channels`] does the same for the plain-JSON APIs;
//! * [`ingest`] takes events over HTTP.
//!
//! How clients are spoken to, and what operators touch:
//!
//! * [`drain`] is how the process ends;
//! * [`transport`] speaks to clients;
//! * [`telemetry`] writes log lines; [`config`] holds every setting;
//! * [`demo`] makes events for a first look; [`load`] is a crowd of clients that measures a server;
//!   [`cli`] is the program.
pub mod spelling;

pub mod websocket;

pub mod topic;

pub mod currency;

pub mod price;

pub mod bolt11;

pub mod filter;

pub mod event;

pub mod metrics;

pub mod tls;

pub mod redis_link;

pub mod bus;

pub mod retained;

pub mod accounts;

pub mod auth;

pub mod webhook;

pub mod store;

pub mod hub;

pub mod registry;

pub mod graphql;

pub mod channels;

pub mod ingest;

pub mod drain;

pub mod transport;

pub mod telemetry;

pub mod config;

pub mod demo;

pub mod load;

pub mod cli;
