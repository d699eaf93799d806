//! Transactions as they travel: EIP-1559, RLP, one secp256k1 signature.
//!
//! Encoding and recovery are alloy-consensus's; what is ours is the key, and which transactions count as well formed.
//! Signing is deterministic (RFC 6979, low s), so that a poster which rebuilds an attempt after a crash gets the same bytes
//! and therefore the same hash, and cannot be in the chain twice.
//!
//! Invariants: a decoder takes any bytes and answers with a value or an error; it accepts one encoding of a transaction
//! only, so that a transaction has one hash; a signer never shows its key.

use core::fmt;

use alloy_consensus::transaction::SignerRecoverable as _;
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction as _, Signed, Transaction as _, TxEip1559, TxEip4844};
use alloy_eips::Typed2718 as _;
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Signature, TxKind, U256};
use k256::ecdsa::{SigningKey, VerifyingKey};

use super::{Address, MAX_TRANSACTION_BYTES};
use crate::keccak::{Hash, keccak256};
use crate::typed_data::CompactSignature;

/// A transaction of any type that the embedded chain may meet.
pub(super) type Envelope = EthereumTxEnvelope<TxEip4844>;

/// Number of the newest type that the embedded chain takes: EIP-1559.
const NEWEST_TYPE: u8 = 2;

/// Why bytes are no transaction, or a key no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// A secret is a number from 1 up to the curve's order.
    #[error("32 bytes that are no secp256k1 secret")]
    Secret,
    /// More than [`MAX_TRANSACTION_BYTES`].
    #[error("a transaction of {0} bytes, more than {MAX_TRANSACTION_BYTES}")]
    TooLong(usize),
    /// No transaction, or one that is not encoded in the one right way.
    #[error("no well-formed transaction")]
    Encoding,
    /// Of a type that is not taken: blobs (3), delegations (4).
    #[error("a transaction of type {0}, which is not taken here")]
    Type(u8),
    /// An amount over 128 bits.
    #[error("an amount over 128 bits")]
    Amount,
    /// The signature gives no sender.
    #[error("a signature that gives no sender")]
    Signature,
}

/// A transaction by EIP-1559, before it is signed.
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
    /// To whom; `None` creates a contract.
    pub to: Option<Address>,
    /// What goes with it, in wei.
    pub value_wei: u128,
    /// Selector and arguments, or the creation code.
    pub data: Vec<u8>,
}

impl Transaction {
    /// The transaction in signed bytes, and its sender: what a poster kept of an earlier attempt.
    ///
    /// # Errors
    /// See [`TransactionError`]; types other than EIP-1559 are refused.
    pub fn decode(raw: &[u8]) -> Result<(Self, Address), TransactionError> {
        let decoded = Decoded::from_raw(raw)?;
        let Envelope::Eip1559(signed) = &decoded.envelope else {
            return Err(TransactionError::Type(decoded.envelope.ty()));
        };
        let inner = signed.tx();
        let transaction = Self {
            chain_id: inner.chain_id,
            nonce: inner.nonce,
            max_priority_fee_per_gas_wei: inner.max_priority_fee_per_gas,
            max_fee_per_gas_wei: inner.max_fee_per_gas,
            gas_limit: inner.gas_limit,
            to: inner.to.to().map(|to| Address(to.into_array())),
            value_wei: inner.value.try_into().map_err(|_| TransactionError::Amount)?,
            data: inner.input.to_vec(),
        };
        Ok((transaction, decoded.sender))
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
    /// How the chain names it: the keccak-256 hash of `raw`.
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
        let unsigned = transaction.to_eip1559();
        let digest = unsigned.signature_hash();
        let (signature, recovery) =
            self.key.sign_prehash_recoverable(digest.as_slice()).expect("a hash of 32 bytes can be signed");
        let signed: Signed<TxEip1559> = unsigned.into_signed(Signature::from((signature, recovery)));
        let raw = Envelope::Eip1559(signed).encoded_2718();
        SignedTransaction { hash: keccak256(&raw), raw }
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

/// A signed transaction, taken apart and with its sender known.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    pub(super) envelope: Envelope,
    pub(super) sender: Address,
    pub(super) hash: Hash,
}

impl Decoded {
    /// Takes signed bytes apart.
    pub(super) fn from_raw(raw: &[u8]) -> Result<Self, TransactionError> {
        if raw.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLong(raw.len()));
        }
        // The type is the first byte, except for the oldest, which begin with an RLP list.
        if let Some(&number) = raw.first().filter(|first| (NEWEST_TYPE + 1..0x80).contains(*first)) {
            return Err(TransactionError::Type(number));
        }
        let envelope = Envelope::decode_2718_exact(raw).map_err(|_| TransactionError::Encoding)?;
        if envelope.encoded_2718() != raw {
            return Err(TransactionError::Encoding);
        }
        if u128::try_from(envelope.value()).is_err() {
            return Err(TransactionError::Amount);
        }
        let sender = envelope.recover_signer().map_err(|_| TransactionError::Signature)?;
        Ok(Self { envelope, sender: Address(sender.into_array()), hash: keccak256(raw) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::hex;
    use super::*;
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
        }
    }

    #[test]
    fn it_signs_what_another_implementation_signs() {
        let signer = signer();
        assert_eq!(signer.address().to_string(), "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
        let signed = signer.sign(&sample());
        assert_eq!(hex::encode(&signed.raw), SAMPLE);
        assert_eq!(signed.hash, keccak256(&signed.raw));
        assert_eq!(Transaction::decode(&signed.raw), Ok((sample(), signer.address())));
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
        for number in [3, 4, 0x7f] {
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
