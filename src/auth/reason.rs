//! Why somebody was not told apart.

/// Why somebody was not told apart. Clients are told no more than which of the two it is; the
/// reasons are for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The credential is wrong, revoked or expired.
    #[error("{0}")]
    Forbidden(Reason),
    /// It cannot be known now. Not the asker's fault: it may come back.
    #[error("{0}")]
    Unavailable(Away),
}

/// What is wrong with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("no API key of this deployment")]
    MalformedKey,
    #[error("an API key that was never created here")]
    UnknownKey,
    #[error("a revoked API key")]
    RevokedKey,
    #[error("an expired API key")]
    ExpiredKey,
    #[error("Authorization is not \"Bearer <token>\"")]
    NotBearer,
    #[error("not a JSON Web Token")]
    MalformedToken,
    #[error("a token that demands an extension (crit)")]
    UnknownExtension,
    #[error("no issuer is configured whose token this could be")]
    UnknownIssuer,
    #[error("an algorithm that is not allowed")]
    WrongAlgorithm,
    #[error("signed with a key that none of the issuer's is")]
    UnknownSigningKey,
    #[error("the signature is wrong")]
    WrongSignature,
    #[error("the claim {0} is missing")]
    MissingClaim(&'static str),
    #[error("the claim {0} is not what it must be")]
    WrongClaim(&'static str),
    #[error("expired")]
    ExpiredToken,
    #[error("not valid yet")]
    NotYetValid,
    #[error("for another audience")]
    WrongAudience,
    #[error("it names neither an account nor a user")]
    NamesNobody,
    #[error("of another account or user than the present credential")]
    OtherIdentity,
    #[error("it allows less than the present credential")]
    AllowsLess,
}

/// What would have to be asked, and is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    #[error("the store of API keys was not read yet")]
    Keys,
    #[error("the issuer's keys cannot be fetched")]
    Issuer,
}

impl AuthError {
    /// For labels of metrics and for log lines.
    pub fn name(&self) -> &'static str {
        match self {
            AuthError::Forbidden(reason) => reason.name(),
            AuthError::Unavailable(Away::Keys) => "keys_away",
            AuthError::Unavailable(Away::Issuer) => "issuer_away",
        }
    }
}

impl Reason {
    /// For labels of metrics and for log lines.
    pub fn name(self) -> &'static str {
        match self {
            Reason::MalformedKey => "malformed_key",
            Reason::UnknownKey => "unknown_key",
            Reason::RevokedKey => "revoked_key",
            Reason::ExpiredKey => "expired_key",
            Reason::NotBearer => "not_bearer",
            Reason::MalformedToken => "malformed_token",
            Reason::UnknownExtension => "unknown_extension",
            Reason::UnknownIssuer => "unknown_issuer",
            Reason::WrongAlgorithm => "wrong_algorithm",
            Reason::UnknownSigningKey => "unknown_signing_key",
            Reason::WrongSignature => "wrong_signature",
            Reason::MissingClaim(_) => "missing_claim",
            Reason::WrongClaim(_) => "wrong_claim",
            Reason::ExpiredToken => "expired_token",
            Reason::NotYetValid => "not_yet_valid",
            Reason::WrongAudience => "wrong_audience",
            Reason::NamesNobody => "names_nobody",
            Reason::OtherIdentity => "other_identity",
            Reason::AllowsLess => "allows_less",
        }
    }
}
