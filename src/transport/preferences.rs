//! What a client likes, and how much: the header `Accept` and those like it (RFC 9110, section 12.5).

use axum::http::{HeaderMap, HeaderName};

/// What a header lists, in its order.
#[derive(Clone, Debug)]
pub(super) struct Preferences<'a>(Vec<Preference<'a>>);

/// One entry of it: `text/html;level=1;q=0.5`
#[derive(Clone, Copy, Debug)]
pub(super) struct Preference<'a> {
    name: &'a str,
    /// As they are written, with what separates them.
    parameters: &'a str,
    /// 0 to 1000. Who says nothing of it likes it best; what cannot be read is not liked.
    pub(super) quality: u16,
}

const BEST: u16 = 1000;

impl<'a> Preferences<'a> {
    /// Those in all lines of a header; `None` if it is not there.
    pub(super) fn of(headers: &'a HeaderMap, header: HeaderName) -> Option<Self> {
        if !headers.contains_key(&header) {
            return None;
        }
        let lines = headers.get_all(header).into_iter();
        let texts = lines.filter_map(|line| line.to_str().ok());
        let all = texts.flat_map(|text| split(text, ','));
        Some(Preferences(all.map(Preference::parse).collect()))
    }

    /// This alone, as much as can be.
    pub(super) fn only(name: &'static str) -> Self {
        Preferences(vec![Preference {
            name,
            parameters: "",
            quality: BEST,
        }])
    }

    /// How much this is liked; `None` if it is not named.
    pub(super) fn quality(&self, name: &str) -> Option<u16> {
        let named = self.iter().filter(|preference| preference.is(name));
        named.map(|preference| preference.quality).max()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Preference<'a>> {
        self.0.iter()
    }
}

impl<'a> Preference<'a> {
    /// Whether it has this name, in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value of the parameter with this name, without quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut all = split(self.parameters, ';').filter_map(|part| part.split_once('='));
        let (_, value) = all.find(|(own, _)| own.trim().eq_ignore_ascii_case(name))?;
        Some(value.trim().trim_matches('"'))
    }

    fn parse(text: &'a str) -> Self {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut preference = Preference {
            name: name.trim(),
            parameters,
            quality: BEST,
        };
        if let Some(quality) = preference.parameter("q") {
            // What is no number is 0 here.
            let quality = quality.parse::<f32>().unwrap_or_default();
            preference.quality = (quality.clamp(0.0, 1.0) * f32::from(BEST)) as u16;
        }
        preference
    }
}

/// The parts between separators that are not inside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |character| {
        is_quoted ^= character == '"';
        character == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn said(lines: &[&'static str]) -> HeaderMap {
        let lines = lines.iter().map(|line| HeaderValue::from_static(line));
        lines.map(|line| (header::ACCEPT, line)).collect()
    }

    #[test]
    fn how_much_each_is_liked_is_read_and_what_cannot_be_read_is_not_liked() {
        let headers = said(&[
            "a;q=0.5, B ; Q=0.25;x=y",
            "c, d;q=much, e;q=NaN, f;q=7, g;q=-1",
        ]);
        let preferences = Preferences::of(&headers, header::ACCEPT).unwrap();
        let qualities =
            ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| preferences.quality(name));
        let known = [500, 250, 1000, 0, 0, 1000, 0].map(Some);
        assert_eq!(qualities[..7], known);
        assert_eq!(qualities[7], None);
    }

    #[test]
    fn what_is_in_quotes_separates_nothing() {
        let headers = said(&[r#"a;b=",;q=0";c="d";q=0.5,e"#]);
        let preferences = Preferences::of(&headers, header::ACCEPT).unwrap();
        let all: Vec<_> = preferences.iter().collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].parameter("b"), Some(",;q=0"));
        assert_eq!(all[0].parameter("C"), Some("d"));
        assert_eq!(all[0].quality, 500);
        assert!(all[1].is("E"));
    }

    #[test]
    fn who_says_nothing_is_told_from_who_names_nothing() {
        assert!(Preferences::of(&HeaderMap::new(), header::ACCEPT).is_none());
        let headers = said(&[""]);
        let nothing = Preferences::of(&headers, header::ACCEPT).unwrap();
        assert_eq!(nothing.quality("a"), None);
    }
}
