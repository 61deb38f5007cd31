//! The type of Fast Track Rewards' `StatusUpdate`, in the spelling of its clients.

use std::sync::Arc;

use async_graphql::Object;

use super::json;
use super::plan::{Asked, NotPlanned, Told, Write};
use crate::event;

/// Something that happened to a user of a reward program.
pub(super) struct StatusUpdate(Arc<event::StatusUpdate>);

impl StatusUpdate {
    pub(super) fn of(update: Arc<event::StatusUpdate>) -> Self {
        StatusUpdate(update)
    }
}

/// Something that happened to a user of a reward program.
#[Object]
impl StatusUpdate {
    /// JSON as text; what is in it depends on the type.
    #[graphql(name = "Data")]
    async fn data(&self) -> &str {
        &self.0.data
    }

    /// When it happened, in RFC 3339.
    #[graphql(name = "Timestamp")]
    async fn timestamp(&self) -> &str {
        &self.0.timestamp
    }

    /// What happened: `connected` first, then `loyalty_update`, `vc_update`, `wheel_tokens_update`, `challenges_progress_update`, `challenges_credit_update`, `bonus_update`, or one that is newer than this schema.
    #[graphql(name = "Type")]
    async fn status_type(&self) -> &str {
        self.0.status_type.as_str()
    }

    /// Whom it happened to: the user who asks.
    #[graphql(name = "UserID")]
    async fn user_id(&self) -> i32 {
        self.0.user.get()
    }
}

impl Told for StatusUpdate {
    type Value = event::StatusUpdate;

    fn field(asked: &Asked<'_>) -> Result<Write<event::StatusUpdate>, NotPlanned> {
        use event::StatusUpdate as Update;
        Ok(match asked.name() {
            "Data" => Write::value(|update: &Update, json| json::string(json, &update.data)),
            "Timestamp" => {
                Write::value(|update: &Update, json| json::string(json, &update.timestamp))
            }
            "Type" => Write::value(|update: &Update, json| {
                json::string(json, update.status_type.as_str());
            }),
            "UserID" => Write::value(|update: &Update, json| json::plain(json, update.user)),
            _ => return Err(NotPlanned),
        })
    }
}
