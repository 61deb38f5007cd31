//! Keys, bots and endpoints of webhooks as the store keeps them.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::auth::{BotRecord, KeyDigest, KeyRecord, Scope};
use crate::topic::{AccountId, BotId, UserId};
use crate::webhook::{Endpoint, Scheme, SigningSecret, SlugDigest, Verification};

#[derive(Deserialize, Serialize)]
struct Form {
    id: Uuid,
    name: Option<String>,
    account: String,
    /// Absent in the records of older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<i32>,
    /// Separated by spaces, as in tokens.
    scopes: String,
    /// In hex.
    digest: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

pub(super) fn write_key(key: &KeyRecord) -> String {
    let form = Form {
        id: key.id,
        name: key.name.clone(),
        account: key.account.to_string(),
        user: key.user.map(UserId::get),
        scopes: key.scopes.to_string(),
        digest: key.digest.to_string(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
    };
    serde_json::to_string(&form).expect("a key is JSON")
}

pub(super) fn read_key(json: &str) -> Result<KeyRecord, String> {
    let form: Form = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let scopes = form.scopes.split_whitespace().map(Scope::parse);
    Ok(KeyRecord {
        id: form.id,
        name: form.name,
        account: AccountId::parse(&form.account).ok_or("account: not a UUID")?,
        user: match form.user {
            Some(user) => Some(UserId::of_number(user.into()).ok_or("user: out of range")?),
            None => None,
        },
        // A scope that we do not know makes the key unreadable: without it the set could become
        // empty, and an empty one is unrestricted.
        scopes: scopes
            .collect::<Option<_>>()
            .ok_or("scopes: an unknown one")?,
        digest: KeyDigest::parse(&form.digest).ok_or("digest: not 64 digits of hex")?,
        created_at: form.created_at,
        expires_at: form.expires_at,
        revoked_at: form.revoked_at,
    })
}

#[derive(Deserialize, Serialize)]
struct BotForm {
    id: String,
    account: String,
    created_at: Timestamp,
}

pub(super) fn write_bot(bot: &BotRecord) -> String {
    let form = BotForm {
        id: bot.id.to_string(),
        account: bot.account.to_string(),
        created_at: bot.created_at,
    };
    serde_json::to_string(&form).expect("a bot is JSON")
}

pub(super) fn read_bot(json: &str) -> Result<BotRecord, String> {
    let form: BotForm = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(BotRecord {
        id: BotId::parse(&form.id).ok_or("id: not one of a bot")?,
        account: AccountId::parse(&form.account).ok_or("account: not a UUID")?,
        created_at: form.created_at,
    })
}

#[derive(Deserialize, Serialize)]
struct WebhookForm {
    id: Uuid,
    account: String,
    name: Option<String>,
    /// SHA-256, in hex.
    slug: String,
    /// The id of its token.
    key: Uuid,
    verification: Option<VerificationForm>,
    allowed_from: Vec<IpNet>,
    idempotent: bool,
    created_at: Timestamp,
}

#[derive(Deserialize, Serialize)]
struct VerificationForm {
    scheme: String,
    /// As they are: without the secret itself no signature can be checked.
    secrets: Vec<String>,
}

pub(super) fn write_webhook(endpoint: &Endpoint) -> String {
    let verification = endpoint.verification.as_ref();
    let form = WebhookForm {
        id: endpoint.id,
        account: endpoint.account.to_string(),
        name: endpoint.name.clone(),
        slug: endpoint.slug.to_string(),
        key: endpoint.key,
        verification: verification.map(|verification| {
            let secrets = verification.secrets().iter();
            VerificationForm {
                scheme: verification.scheme.as_str().to_owned(),
                secrets: secrets.map(|secret| secret.reveal().to_owned()).collect(),
            }
        }),
        allowed_from: endpoint.allowed_from.clone(),
        idempotent: endpoint.is_idempotent,
        created_at: endpoint.created_at,
    };
    serde_json::to_string(&form).expect("an endpoint is JSON")
}

pub(super) fn read_webhook(json: &str) -> Result<Endpoint, String> {
    let form: WebhookForm = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(Endpoint {
        id: form.id,
        account: AccountId::parse(&form.account).ok_or("account: not a UUID")?,
        name: form.name,
        slug: SlugDigest::parse(&form.slug).ok_or("slug: not 64 digits of hex")?,
        key: form.key,
        // What cannot be read makes the endpoint unreadable: without it anybody could post.
        verification: form.verification.map(read_verification).transpose()?,
        allowed_from: form.allowed_from,
        is_idempotent: form.idempotent,
        created_at: form.created_at,
    })
}

fn read_verification(form: VerificationForm) -> Result<Verification, String> {
    let scheme = Scheme::parse(&form.scheme).ok_or("verification: an unknown scheme")?;
    let secrets = form.secrets.iter();
    let secrets = secrets.map(|secret| SigningSecret::parse(scheme, secret));
    let secrets = secrets.collect::<Result<_, _>>();
    let secrets = secrets.map_err(|bad| format!("verification: {bad}"))?;
    Verification::new(scheme, secrets).map_err(|bad| format!("verification: {bad}"))
}
