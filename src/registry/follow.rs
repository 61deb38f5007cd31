//! Doing what the fleet asks for.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use redis::cmd;
use tokio::time::sleep;
use uuid::Uuid;

use super::fleet::{TALLY_MS, closed_in};
use super::goodbye::Goodbye;
use super::members::Members;
use super::order::{ORDERS, Order};
use super::presence::{Following, Presence, locked};
use crate::redis_link::Unavailable;

/// From one look for orders to the next: they arrive within a second.
const POLL: Duration = Duration::from_millis(200);
/// Orders in one answer.
const ORDERS_AT_ONCE: usize = 500;

impl Presence {
    /// Does what the fleet asks for, in the order in which it was asked.
    pub(super) async fn follow(&self, members: &Mutex<Members>) {
        let mut last = None;
        loop {
            let more = match &last {
                None => match self.arrive(members).await {
                    Ok(end) => {
                        last = Some(end);
                        self.following.send_replace(Following::Redis);
                        true
                    }
                    Err(unavailable) => {
                        self.heed(&unavailable);
                        self.following.send_replace(Following::Nothing);
                        false
                    }
                },
                Some(after) => match self.orders(after).await {
                    Ok(orders) => {
                        let mut closed = Vec::new();
                        for (id, fields) in &orders {
                            closed.extend(self.obey(fields, members));
                            last = Some(id.clone());
                        }
                        self.say_what_was_closed(&closed).await;
                        orders.len() == ORDERS_AT_ONCE
                    }
                    // They are still there when Redis is.
                    Err(unavailable) => {
                        self.heed(&unavailable);
                        false
                    }
                },
            };
            if !more {
                sleep(POLL).await;
            }
        }
    }

    /// Shows itself to the others, so that they see the names that it takes, and finds out where
    /// the orders end that were given before.
    async fn arrive(&self, members: &Mutex<Members>) -> Result<String, Unavailable> {
        let end = self.end_of_orders().await?;
        self.renew_once(members).await?;
        Ok(end)
    }

    async fn end_of_orders(&self) -> Result<String, Unavailable> {
        let mut newest = cmd("XREVRANGE");
        newest.arg(ORDERS).arg("+").arg("-").arg("COUNT").arg(1);
        let newest: Vec<Entry> = self.link().run(&newest).await?;
        Ok(newest
            .into_iter()
            .next()
            .map_or_else(|| "0-0".to_owned(), |(id, _)| id))
    }

    async fn orders(&self, after: &str) -> Result<Vec<Entry>, Unavailable> {
        let mut read = cmd("XREAD");
        read.arg("COUNT")
            .arg(ORDERS_AT_ONCE)
            .arg("STREAMS")
            .arg(ORDERS)
            .arg(after);
        let streams: Option<Vec<(String, Vec<Entry>)>> = self.link().run(&read).await?;
        let stream = streams.into_iter().flatten().next();
        Ok(stream.map_or_else(Vec::new, |(_, orders)| orders))
    }

    /// Carries out an order. Of one to close, how many that were, for whoever gave it.
    fn obey(
        &self,
        fields: &HashMap<Vec<u8>, Vec<u8>>,
        members: &Mutex<Members>,
    ) -> Option<(Uuid, usize)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = fields
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        match Order::read(&fields) {
            Some(Order::Replace { name, id, turn }) => {
                locked(members).give_way(&name, id, turn);
                None
            }
            Some(Order::Close {
                from,
                tally,
                filter,
                code,
                reason,
            }) if from != Some(self.node) => {
                let goodbye = Goodbye::Closed { code, reason };
                let count = locked(members).send_away_all(&filter, &goodbye);
                if count > 0 {
                    tracing::info!(
                        connections = count,
                        close.code = code.number(),
                        filter = %filter,
                        "closed connections by order of another node"
                    );
                }
                Some((tally, count))
            }
            Some(Order::Close { .. }) => None,
            None => {
                tracing::warn!("left out an order to all nodes that cannot be read");
                None
            }
        }
    }

    /// For whoever waits to hear it; who does not hear it says that we were silent.
    async fn say_what_was_closed(&self, closed: &[(Uuid, usize)]) {
        if closed.is_empty() {
            return;
        }
        let mut words = redis::pipe();
        for (tally, count) in closed {
            let hash = closed_in(*tally);
            words.hset(&hash, self.node.to_string(), *count).ignore();
            words.cmd("PEXPIRE").arg(hash).arg(TALLY_MS).ignore();
        }
        if let Err(unavailable) = self.link().run_all::<()>(&words).await {
            self.heed(&unavailable);
        }
    }
}

/// An entry of a stream: its id, and its fields.
type Entry = (String, HashMap<Vec<u8>, Vec<u8>>);
