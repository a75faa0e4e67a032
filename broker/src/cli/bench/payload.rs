//! Values to send: pseudo-random bytes, so that compression neither helps nor is given a gift.

/// A run of bytes from which values are cut at moving positions.
pub(super) struct Payload {
    bytes: Vec<u8>,
    size: usize,
}

impl Payload {
    /// Values of `size` bytes from a fixed seed: two runs send the same bytes.
    pub(super) fn new(size: usize) -> Payload {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let length = size + 64 * 1024;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        Payload { bytes, size }
    }

    /// The value of record `index`.
    pub(super) fn value(&self, index: u64) -> &[u8] {
        let start = (index.wrapping_mul(8) % (64 * 1024)) as usize;
        &self.bytes[start..start + self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_size_asked_for_and_differ() {
        let payload = Payload::new(100);
        assert_eq!(payload.value(0).len(), 100);
        assert_eq!(payload.value(u64::MAX).len(), 100);
        assert_ne!(payload.value(0), payload.value(1));
    }
}
