//! The protocol of Redis: commands out, pushes in.

/// Appends a command.
pub fn command(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend(format!("${}\r\n", word.len()).as_bytes());
        out.extend(*word);
        out.extend(b"\r\n");
    }
}

/// What a subscribed connection is told: its kind, the channel, and a body or a count.
#[derive(Debug, PartialEq, Eq)]
pub struct Push<'a> {
    /// `message` or `subscribe`.
    pub kind: &'a [u8],
    pub channel: &'a [u8],
    pub body: &'a [u8],
    /// Bytes of all of it.
    pub size: usize,
}

impl<'a> Push<'a> {
    /// The push that these bytes begin with; `None` while some of it is missing.
    pub fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let (_, mut at) = line(bytes, 0)?;
        let mut words = [&bytes[..0]; 3];
        for word in &mut words {
            let (head, next) = line(bytes, at)?;
            (*word, at) = match head.split_first()? {
                (b'$', length) => {
                    let length: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
                    (bytes.get(next..next + length)?, next + length + 2)
                }
                (_, number) => (number, next),
            };
        }
        let [kind, channel, body] = words;
        (at <= bytes.len()).then_some(Push {
            kind,
            channel,
            body,
            size: at,
        })
    }
}

/// The line that starts here, and where the next one does.
fn line(bytes: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(start..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&rest[..end], start + end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushes_are_read_one_by_one_and_not_before_all_of_one_is_there() {
        let bytes = b"*3\r\n$9\r\nsubscribe\r\n$2\r\nab\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$3\r\n{}!\r\n";
        let first = Push::first_of(bytes).unwrap();
        assert_eq!(
            (first.kind, first.channel, first.body),
            (&b"subscribe"[..], &b"ab"[..], &b"1"[..])
        );
        let rest = &bytes[first.size..];
        let second = Push::first_of(rest).unwrap();
        assert_eq!(
            (second.kind, second.body, second.size),
            (&b"message"[..], &b"{}!"[..], rest.len())
        );
        for end in 0..rest.len() {
            assert_eq!(Push::first_of(&rest[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_command_is_an_array_of_its_words() {
        let mut out = Vec::new();
        command(&mut out, &[b"GET", b"ab"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$2\r\nab\r\n");
    }
}
