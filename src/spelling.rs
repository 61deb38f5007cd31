//! What somebody may have meant.

/// The word that is most like `word`, if one is like enough to be worth suggesting.
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, nearest) = among
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= word.len().max(6) / 3).then_some(nearest)
}

/// How many letters differ. The right name in the wrong section counts as one letter.
fn distance(word: &str, candidate: &str) -> usize {
    let whole = strsim::damerau_levenshtein(word, candidate);
    match candidate.rsplit_once('.') {
        Some((_, name)) if word.rsplit('.').next() == Some(name) => whole.min(1),
        Some((_, name)) if !word.contains('.') => {
            whole.min(strsim::damerau_levenshtein(word, name) + 1)
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_is_understood() {
        let known = ["limits.init_timeout", "limits.ping_interval", "server.path"];
        assert_eq!(
            nearest("limits.init_timeut", known),
            Some("limits.init_timeout")
        );
        assert_eq!(
            nearest("limit.init_timeout", known),
            Some("limits.init_timeout")
        );
        assert_eq!(
            nearest("ws.ping_interval", known),
            Some("limits.ping_interval")
        );
        assert_eq!(
            nearest("ping_interval", known),
            Some("limits.ping_interval")
        );
    }

    #[test]
    fn what_is_like_nothing_is_not_guessed() {
        assert_eq!(
            nearest("colour", ["limits.init_timeout", "server.path"]),
            None
        );
        assert_eq!(nearest("x", []), None);
    }
}
