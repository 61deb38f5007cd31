//! What a client scrambles its payloads with.

/// Masks these bytes, or unmasks them: it is the same. The key is for the first of them.
pub(super) fn apply(key: [u8; 4], bytes: &mut [u8]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut();
    for eight in words {
        *eight = (u64::from_ne_bytes(*eight) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// The key for what follows the first `taken` bytes of a payload.
pub(super) fn after(mut key: [u8; 4], taken: usize) -> [u8; 4] {
    key.rotate_left(taken % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_byte_is_masked_with_its_byte_of_the_key_wherever_the_payload_is_cut(
            key: [u8; 4], payload: Vec<u8>, cut: prop::sample::Index,
        ) {
            let each: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
            let cut = cut.index(payload.len() + 1);
            let mut masked = payload;
            let (head, tail) = masked.split_at_mut(cut);
            apply(key, head);
            apply(after(key, cut), tail);
            prop_assert_eq!(masked, each);
        }
    }
}
