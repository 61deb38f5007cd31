//! What a run is to do.

use std::time::Duration;

use super::envelope;
use super::matching::Matching;
use super::template::{Template, Values, Word};

/// A run: who connects, what they ask, what is published, and what else happens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server, as it is named in the report.
    pub url: String,
    pub connections: usize,
    pub question: Question,
    /// What connections bring, each its own, or several the same.
    pub people: People,
    pub matching: Matching,
    /// What is published; nothing, if somebody else does.
    pub publication: Option<Publication>,
    pub scenario: Scenario,
    /// For how long, once all are connected.
    pub duration: Duration,
    /// Connections a second; as fast as the server takes them if it is not said.
    pub connect_rate: Option<f64>,
    /// Connections that are being opened at a time.
    pub handshakes: usize,
    /// How long to wait for first results once all have subscribed, and for the last deliveries: as
    /// long as something comes, and so much longer.
    pub settle: Duration,
    pub threads: usize,
    /// Eight hex digits that are new in each run.
    pub run: String,
}

/// What each connection says.
#[derive(Clone, Debug)]
pub struct Question {
    /// The payload of `connection_init`.
    pub init: Template,
    pub query: Template,
    /// JSON.
    pub variables: Option<Template>,
    pub operation_name: Option<String>,
}

/// Keys and accounts, which connections have in turn.
#[derive(Clone, Debug, Default)]
pub struct People {
    pub keys: Vec<String>,
    pub accounts: Vec<String>,
}

/// What is published, and how often.
#[derive(Clone, Debug)]
pub struct Publication {
    pub channel: Template,
    pub body: Template,
    /// Events, or bursts of them, a second.
    pub rate: f64,
    /// Each channel is told once, and then it is over.
    pub once: bool,
    /// What is published when the first connection has subscribed and is told nothing: a channel and a
    /// body. Then there is something to be told first.
    pub prime: Option<(Template, Template)>,
}

/// What happens besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scenario {
    /// Nothing: everybody listens.
    Steady,
    /// So many events back to back, each time.
    Burst(usize),
    /// So many times all connections break at once, and come back.
    Storm(usize),
    /// This share of the clients does not read.
    Slow(f64),
    /// So many connections a second end, and others come.
    Churn(f64),
}

impl Plan {
    /// How many channels there are: one for all, one for each account, or one for each connection.
    pub fn channels(&self) -> usize {
        let Some(publication) = &self.publication else {
            return 1;
        };
        let channel = &publication.channel;
        if channel.uses(Word::I) {
            self.connections
        } else if channel.uses(Word::Account) {
            self.people.accounts.len().clamp(1, self.connections)
        } else if channel.uses(Word::Key) {
            self.people.keys.len().clamp(1, self.connections)
        } else {
            1
        }
    }

    /// Which of them a connection listens to.
    pub fn channel_of(&self, i: usize) -> usize {
        i % self.channels()
    }

    /// How many connections listen to a channel, if all do.
    pub fn listeners(&self, channel: usize) -> usize {
        (self.connections + self.channels() - 1 - channel) / self.channels()
    }

    /// How many events are published at a time.
    pub fn burst(&self) -> usize {
        match self.scenario {
            Scenario::Burst(events) => events.max(1),
            _ => 1,
        }
    }

    /// How many publications there will be, if nothing fails.
    pub fn planned(&self) -> u64 {
        let Some(publication) = &self.publication else {
            return 0;
        };
        if publication.once {
            return self.channels() as u64;
        }
        let bursts = (self.duration.as_secs_f64() * publication.rate)
            .ceil()
            .max(1.0);
        (bursts as u64).saturating_mul(self.burst() as u64)
    }

    /// Whether this client does not read.
    pub fn is_slow(&self, i: usize) -> bool {
        let Scenario::Slow(share) = self.scenario else {
            return false;
        };
        // Spread evenly, and as many as the share says.
        let until = |i: usize| (i as f64 * share) as usize;
        until(i + 1) > until(i)
    }

    /// What connection `i` says first.
    pub fn init(&self, i: usize) -> String {
        envelope::init(&self.question.init.render(&self.values(i, 0)))
    }

    /// What connection `i` asks.
    pub fn subscribe(&self, i: usize) -> String {
        let values = self.values(i, 0);
        let Question {
            query,
            variables,
            operation_name,
            ..
        } = &self.question;
        let variables = variables.as_ref().map(|template| template.render(&values));
        envelope::subscribe(
            &query.render(&values),
            variables.as_deref(),
            operation_name.as_deref(),
        )
    }

    /// What words stand for, for a connection and a publication.
    pub fn values(&self, i: usize, seq: u64) -> Values<'_> {
        fn of(texts: &[String], i: usize) -> &str {
            let turn = i.checked_rem(texts.len());
            turn.map_or("", |turn| texts[turn].as_str())
        }
        Values {
            i,
            seq,
            run: &self.run,
            key: of(&self.people.keys, i),
            account: of(&self.people.accounts, i),
        }
    }
}

impl Scenario {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Scenario::Steady => "steady",
            Scenario::Burst(_) => "burst",
            Scenario::Storm(_) => "storm",
            Scenario::Slow(_) => "slow",
            Scenario::Churn(_) => "churn",
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// So many connections that are told on this channel.
    pub(in crate::load) fn plan(connections: usize, channel: &str) -> Plan {
        Plan {
            url: "ws://127.0.0.1/".to_owned(),
            connections,
            question: Question {
                init: Template::parse("{}"),
                query: Template::parse("subscription { a }"),
                variables: None,
                operation_name: None,
            },
            people: People::default(),
            matching: Matching::Order,
            publication: Some(Publication {
                channel: Template::parse(channel),
                body: Template::parse("{seq}"),
                rate: 10.0,
                once: false,
                prime: None,
            }),
            scenario: Scenario::Steady,
            duration: Duration::from_secs(2),
            connect_rate: None,
            handshakes: 10,
            settle: Duration::from_secs(1),
            threads: 1,
            run: "c0ffee00".to_owned(),
        }
    }

    #[test]
    fn connections_share_channels_as_the_template_says() {
        assert_eq!(plan(10, "all").channels(), 1);
        assert_eq!(plan(10, "own_{i}").channels(), 10);
        let mut of_account = plan(10, "of_{account}");
        of_account.people.accounts = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(of_account.channels(), 3);
        assert_eq!(of_account.channel_of(4), 1);
        let listeners: Vec<_> = (0..3)
            .map(|channel| of_account.listeners(channel))
            .collect();
        assert_eq!(listeners, [4, 3, 3]);
        assert_eq!(of_account.values(4, 0).account, "b");
    }

    #[test]
    fn the_share_that_does_not_read_is_spread_over_all() {
        let mut plan = plan(100, "all");
        plan.scenario = Scenario::Slow(0.1);
        let slow: Vec<_> = (0..100).filter(|&i| plan.is_slow(i)).collect();
        assert_eq!(slow.len(), 10);
        assert!(
            slow.windows(2).all(|pair| pair[1] - pair[0] >= 9),
            "{slow:?}"
        );
    }

    #[test]
    fn publications_are_counted_beforehand() {
        let mut plan = plan(7, "own_{i}");
        assert_eq!(plan.planned(), 20);
        plan.scenario = Scenario::Burst(8);
        assert_eq!(plan.planned(), 160);
        plan.publication.as_mut().unwrap().once = true;
        assert_eq!(plan.planned(), 7);
        plan.publication = None;
        assert_eq!(plan.planned(), 0);
    }
}
