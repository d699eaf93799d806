//! Keys that sign, decompressed once, by the numbers that the engine gave them: a look-up costs a tenth of one by the keys'
//! bytes, whose hash has to hold out against clients who choose them.
//!
//! A key is its bytes all the same: an entry is only ever used for the bytes that it was made of.
//! Bounds: so many keys, or those of one batch; when there would be more, all are forgotten first. Some 1.2 kB each.

use lakh_engine::ids::KeyId;

use crate::auth::signature::{BatchVerifier, VerifyingKey};
use crate::id_map::IdMap;

/// A key by its number and its bytes.
pub(super) type Signer<'a> = (KeyId, &'a [u8; 32]);

/// See the module.
#[derive(Debug)]
pub(super) struct KnownKeys {
    keys: IdMap<KeyId, Known>,
    most: usize,
}

#[derive(Debug)]
struct Known {
    public_key: [u8; 32],
    /// `None` for bytes that are registered but are no key: they never sign anything.
    key: Option<Box<VerifyingKey>>,
}

impl KnownKeys {
    /// None is known, and `most` may be.
    pub(super) fn new(most: usize) -> Self {
        Self { keys: IdMap::default(), most }
    }

    /// Whether one more would be too many.
    pub(super) fn is_full(&self) -> bool {
        self.keys.len() >= self.most
    }

    /// Decompresses those keys that are not known, and works out what `batch` needs of them. All of them are known from here
    /// on until others are learnt.
    pub(super) fn learn<'a>(&mut self, signers: impl Iterator<Item = Signer<'a>> + Clone, batch: &BatchVerifier) {
        let unknown = signers.clone().filter(|signer| !self.knows(*signer)).count();
        if unknown == 0 {
            return;
        }
        if self.keys.len() + unknown > self.most {
            self.keys.clear();
        }
        for signer in signers {
            if self.knows(signer) {
                continue;
            }
            let (number, public_key) = signer;
            let key = VerifyingKey::from_bytes(public_key).ok().map(Box::new);
            key.iter().for_each(|key| batch.prepare(key));
            self.keys.insert(number, Known { public_key: *public_key, key });
        }
    }

    fn knows(&self, (number, public_key): Signer<'_>) -> bool {
        self.keys.get(&number).is_some_and(|known| known.public_key == *public_key)
    }

    /// A key that was learnt; `None` for bytes that are no key.
    pub(super) fn of(&self, (number, public_key): Signer<'_>) -> Option<&VerifyingKey> {
        self.keys.get(&number).filter(|known| known.public_key == *public_key)?.key.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn public_key(seed: u8) -> [u8; 32] {
        SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()
    }

    fn knows_only(keys: &KnownKeys, known: &[(u32, u8)], unknown: &[(u32, u8)]) {
        for (number, seed) in known {
            let public_key = public_key(*seed);
            let found = keys.of((KeyId(*number), &public_key)).map(VerifyingKey::as_bytes);
            assert_eq!(found, Some(&public_key), "number {number}, key {seed}");
        }
        for (number, seed) in unknown {
            assert!(keys.of((KeyId(*number), &public_key(*seed))).is_none(), "number {number}, key {seed}");
        }
    }

    #[test]
    fn a_key_is_known_by_its_number_and_its_bytes() {
        let (mut keys, batch) = (KnownKeys::new(2), BatchVerifier::on_the_library([7; 32]));
        let learn = |keys: &mut KnownKeys, number, bytes: [u8; 32]| {
            keys.learn([(KeyId(number), &bytes)].into_iter(), &batch);
        };
        knows_only(&keys, &[], &[(1, 1)]);
        learn(&mut keys, 1, public_key(1));
        knows_only(&keys, &[(1, 1)], &[(1, 2), (2, 1)]);
        learn(&mut keys, 1, public_key(2));
        knows_only(&keys, &[(1, 2)], &[(1, 1)]);
        let mut weak = [0; 32];
        weak[0] = 1;
        learn(&mut keys, 2, weak);
        assert!(keys.of((KeyId(2), &weak)).is_none(), "not of prime order");
        assert!(keys.is_full());
    }

    #[test]
    fn all_keys_are_forgotten_before_there_are_too_many() {
        let (mut keys, batch) = (KnownKeys::new(3), BatchVerifier::on_the_library([7; 32]));
        let public_keys: Vec<_> = (0..10).map(public_key).collect();
        let learn = |keys: &mut KnownKeys, numbers: std::ops::Range<u32>| {
            keys.learn(numbers.map(|number| (KeyId(number), &public_keys[number as usize])), &batch);
        };
        learn(&mut keys, 1..2);
        learn(&mut keys, 1..4);
        knows_only(&keys, &[(1, 1), (2, 2), (3, 3)], &[]);
        learn(&mut keys, 1..4);
        knows_only(&keys, &[(1, 1), (2, 2), (3, 3)], &[]);
        learn(&mut keys, 3..5);
        knows_only(&keys, &[(3, 3), (4, 4)], &[(1, 1), (2, 2)]);
        learn(&mut keys, 1..9);
        assert_eq!(keys.keys.len(), 8, "those of a batch are always known, however many");
        learn(&mut keys, 9..10);
        knows_only(&keys, &[(9, 9)], &[(8, 8)]);
    }
}
