//! What is signed for a venue with secp256k1 keys, as EIP-712 typed data, so that the contract can judge it and a wallet
//! can show it.
//!
//! | signed | type | by |
//! |---|---|---|
//! | a batch's header | `Batch(bytes32 header)` | the header key |
//! | an interval of journal records | `Interval(uint16 shard,uint64 epoch,bytes32 root)` | the header key |
//! | a key's registration | `RegisterKey(address owner,bytes32 ed25519Key,uint64 epoch,uint64 expiry)` | the owner |
//!
//! What is hashed: 0x19 0x01 ‖ domain separator ‖ hash of the structure. The domain is name `Lakh`, version `1`, the chain
//! and the settlement contract, so that nothing is good for another venue.
//!
//! Invariant: a signature has one form only (compact, low s), see [`recover`].

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};

use crate::chain::Address;
use crate::contract::address_word;
use crate::follower::Venue;
use crate::keccak::{Hash, keccak256};
use crate::words::{WORD, concat, number};

const DOMAIN_TYPE: &str = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const BATCH_TYPE: &str = "Batch(bytes32 header)";
const INTERVAL_TYPE: &str = "Interval(uint16 shard,uint64 epoch,bytes32 root)";
const REGISTER_KEY_TYPE: &str = "RegisterKey(address owner,bytes32 ed25519Key,uint64 epoch,uint64 expiry)";

/// The highest bit of the second half: whether the curve point's y is odd.
const PARITY_BIT: u8 = 0x80;

/// A secp256k1 signature in 64 bytes (EIP-2098).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactSignature {
    /// The first half.
    pub r: [u8; WORD],
    /// The second half, with the parity in its highest bit.
    pub vs: [u8; WORD],
}

impl CompactSignature {
    /// The 64 bytes.
    pub fn to_bytes(self) -> [u8; 2 * WORD] {
        let mut bytes = [0; 2 * WORD];
        bytes[..WORD].copy_from_slice(&self.r);
        bytes[WORD..].copy_from_slice(&self.vs);
        bytes
    }

    /// From 64 bytes; any will do, whether they are a signature only [`recover`] tells.
    pub fn from_bytes(bytes: &[u8; 2 * WORD]) -> Self {
        let (r, vs) = bytes.split_at(WORD);
        Self { r: r.try_into().expect("half of 64"), vs: vs.try_into().expect("half of 64") }
    }

    pub(crate) fn new(signature: &Signature, recovery: RecoveryId) -> Self {
        let mut vs: [u8; WORD] = signature.s().to_bytes().into();
        if recovery.is_y_odd() {
            vs[0] |= PARITY_BIT;
        }
        Self { r: signature.r().to_bytes().into(), vs }
    }
}

/// Who signed a digest; `None` where nobody did.
pub fn recover(digest: Hash, signature: CompactSignature) -> Option<Address> {
    let mut s = signature.vs;
    let recovery = RecoveryId::new(s[0] & PARITY_BIT != 0, false);
    s[0] &= !PARITY_BIT;
    let signature = Signature::from_scalars(signature.r, s).ok()?;
    // The contract takes low halves only; a high one would be a second form of the same signature.
    if signature.normalize_s().is_some() {
        return None;
    }
    let key = VerifyingKey::recover_from_prehash(&digest.0, &signature, recovery).ok()?;
    Some(Address::of_key(&key))
}

/// The domain of all that is signed for a venue.
pub fn domain_separator(venue: Venue) -> Hash {
    let texts = ["Lakh", "1"].map(|text| keccak256(text.as_bytes()).0);
    let [name, version] = texts;
    let kind = keccak256(DOMAIN_TYPE.as_bytes()).0;
    keccak256(&concat([kind, name, version, number(venue.chain_id.into()), address_word(venue.contract)]))
}

fn digest<const WORDS: usize>(venue: Venue, structure: [[u8; WORD]; WORDS]) -> Hash {
    let mut bytes = vec![0x19, 0x01];
    bytes.extend_from_slice(&domain_separator(venue).0);
    bytes.extend_from_slice(&keccak256(&concat(structure)).0);
    keccak256(&bytes)
}

/// What the header key signs of a batch.
pub fn batch_digest(venue: Venue, header_hash: Hash) -> Hash {
    digest(venue, [keccak256(BATCH_TYPE.as_bytes()).0, header_hash.0])
}

/// What the header key signs of an interval of journal records.
pub fn interval_digest(venue: Venue, shard: u16, epoch: u64, root: Hash) -> Hash {
    let kind = keccak256(INTERVAL_TYPE.as_bytes()).0;
    digest(venue, [kind, number(shard.into()), number(epoch.into()), root.0])
}

/// What an owner signs so that somebody else may bring in a key's registration. `expiry` is in seconds, 0 for never.
pub fn register_key_digest(venue: Venue, owner: Address, key: [u8; 32], epoch: u64, expiry: u64) -> Hash {
    let kind = keccak256(REGISTER_KEY_TYPE.as_bytes()).0;
    digest(venue, [kind, address_word(owner), key, number(epoch.into()), number(expiry.into())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::transaction::TransactionSigner;

    const VENUE: Venue = Venue { chain_id: 31_337, contract: Address([0xc0; 20]) };

    #[test]
    fn whoever_signed_is_found_and_nobody_else() {
        let signer = TransactionSigner::from_secret(&[7; 32]).unwrap();
        for seed in 0..50_u8 {
            let digest = batch_digest(VENUE, Hash([seed; 32]));
            let signature = signer.sign_digest(digest);
            assert_eq!(recover(digest, signature), Some(signer.address()));
            assert_eq!(CompactSignature::from_bytes(&signature.to_bytes()), signature);
            assert_ne!(recover(batch_digest(VENUE, Hash([seed + 1; 32])), signature), Some(signer.address()));
            let mut other = signature;
            other.vs[0] ^= PARITY_BIT;
            assert_ne!(recover(digest, other), Some(signer.address()));
        }
        assert_eq!(recover(Hash([1; 32]), CompactSignature::default()), None);
        assert_eq!(recover(Hash([1; 32]), CompactSignature { r: [0xff; 32], vs: [0x7f; 32] }), None);
    }

    #[test]
    fn nothing_is_good_for_another_venue_or_as_something_else() {
        let other = Venue { chain_id: 1, ..VENUE };
        let third = Venue { contract: Address([0xc1; 20]), ..VENUE };
        let root = Hash([5; 32]);
        let all = [
            batch_digest(VENUE, root),
            batch_digest(other, root),
            batch_digest(third, root),
            interval_digest(VENUE, 0, 1, root),
            interval_digest(VENUE, 1, 1, root),
            interval_digest(VENUE, 0, 2, root),
            register_key_digest(VENUE, Address([1; 20]), root.0, 1, 0),
            register_key_digest(VENUE, Address([1; 20]), root.0, 2, 0),
            register_key_digest(VENUE, Address([1; 20]), root.0, 1, 1),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|another| another != one), "{index}");
        }
    }
}
