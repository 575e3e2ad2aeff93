//! Randomness, injected: UIDs, name suffixes, jitter.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::{ChaCha8Rng, SysRng};
use rand::{Rng, RngExt, SeedableRng};

/// The characters of generated names: no vowels and no look-alikes, as in Kubernetes'
/// `k8s.io/apimachinery/pkg/util/rand`.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A seedable source of randomness. Clones draw from the same stream; [`Random::fork`] makes a stream
/// of its own, so that what one component draws does not depend on how often another did.
#[derive(Clone, Debug)]
pub struct Random {
    seed: u64,
    stream: Arc<Mutex<ChaCha8Rng>>,
}

impl Random {
    /// A source that gives the same values for the same seed.
    pub fn seeded(seed: u64) -> Self {
        Self { seed, stream: Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))) }
    }

    /// A source seeded by the operating system.
    ///
    /// # Panics
    /// Where the operating system has no randomness to give.
    pub fn from_entropy() -> Self {
        let mut seed = ChaCha8Rng::try_from_rng(&mut SysRng).expect("the operating system's randomness");
        Self::seeded(seed.next_u64())
    }

    /// An independent stream that depends on this source's seed and on `name` alone.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        // FNV-1a: stable across builds and machines, unlike the standard library's hashers.
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        Self::seeded(self.seed.rotate_left(17) ^ hash)
    }

    /// A random (version 4) UUID in its usual text form, for `metadata.uid`.
    pub fn uid(&self) -> String {
        let value = self.draw(|rng| (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64()));
        let value = (value & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
        let mut text = String::with_capacity(36);
        for (at, byte) in value.to_be_bytes().into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(hexadecimal(byte));
        }
        text
    }

    /// 64 hexadecimal digits, as container runtimes name what they make.
    pub fn hex_id(&self) -> String {
        let mut bytes = [0; 32];
        self.fill(&mut bytes);
        let mut text = String::with_capacity(64);
        text.extend(bytes.map(hexadecimal));
        text
    }

    /// `length` characters that are safe at the end of an object's name.
    pub fn suffix(&self, length: usize) -> String {
        self.draw(|rng| (0..length).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect())
    }

    /// A number below `bound`, each equally likely; 0 where `bound` is 0.
    pub fn below(&self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.draw(|rng| rng.random_range(0..bound)) }
    }

    /// `base` lengthened by a random share of it, at most `factor` (0.1 means: at most a tenth).
    pub fn jitter(&self, base: Duration, factor: f64) -> Duration {
        base.mul_f64(1.0 + self.draw(|rng| rng.random::<f64>()) * factor.max(0.0))
    }

    /// Fills `bytes` with random ones.
    ///
    /// These are reproducible by design: never a source of key material.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.draw(|rng| rng.fill_bytes(bytes));
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
        draw(&mut self.stream.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The digits of all bytes, one after the other: looked up, as every object that is made takes sixteen.
const DIGITS: [u8; 512] = {
    let (mut digits, mut at) = ([0; 512], 0);
    while at < digits.len() {
        let byte = at / 2;
        digits[at] = b"0123456789abcdef"[if at % 2 == 0 { byte >> 4 } else { byte & 0xf }];
        at += 1;
    }
    digits
};

fn hexadecimal(byte: u8) -> &'static str {
    const TEXT: &str = match std::str::from_utf8(&DIGITS) {
        Ok(text) => text,
        Err(_) => panic!("digits are ASCII"),
    };
    let at = 2 * usize::from(byte);
    &TEXT[at..at + 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_values() {
        let (a, b) = (Random::seeded(7), Random::seeded(7));
        assert_eq!(a.uid(), b.uid());
        assert_eq!(a.suffix(5), b.suffix(5));
        assert_ne!(a.fork("x").uid(), a.fork("y").uid());
    }

    #[test]
    fn identifiers_are_written_in_hexadecimal() {
        let random = Random::seeded(1);
        let (bytes, id) = (&mut [0; 32], random.clone().hex_id());
        Random::seeded(1).fill(bytes);
        assert_eq!(id, bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }

    #[test]
    fn uids_are_version_four_uuids() {
        let uid = Random::seeded(1).uid();
        assert_eq!(uid.len(), 36);
        assert_eq!(&uid[14..15], "4");
        assert!("89ab".contains(&uid[19..20]));
    }
}
