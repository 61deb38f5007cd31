//! Taking names: counted, and in one order, over all of the fleet.

use std::sync::{LazyLock, Mutex};

use redis::{RedisWrite, ToRedisArgs, cmd};
use sha1::{Digest, Sha1};
use tokio::time::timeout;
use uuid::Uuid;

use super::goodbye::Goodbye;
use super::members::{Fact, Members, Name, Turn};
use super::order::{KEPT, KEPT_MS};
use super::presence::{Following, Presence, locked, millis};
use super::{NO_LIMIT, RegistryLimits, TooMany, Who};
use crate::redis_link::Unavailable;

/// A newcomer, as `claim.lua` is told of it.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    /// `None` for one that nobody can come back as: it is counted.
    pub(super) name: Option<&'a Name>,
    pub(super) id: Uuid,
    pub(super) who: Who,
    /// With the newcomer, on this node.
    pub(super) of_user: usize,
    pub(super) of_key: usize,
    pub(super) limits: RegistryLimits,
}

/// Names claimed in one go, when the fleet has forgotten them.
const CLAIMS: usize = 100;
const CLAIM: &str = include_str!("claim.lua");
/// What Redis calls the script: a connection sends no more of it than that.
static CLAIM_DIGEST: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha1::digest(CLAIM);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
});

impl Presence {
    /// Counts a newcomer in all of the fleet, and gives it its name, if it has one: its turn, unless
    /// there are too many. Waits no longer than it has patience.
    pub(super) async fn claim(
        &self,
        claim: &Claim<'_>,
    ) -> Result<Result<Turn, TooMany>, Unavailable> {
        let claimed = async {
            let mut following = self.following.subscribe();
            let is_settled = |following: &Following| *following != Following::NotYet;
            match following.wait_for(is_settled).await.as_deref() {
                Ok(Following::Redis) => {}
                _ => return Err(Unavailable::Away("it was away at the start".to_owned())),
            }
            let words = |command, script: &str| {
                let mut words = cmd(command);
                words.arg(script).arg(0).arg(self.told(claim, None));
                words
            };
            let known = self.link().run(&words("EVALSHA", &CLAIM_DIGEST)).await;
            let (verdict, turn): (String, Turn) = match known {
                // Redis has been started anew, or was never told. With the text it keeps it.
                Err(Unavailable::Refused(error)) if error.code() == Some("NOSCRIPT") => {
                    self.link().run(&words("EVAL", CLAIM)).await?
                }
                known => known?,
            };
            Ok(match verdict.as_str() {
                "user" => Err(TooMany::User),
                "key" => Err(TooMany::Key),
                _ => Ok(turn),
            })
        };
        timeout(self.patience, claimed)
            .await
            .unwrap_or(Err(Unavailable::TimedOut))
            .inspect_err(|unavailable| self.heed(unavailable))
    }

    /// Tells of names that were taken while nobody could be asked, and how many those were. Whoever
    /// took one later somewhere else keeps it.
    pub(super) async fn claim_late(&self, members: &Mutex<Members>) -> Result<usize, Unavailable> {
        if *self.following.borrow() != Following::Redis {
            return Ok(0);
        }
        let late = locked(members).take_late(CLAIMS);
        if late.is_empty() {
            return Ok(0);
        }
        let mut words = redis::pipe();
        for one in &late {
            // Without limits: who is here already stays.
            let claim = Claim {
                name: Some(&one.name),
                id: one.id,
                who: Who {
                    key: one.key,
                    ..Who::default()
                },
                of_user: 0,
                of_key: 0,
                limits: RegistryLimits {
                    per_user: NO_LIMIT,
                    per_key: NO_LIMIT,
                },
            };
            let told = self.told(&claim, Some(one.turn));
            words.cmd("EVAL").arg(CLAIM).arg(0).arg(told);
        }
        let verdicts = self.link().run_all::<Vec<(String, Turn)>>(&words).await;
        let mut members = locked(members);
        match verdicts {
            Ok(verdicts) => {
                for (one, (verdict, _)) in late.iter().zip(verdicts) {
                    if verdict == "older" {
                        members.send_away(one.id, Goodbye::Replaced);
                    } else {
                        members.take_turn(&one.name, one.id, one.turn);
                    }
                }
                Ok(late.len())
            }
            Err(unavailable) => {
                late.into_iter()
                    .for_each(|one| members.tell_later(one.name));
                Err(unavailable)
            }
        }
    }

    /// The arguments of the script.
    fn told<'a>(&'a self, claim: &'a Claim<'a>, turn: Option<Turn>) -> Told<'a> {
        Told {
            presence: self,
            claim,
            turn,
        }
    }
}

/// What `claim.lua` is told: of a newcomer, or of one that has had its turn.
struct Told<'a> {
    presence: &'a Presence,
    claim: &'a Claim<'a>,
    turn: Option<Turn>,
}

impl ToRedisArgs for Told<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let Told {
            presence,
            claim,
            turn,
        } = self;
        let Claim {
            name,
            id,
            who,
            of_user,
            of_key,
            limits,
        } = claim;
        let user = who.user.map(|user| Fact::User(user).field());
        let key = who.key.map(|key| Fact::Key(key).field());
        presence.node.to_string().write_redis_args(out);
        millis(presence.lease).write_redis_args(out);
        user.unwrap_or_default().write_redis_args(out);
        (*of_user, limits.per_user).write_redis_args(out);
        key.unwrap_or_default().write_redis_args(out);
        (*of_key, limits.per_key).write_redis_args(out);
        let name = name.map(Name::field);
        name.unwrap_or_default().write_redis_args(out);
        id.to_string().write_redis_args(out);
        let turn = turn.map(|turn| turn.to_string());
        turn.unwrap_or_default().write_redis_args(out);
        (KEPT, KEPT_MS).write_redis_args(out);
    }

    fn num_of_args(&self) -> usize {
        13
    }
}
