//! How a made-up user of a reward program gets on.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::topic::UserId;

/// How long a wheel token is good.
const TOKEN_VALID: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many steps the challenge has.
const STEPS: u64 = 10;

/// How far the user has come.
pub(super) struct Progress {
    user: UserId,
    turn: u64,
}

impl Progress {
    pub(super) fn of(user: UserId) -> Self {
        Progress { user, turn: 0 }
    }

    /// What happens next, as it is published: a level-up, a wheel token, a step of a challenge, a bonus.
    pub(super) fn next(&mut self) -> Value {
        let (round, now) = (self.turn / 4, Timestamp::now());
        let (status_type, data) = match self.turn % 4 {
            0 => ("loyalty_update", self.level_up(round)),
            1 => ("wheel_tokens_update", self.wheel_token(now)),
            2 => ("challenges_progress_update", self.challenge_step(round)),
            _ => ("bonus_update", self.bonus(round, now)),
        };
        self.turn += 1;
        json!({
            "Type": status_type,
            "Timestamp": whole_seconds(now),
            "UserID": self.user.get(),
            "Data": data,
        })
    }

    fn level_up(&self, round: u64) -> Value {
        json!({
            "user_id": self.user.get(),
            "level": round + 2,
            "xp": (round + 1) as f64 * 1250.5,
        })
    }

    fn wheel_token(&self, now: Timestamp) -> Value {
        json!({
            "user_id": self.user.get(),
            "wheel_id": 7,
            "transaction_type": "credit",
            "expire_date": whole_seconds(now + TOKEN_VALID),
        })
    }

    fn challenge_step(&self, round: u64) -> Value {
        json!({
            "user_id": self.user.get(),
            "user_task_id": 310,
            "amount": round % STEPS + 1,
        })
    }

    /// What a UserBonusV2 holds is not published: it is passed on whatever it is.
    fn bonus(&self, round: u64, now: Timestamp) -> Value {
        json!({
            "id": 9001 + round,
            "user_id": self.user.get(),
            "status": "awarded",
            "awarded_at": whole_seconds(now),
            "bonus": { "id": 12, "name": "10 free spins" },
        })
    }
}

fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::topic::Topic;

    #[test]
    fn whatever_happens_to_the_user_can_be_told() {
        let user = UserId::of_number(42).unwrap();
        let mut progress = Progress::of(user);
        let mut types = Vec::new();
        for _ in 0..100 {
            let body = progress.next().to_string();
            match Event::decode(&Topic::Rewards(user), body.as_bytes()) {
                Ok(Event::Rewards(update)) => types.push(update.status_type.as_str().to_owned()),
                other => panic!("{body}: {other:?}"),
            }
        }
        assert_eq!(
            types[..4],
            [
                "loyalty_update",
                "wheel_tokens_update",
                "challenges_progress_update",
                "bonus_update"
            ]
        );
    }
}
