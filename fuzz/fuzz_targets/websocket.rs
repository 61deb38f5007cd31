//! Whatever arrives on a socket is messages or refused, the same wherever reads end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings::websocket::{Error, Reader, Role};

const MESSAGE_BYTES: usize = 1000;

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (is_server, piece, bytes) = input;
    let role = if is_server {
        Role::Server
    } else {
        Role::Client
    };
    let whole = read(role, bytes, bytes.len().max(1));
    let pieces = read(role, bytes, usize::from(piece).max(1));
    assert_eq!(whole, pieces);
});

/// What is said, message by message, and whether it is refused in the end.
fn read(role: Role, bytes: &[u8], piece: usize) -> (Vec<String>, Option<Error>) {
    let (mut reader, mut said) = (Reader::new(role, MESSAGE_BYTES), Vec::new());
    for piece in bytes.chunks(piece) {
        let mut piece = piece.to_vec();
        let mut rest = &mut *piece;
        loop {
            match reader.next(&mut rest) {
                Ok(Some(message)) => said.push(format!("{message:?}")),
                Ok(None) => break,
                Err(error) => return (said, Some(error)),
            }
        }
        assert!(rest.is_empty(), "all of it is taken in");
    }
    (said, None)
}
