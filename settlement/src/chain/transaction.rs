//! Transactions as they travel: EIP-1559, or EIP-4844 with blobs; RLP, one secp256k1 signature.
//!
//! Encoding and recovery are alloy-consensus's; what is ours is the key, and which transactions count as well formed.
//! Signing is deterministic (RFC 6979, low s), so that a poster which rebuilds an attempt after a crash gets the same bytes
//! and therefore the same hash, and cannot be in the chain twice.
//!
//! A transaction with blobs travels together with them, their commitments and cell proofs (EIP-7594); in a block, and for its
//! hash, it is only what was signed, which names the blobs by their versioned hashes.
//!
//! Invariants: a decoder takes any bytes and answers with a value or an error; it accepts one encoding of a transaction
//! only, so that a transaction has one hash; a signer never shows its key.

use core::fmt;
use std::sync::Arc;

use alloy_consensus::transaction::{PooledTransaction, SignerRecoverable as _};
use alloy_consensus::{
    EthereumTxEnvelope, SignableTransaction as _, Transaction as _, TxEip1559, TxEip4844, TxEip4844WithSidecar,
};
use alloy_eips::Typed2718 as _;
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{B256, Signature, TxKind, U256};
use k256::ecdsa::{SigningKey, VerifyingKey};

use super::{Address, MAX_BLOB_TRANSACTION_BYTES, MAX_TRANSACTION_BYTES};
use crate::blobs::{MAX_BLOBS, Sidecar};
use crate::keccak::{Hash, keccak256};
use crate::typed_data::CompactSignature;

/// A transaction of any type that the embedded chain may meet.
pub(super) type Envelope = EthereumTxEnvelope<TxEip4844>;

/// Number of the newest type that is taken: EIP-4844.
const NEWEST_TYPE: u8 = 3;

/// Why bytes are no transaction, or a key no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// A secret is a number from 1 up to the curve's order.
    #[error("32 bytes that are no secp256k1 secret")]
    Secret,
    /// More than [`MAX_TRANSACTION_BYTES`], or with blobs more than [`MAX_BLOB_TRANSACTION_BYTES`].
    #[error(
        "a transaction of {0} bytes, more than {MAX_TRANSACTION_BYTES} or, with blobs, {MAX_BLOB_TRANSACTION_BYTES}"
    )]
    TooLong(usize),
    /// No transaction, or one that is not encoded in the one right way.
    #[error("no well-formed transaction")]
    Encoding,
    /// Of a type that is not taken: delegations (4).
    #[error("a transaction of type {0}, which is not taken here")]
    Type(u8),
    /// An amount over 128 bits.
    #[error("an amount over 128 bits")]
    Amount,
    /// The signature gives no sender.
    #[error("a signature that gives no sender")]
    Signature,
    /// No blob, more than a transaction may have, or others than those that it names.
    #[error("the blobs are not 1 to {MAX_BLOBS} that the transaction names")]
    Blobs,
}

/// What goes along in blobs, see [`crate::blobs`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blobs {
    /// What a unit of blob gas may cost, in wei.
    pub max_fee_per_blob_gas_wei: u128,
    /// The blobs, with what nodes want to see beside them.
    pub sidecar: Arc<Sidecar>,
}

/// A transaction by EIP-1559, or with blobs by EIP-4844, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// For which chain; on any other it is invalid.
    pub chain_id: u64,
    /// Its number among the sender's, from 0, without a gap.
    pub nonce: u64,
    /// What the block's maker gets for a unit of gas, in wei; at most `max_fee_per_gas_wei`.
    pub max_priority_fee_per_gas_wei: u128,
    /// What a unit of gas may cost in all, in wei.
    pub max_fee_per_gas_wei: u128,
    /// Units of gas it may use; at most 2²⁴ under osaka's rules.
    pub gas_limit: u64,
    /// To whom; `None` creates a contract, which no transaction with blobs can.
    pub to: Option<Address>,
    /// What goes with it, in wei.
    pub value_wei: u128,
    /// Selector and arguments, or the creation code.
    pub data: Vec<u8>,
    /// Blobs, if any.
    pub blobs: Option<Blobs>,
}

impl Transaction {
    /// The transaction in signed bytes, its hash and its sender: what a poster kept of an earlier attempt.
    ///
    /// # Errors
    /// See [`TransactionError`]; types other than EIP-1559 and, together with its blobs, EIP-4844 are refused. Whether the
    /// blobs fit their proofs is not looked at.
    pub fn decode(raw: &[u8]) -> Result<(Self, Hash, Address), TransactionError> {
        let Decoded { envelope, sender, hash, sidecar } = Decoded::from_raw(raw)?;
        let blobs = match (&envelope, sidecar) {
            (Envelope::Eip1559(_), None) => None,
            (Envelope::Eip4844(signed), Some(sidecar)) => {
                Some(Blobs { max_fee_per_blob_gas_wei: signed.tx().max_fee_per_blob_gas, sidecar })
            }
            _ => return Err(TransactionError::Type(envelope.ty())),
        };
        let transaction = Self {
            chain_id: envelope.chain_id().ok_or(TransactionError::Encoding)?,
            nonce: envelope.nonce(),
            max_priority_fee_per_gas_wei: envelope.max_priority_fee_per_gas().ok_or(TransactionError::Encoding)?,
            max_fee_per_gas_wei: envelope.max_fee_per_gas(),
            gas_limit: envelope.gas_limit(),
            to: envelope.to().map(|to| Address(to.into_array())),
            value_wei: envelope.value().try_into().map_err(|_| TransactionError::Amount)?,
            data: envelope.input().to_vec(),
            blobs,
        };
        Ok((transaction, hash, sender))
    }

    fn to_eip4844(&self, blobs: &Blobs) -> TxEip4844 {
        TxEip4844 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: self.max_fee_per_gas_wei,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas_wei,
            to: self.to.expect("what takes blobs is a contract that is there").0.into(),
            value: U256::from(self.value_wei),
            access_list: alloy_eips::eip2930::AccessList::default(),
            blob_versioned_hashes: blobs.sidecar.0.versioned_hashes().collect(),
            max_fee_per_blob_gas: blobs.max_fee_per_blob_gas_wei,
            input: self.data.clone().into(),
        }
    }

    fn to_eip1559(&self) -> TxEip1559 {
        TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: self.max_fee_per_gas_wei,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas_wei,
            to: self.to.map_or(TxKind::Create, |to| TxKind::Call(to.0.into())),
            value: U256::from(self.value_wei),
            access_list: alloy_eips::eip2930::AccessList::default(),
            input: self.data.clone().into(),
        }
    }
}

/// A transaction ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// What is sent.
    pub raw: Vec<u8>,
    /// How the chain names it: the keccak-256 hash of `raw`, without the blobs.
    pub hash: Hash,
}

/// One account's key.
pub struct TransactionSigner {
    key: SigningKey,
    address: Address,
}

impl TransactionSigner {
    /// By its 32 secret bytes.
    ///
    /// # Errors
    /// [`TransactionError::Secret`].
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, TransactionError> {
        let key = SigningKey::from_slice(secret).map_err(|_| TransactionError::Secret)?;
        let address = Address::of_key(key.verifying_key());
        Ok(Self { key, address })
    }

    /// Whose key this is.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Signs a hash, see [`crate::typed_data`]; the same one to the same bytes.
    pub fn sign_digest(&self, digest: Hash) -> CompactSignature {
        let (signature, recovery) =
            self.key.sign_prehash_recoverable(&digest.0).expect("a hash of 32 bytes can be signed");
        CompactSignature::new(&signature, recovery)
    }

    /// Signs a transaction; the same one to the same bytes.
    pub fn sign(&self, transaction: &Transaction) -> SignedTransaction {
        let Some(blobs) = &transaction.blobs else {
            let unsigned = transaction.to_eip1559();
            let signature = self.sign_transaction_hash(unsigned.signature_hash());
            let raw = Envelope::Eip1559(unsigned.into_signed(signature)).encoded_2718();
            return SignedTransaction { hash: keccak256(&raw), raw };
        };
        let unsigned = transaction.to_eip4844(blobs);
        let signature = self.sign_transaction_hash(unsigned.signature_hash());
        let hash = keccak256(&Envelope::Eip4844(unsigned.clone().into_signed(signature)).encoded_2718());
        let with_blobs = TxEip4844WithSidecar { tx: unsigned, sidecar: blobs.sidecar.0.clone() };
        let raw = PooledTransaction::Eip4844(with_blobs.into_signed(signature)).encoded_2718();
        SignedTransaction { hash, raw }
    }

    fn sign_transaction_hash(&self, hash: B256) -> Signature {
        let signed = self.key.sign_prehash_recoverable(hash.as_slice()).expect("a hash of 32 bytes can be signed");
        Signature::from(signed)
    }
}

impl Address {
    /// The account of a secp256k1 key.
    pub(crate) fn of_key(key: &VerifyingKey) -> Self {
        let point = key.to_encoded_point(false);
        // The first byte says that the point is not compressed and is no part of what the address hashes.
        let hash = keccak256(&point.as_bytes()[1..]);
        Self(hash.0[12..].try_into().expect("20 of a hash's 32 bytes"))
    }
}

impl fmt::Debug for TransactionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionSigner").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The hash of signed bytes as the chain names them; `None` for bytes that are no transaction.
pub(super) fn hash_of(raw: &[u8]) -> Option<Hash> {
    if raw.first() != Some(&NEWEST_TYPE) {
        return Some(keccak256(raw));
    }
    Decoded::from_raw(raw).ok().map(|decoded| decoded.hash)
}

/// A signed transaction, taken apart and with its sender known.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    /// What a block has of it.
    pub(super) envelope: Envelope,
    pub(super) sender: Address,
    pub(super) hash: Hash,
    /// What came along; not where the bytes are those in a block.
    pub(super) sidecar: Option<Arc<Sidecar>>,
}

impl Decoded {
    /// Takes signed bytes apart.
    pub(super) fn from_raw(raw: &[u8]) -> Result<Self, TransactionError> {
        let most = if raw.first() == Some(&NEWEST_TYPE) { MAX_BLOB_TRANSACTION_BYTES } else { MAX_TRANSACTION_BYTES };
        if raw.len() > most {
            return Err(TransactionError::TooLong(raw.len()));
        }
        // The type is the first byte, except for the oldest, which begin with an RLP list.
        if let Some(&number) = raw.first().filter(|first| (NEWEST_TYPE + 1..0x80).contains(*first)) {
            return Err(TransactionError::Type(number));
        }
        let (envelope, sidecar) = take_apart(raw)?;
        if u128::try_from(envelope.value()).is_err() {
            return Err(TransactionError::Amount);
        }
        let named = envelope.blob_versioned_hashes().unwrap_or_default();
        if envelope.is_eip4844() && !(1..=MAX_BLOBS).contains(&named.len()) {
            return Err(TransactionError::Blobs);
        }
        if sidecar.as_ref().is_some_and(|sidecar| !sidecar.0.versioned_hashes().eq(named.iter().copied())) {
            return Err(TransactionError::Blobs);
        }
        let sender = envelope.recover_signer().map_err(|_| TransactionError::Signature)?;
        let hash = if sidecar.is_some() { keccak256(&envelope.encoded_2718()) } else { keccak256(raw) };
        Ok(Self { envelope, sender: Address(sender.into_array()), hash, sidecar })
    }
}

/// What was signed, and the blobs where they came along.
fn take_apart(raw: &[u8]) -> Result<(Envelope, Option<Arc<Sidecar>>), TransactionError> {
    if raw.first() == Some(&NEWEST_TYPE)
        && let Ok(pooled) = PooledTransaction::decode_2718_exact(raw)
    {
        let PooledTransaction::Eip4844(signed) = pooled else { return Err(TransactionError::Encoding) };
        let (with_blobs, signature, _) = signed.into_parts();
        let (unsigned, sidecar) = with_blobs.into_parts();
        let again = TxEip4844WithSidecar { tx: unsigned.clone(), sidecar: sidecar.clone() };
        if PooledTransaction::Eip4844(again.into_signed(signature)).encoded_2718() != raw {
            return Err(TransactionError::Encoding);
        }
        return Ok((Envelope::Eip4844(unsigned.into_signed(signature)), Some(Arc::new(Sidecar(sidecar)))));
    }
    let envelope = Envelope::decode_2718_exact(raw).map_err(|_| TransactionError::Encoding)?;
    if envelope.encoded_2718() != raw {
        return Err(TransactionError::Encoding);
    }
    Ok((envelope, None))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hex;
    use super::*;
    use crate::blobs::Packed;
    use crate::testing::random_cases;

    /// The first key of every development chain.
    const SECRET: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    /// What foundry's `cast mktx` makes of [`sample`] with that key.
    const SAMPLE: &str = "0x02f89a827a6907843b9aca008504a817c800830186a09470997970c51812dc3a010c7d01b50e0d17dc79c8880de0b6\
        b3a7640000a41003e2d20000000000000000000000000000000000000000000000000000000000000003c001a08eefb72985a177ed0425c836\
        b93c68ca5544ba519aef93ed184cb7d5965ed3e5a03fe630cafc7de4c2d1656dac7a94281242a8e2ac2e2d2a49abb05027f3cdfdbb";

    /// The example of EIP-155, signed with 32 bytes of 0x46.
    const EIP_155: &str = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080\
        25a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276\
        a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";

    fn signer() -> TransactionSigner {
        TransactionSigner::from_secret(&hex::decode_array(SECRET).unwrap()).unwrap()
    }

    fn sample() -> Transaction {
        let mut data = hex::decode("0x1003e2d2").unwrap();
        data.extend([0; 31]);
        data.push(3);
        Transaction {
            chain_id: 31_337,
            nonce: 7,
            max_priority_fee_per_gas_wei: 1_000_000_000,
            max_fee_per_gas_wei: 20_000_000_000,
            gas_limit: 100_000,
            to: Address::from_hex("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
            value_wei: 1_000_000_000_000_000_000,
            data,
            blobs: None,
        }
    }

    /// The same with data in a blob.
    fn with_blob() -> Transaction {
        let sidecar = Arc::new(Packed::of(b"some data").unwrap().sidecar());
        let blobs = Some(Blobs { max_fee_per_blob_gas_wei: 3, sidecar });
        Transaction { blobs, ..sample() }
    }

    #[test]
    fn it_signs_what_another_implementation_signs() {
        let signer = signer();
        assert_eq!(signer.address().to_string(), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        let signed = signer.sign(&sample());
        assert_eq!(hex::encode(&signed.raw), SAMPLE);
        assert_eq!(signed.hash, keccak256(&signed.raw));
        assert_eq!(Transaction::decode(&signed.raw), Ok((sample(), signed.hash, signer.address())));
        assert_eq!(hash_of(&signed.raw), Some(signed.hash));
    }

    #[test]
    fn blobs_go_along_and_are_no_part_of_the_hash() {
        let signed = signer().sign(&with_blob());
        assert_eq!(Transaction::decode(&signed.raw), Ok((with_blob(), signed.hash, signer().address())));
        let decoded = Decoded::from_raw(&signed.raw).unwrap();
        let in_block = decoded.envelope.encoded_2718();
        assert_eq!((keccak256(&in_block), hash_of(&signed.raw)), (signed.hash, Some(signed.hash)));
        let again = Decoded::from_raw(&in_block).unwrap();
        assert_eq!((again.hash, again.sender, again.sidecar), (signed.hash, signer().address(), None));
        assert_eq!(Transaction::decode(&in_block), Err(TransactionError::Type(3)), "without its blobs");
        let other = Arc::new(Packed::of(b"other data").unwrap().sidecar());
        let Envelope::Eip4844(in_block) = decoded.envelope else { panic!("a transaction with blobs") };
        let (tx, signature, _) = in_block.into_parts();
        let swapped = TxEip4844WithSidecar { tx, sidecar: other.0.clone() }.into_signed(signature);
        let raw = PooledTransaction::Eip4844(swapped).encoded_2718();
        assert_eq!(Decoded::from_raw(&raw).unwrap_err(), TransactionError::Blobs);
    }

    #[test]
    fn cut_transactions_with_blobs_are_refused() {
        let raw = signer().sign(&with_blob()).raw;
        for length in (0..raw.len()).step_by(raw.len() / 40) {
            assert!(Decoded::from_raw(&raw[..length]).is_err(), "{length} bytes");
        }
        let longer = [&raw[..], &[0]].concat();
        assert_eq!(Decoded::from_raw(&longer).unwrap_err(), TransactionError::Encoding);
        let huge = vec![0x03; MAX_BLOB_TRANSACTION_BYTES + 1];
        assert_eq!(Decoded::from_raw(&huge).unwrap_err(), TransactionError::TooLong(MAX_BLOB_TRANSACTION_BYTES + 1));
    }

    #[test]
    fn the_published_example_has_its_published_sender() {
        let decoded = Decoded::from_raw(&hex::decode(EIP_155).unwrap()).unwrap();
        assert_eq!(decoded.sender, Address::from_hex("0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F").unwrap());
        assert_eq!(decoded.envelope.nonce(), 9);
        assert_eq!(Transaction::decode(&hex::decode(EIP_155).unwrap()), Err(TransactionError::Type(0)));
        assert_eq!(TransactionSigner::from_secret(&[0x46; 32]).unwrap().address(), decoded.sender);
    }

    #[test]
    fn secrets_that_are_none_are_refused_and_none_is_shown() {
        for secret in [[0; 32], [0xff; 32]] {
            assert_eq!(TransactionSigner::from_secret(&secret).unwrap_err(), TransactionError::Secret);
        }
        let shown = format!("{:?}", signer());
        assert_eq!(shown, "TransactionSigner { address: 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266, .. }");
    }

    #[test]
    fn bytes_that_are_no_transaction_are_refused() {
        let raw = signer().sign(&sample()).raw;
        for length in 0..raw.len() {
            assert_eq!(Decoded::from_raw(&raw[..length]).unwrap_err(), TransactionError::Encoding, "{length} bytes");
        }
        let mut longer = raw.clone();
        longer.push(0);
        assert_eq!(Decoded::from_raw(&longer).unwrap_err(), TransactionError::Encoding);
        for number in [4, 0x7f] {
            let mut other = raw.clone();
            other[0] = number;
            assert_eq!(Decoded::from_raw(&other).unwrap_err(), TransactionError::Type(number));
        }
        let huge = vec![0x02; MAX_TRANSACTION_BYTES + 1];
        assert_eq!(Decoded::from_raw(&huge).unwrap_err(), TransactionError::TooLong(MAX_TRANSACTION_BYTES + 1));
    }

    #[test]
    fn a_signature_with_a_high_s_is_refused() {
        let decoded = Decoded::from_raw(&signer().sign(&sample()).raw).unwrap();
        let Envelope::Eip1559(signed) = decoded.envelope else { panic!("an EIP-1559 transaction") };
        let order = U256::from_be_bytes(
            hex::decode_array::<32>("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap(),
        );
        let signature = signed.signature();
        let other = Signature::new(signature.r(), order - signature.s(), !signature.v());
        let raw = Envelope::Eip1559(signed.tx().clone().into_signed(other)).encoded_2718();
        assert_eq!(Decoded::from_raw(&raw).unwrap_err(), TransactionError::Signature);
    }

    proptest! {
        #![proptest_config(random_cases(64))]

        #[test]
        fn no_changed_byte_keeps_the_sender(place in 0_usize..157, change in 1_u8..=255) {
            let mut raw = signer().sign(&sample()).raw;
            raw[place] ^= change;
            if let Ok(decoded) = Decoded::from_raw(&raw) {
                prop_assert_ne!(decoded.sender, signer().address());
            }
        }
    }
}
