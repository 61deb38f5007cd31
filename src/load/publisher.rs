//! Who publishes: to Redis, or over HTTP to a server.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep_until;
use url::Url;

use super::crowd::Crowd;
use super::plan::Plan;
use super::tally::Counts;
use crate::redis_link::{BadAddress, RedisConfig, RedisLink, Unavailable};

/// A way to the server's events.
pub enum Publisher {
    Redis(RedisLink),
    Http {
        client: reqwest::Client,
        /// With `{channel}` where the channel belongs.
        url: String,
        key: Option<SecretString>,
    },
}

/// What is no way to publish.
#[derive(Debug, thiserror::Error)]
pub enum BadPublisher {
    #[error("--publish {0}: expected redis://, rediss://, http:// or https://")]
    Url(String),
    #[error("--publish: {0}")]
    Redis(#[from] BadAddress),
    #[error("--publish: {0}")]
    Http(#[source] reqwest::Error),
}

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    #[error(transparent)]
    Redis(#[from] Unavailable),
    #[error("cannot publish: {0}")]
    Http(#[source] reqwest::Error),
    #[error("publishing was answered with {status}: {said}{}", hint(*.status))]
    Refused { status: StatusCode, said: String },
}

/// What a publisher has done.
#[derive(Clone, Debug, Default)]
pub(super) struct Published {
    /// Publications that the bus took, and those that nobody on a Redis listened for.
    pub taken: u64,
    pub unheard: u64,
    pub errors: Counts<String>,
    /// How much later than planned one was published, at worst.
    pub late: Duration,
    pub took: Duration,
}

/// How long one publication, or one burst, may take.
const ANSWER: Duration = Duration::from_secs(10);
/// Events that go to Redis in one write when the publisher is behind.
const BATCH: usize = 256;

impl Publisher {
    /// A way to `redis[s]://…`, or to `http[s]://…` with `{channel}` somewhere in it, or to a Tidings
    /// server at `http[s]://…`, which has `/v1/events/<channel>`. Connects to nothing yet.
    pub fn new(
        text: &str,
        key: Option<SecretString>,
        redis: &RedisConfig,
    ) -> Result<Self, BadPublisher> {
        let bad = || BadPublisher::Url(text.to_owned());
        let url: Url = text.parse().map_err(|_| bad())?;
        match url.scheme() {
            "redis" | "rediss" => {
                // A Redis under load is not away because it takes its time.
                let patient = RedisConfig {
                    reply_timeout: ANSWER,
                    ..redis.clone()
                };
                Ok(Publisher::Redis(RedisLink::new(&url, &patient)?))
            }
            scheme @ ("http" | "https") => {
                let mut client = reqwest::Client::builder().timeout(ANSWER);
                if scheme == "http" {
                    // Without TLS no certificates are needed, and a small container has none.
                    client = client.tls_certs_only([]);
                }
                let own = || format!("{}/v1/events/{{channel}}", text.trim_end_matches('/'));
                Ok(Publisher::Http {
                    client: client.build().map_err(BadPublisher::Http)?,
                    url: if text.contains("{channel}") {
                        text.to_owned()
                    } else {
                        own()
                    },
                    key,
                })
            }
            _ => Err(bad()),
        }
    }

    /// Publishes one body.
    pub async fn publish(&self, channel: &str, body: String) -> Result<(), NotPublished> {
        match self {
            Publisher::Redis(link) => {
                let mut command = redis::cmd("PUBLISH");
                let _heard: u64 = link.run(command.arg(channel).arg(body)).await?;
                Ok(())
            }
            Publisher::Http { client, url, key } => {
                let channel: String =
                    url::form_urlencoded::byte_serialize(channel.as_bytes()).collect();
                let mut request = client
                    .post(url.replace("{channel}", &channel))
                    .header("Content-Type", "application/json")
                    .body(body);
                if let Some(key) = key {
                    request = request.header("X-API-KEY", key.expose_secret());
                }
                let answer = request.send().await.map_err(NotPublished::Http)?;
                let status = answer.status();
                if status.is_success() {
                    return Ok(());
                }
                let said = answer.text().await.unwrap_or_default();
                let said = super::envelope::cut(said.trim());
                Err(NotPublished::Refused { status, said })
            }
        }
    }

    /// Publishes several bodies in one write; how many heard each.
    async fn publish_all(
        &self,
        link: &RedisLink,
        all: &[(String, String)],
    ) -> Result<Vec<u64>, NotPublished> {
        let mut commands = redis::pipe();
        for (channel, body) in all {
            commands.cmd("PUBLISH").arg(channel).arg(body);
        }
        Ok(link.run_all(&commands).await?)
    }
}

/// Publishes what the plan says until that is enough.
pub(super) async fn publish(crowd: &Crowd, publisher: &Publisher, published: &Mutex<Published>) {
    let Some(publication) = &crowd.plan.publication else {
        return;
    };
    let (burst, began) = (crowd.plan.burst() as u64, Instant::now());
    let between = Duration::from_secs_f64(1.0 / publication.rate);
    let mut count = 0u64;
    while count < crowd.plan.planned() {
        let due = began + between.mul_f64((count / burst) as f64);
        tokio::select! {
            biased;
            () = crowd.enough.cancelled() => return,
            () = sleep_until(due.into()) => {}
        }
        let late = due.elapsed();
        // All bursts that are due by now: whoever is behind catches up.
        let bursts = (late.as_secs_f64() / between.as_secs_f64()) as u64 + 1;
        let due = (bursts * burst - count % burst).min(crowd.plan.planned() - count);
        let many = due.min(BATCH.max(burst as usize) as u64);
        let sent = some(crowd, publisher, many, published).await;
        count += many;
        {
            let mut published = locked(published);
            published.late = published.late.max(late);
            published.took = began.elapsed();
        }
        if !sent {
            break;
        }
    }
}

/// Publishes the next so many. Says whether it goes on.
async fn some(
    crowd: &Crowd,
    publisher: &Publisher,
    many: u64,
    published: &Mutex<Published>,
) -> bool {
    match publisher {
        Publisher::Http { .. } => {
            // One after another, or the server might see them in another order.
            for _ in 0..many {
                if crowd.enough.is_cancelled() {
                    return false;
                }
                let seq = crowd.run.publications.count() + 1;
                let Some((channel, body)) = rendered(crowd, seq) else {
                    return false;
                };
                crowd.run.publications.note_sent(seq, Instant::now());
                let done = publisher.publish(&channel, body).await;
                note(crowd, seq..seq + 1, done.map(|()| 0), published);
            }
        }
        Publisher::Redis(link) => {
            let first = crowd.run.publications.count() + 1;
            let mut all = Vec::new();
            for seq in first..first + many {
                let Some((channel, body)) = rendered(crowd, seq) else {
                    return false;
                };
                all.push((channel, body));
            }
            let now = Instant::now();
            for seq in first..first + many {
                crowd.run.publications.note_sent(seq, now);
            }
            let done = publisher.publish_all(link, &all).await;
            let unheard =
                done.map(|heard| heard.iter().filter(|heard| **heard == 0).count() as u64);
            note(crowd, first..first + many, unheard, published);
        }
    }
    true
}

/// The channel and the body of a publication; `None` if there is no room to count it.
fn rendered(crowd: &Crowd, seq: u64) -> Option<(String, String)> {
    let publication = crowd.plan.publication.as_ref()?;
    let channel = crowd.run.publications.channel_of(seq)?;
    let values = crowd.plan.values(channel, seq);
    Some((
        publication.channel.render(&values),
        publication.body.render(&values),
    ))
}

fn note(
    crowd: &Crowd,
    seqs: std::ops::Range<u64>,
    unheard: Result<u64, NotPublished>,
    published: &Mutex<Published>,
) {
    let many = seqs.end - seqs.start;
    let mut published = locked(published);
    match unheard {
        Ok(unheard) => {
            published.taken += many;
            published.unheard += unheard;
        }
        Err(error) => {
            for seq in seqs {
                crowd.run.publications.note_failed(seq);
            }
            published.errors.count(error.to_string());
        }
    }
}

pub(super) fn locked(published: &Mutex<Published>) -> MutexGuard<'_, Published> {
    published.lock().expect("nothing panics while it counts")
}

/// Publishes what there is to be told first.
pub(super) async fn prime(plan: &Plan, publisher: &Publisher) -> Result<(), NotPublished> {
    let prime = plan
        .publication
        .as_ref()
        .and_then(|publication| publication.prime.as_ref());
    if let Some((channel, body)) = prime {
        let values = plan.values(0, 0);
        publisher
            .publish(&channel.render(&values), body.render(&values))
            .await?;
    }
    Ok(())
}

fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; a key with the scope publish goes into --key or TIDINGS_KEY"
        }
        _ => "",
    }
}
