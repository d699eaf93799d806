//! The published differences in blobs (EIP-4844): how bytes become field elements, and how a batch's header names them.
//!
//! A blob is 4,096 elements of 32 bytes, each a number below the order of a curve, so the first byte of an element is left 0
//! and the other 31 are used. The stream goes through the elements of all blobs of a transaction without a gap:
//!
//! | offset in the stream | size | meaning |
//! |---|---|---|
//! | 0 | 4 | bytes of the data, big-endian |
//! | 4 | so many | the data, see [`crate::diff`] |
//! | behind | to the last blob's end | 0 |
//!
//! A blob's **versioned hash** is `0x01` and the last 31 bytes of SHA-256 over its KZG commitment; the header's data hash is
//! keccak256 over the versioned hashes of a transaction's blobs in their order, as `Encoding.blobsHash` has it. So a batch
//! has two possible headers, which differ in the data hash alone: the journal's decision names the data by their
//! keccak256, and whoever posts it chooses how they travel ([`header_as_committed`]).
//!
//! Commitments and the cell proofs that nodes want since osaka (EIP-7594) are made by c-kzg with Ethereum's trusted setup.
//!
//! Invariants: data have one encoding; a decoder takes any bytes and answers with a value or an error, never a panic. Bounds:
//! [`MAX_BLOBS`] blobs, which is what a transaction may have, so [`MAX_DATA_BYTES`]; the trusted setup is loaded once, when it is
//! first needed, which takes about 1.4 s and a few MiB (without the tables for faster proofs, which take many more).

pub use alloy_eips::eip4844::Blob;
use alloy_eips::eip4844::kzg_to_versioned_hash;
use alloy_eips::eip7594::BlobTransactionSidecarEip7594;

use crate::commitment::Header;
use crate::keccak::{Hash, keccak256};

/// Blobs of a transaction, at most.
pub const MAX_BLOBS: usize = 6;
/// Bytes of a blob.
pub const BLOB_BYTES: usize = 131_072;
/// Blob gas that a blob costs.
pub const BLOB_GAS: u64 = 131_072;
/// Bytes of the longest data.
pub const MAX_DATA_BYTES: usize = MAX_BLOBS * USABLE_BYTES - LENGTH_BYTES;
/// How long nodes keep blobs, in seconds: 4,096 epochs of 32 slots of 12 seconds, rounded down to days.
pub const BLOB_LIFE_SECONDS: u64 = 18 * 24 * 3_600;

const ELEMENT_BYTES: usize = 32;
const USABLE_BYTES: usize = BLOB_BYTES / ELEMENT_BYTES * (ELEMENT_BYTES - 1);
const LENGTH_BYTES: usize = 4;

/// Why blobs are not those of any data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// None, more than a transaction may have, or one of another size.
    #[error("no 1 to {MAX_BLOBS} blobs of {BLOB_BYTES} bytes")]
    Size,
    /// A byte that no data lead to: the first of an element, or one behind the data.
    #[error("byte {offset} of blob {blob} is not 0")]
    NotZero {
        /// Which blob, from 0.
        blob: usize,
        /// Where in it.
        offset: usize,
    },
    /// More data than there is room for, or fewer than need so many blobs.
    #[error("{bytes} bytes of data do not fill that many blobs")]
    Length {
        /// What the stream says.
        bytes: usize,
    },
}

/// Data as blobs; `None` where they are longer than [`MAX_DATA_BYTES`].
pub fn pack(data: &[u8]) -> Option<Vec<Blob>> {
    if data.len() > MAX_DATA_BYTES {
        return None;
    }
    let length = u32::try_from(data.len()).ok()?.to_be_bytes();
    let stream: Vec<u8> = length.iter().chain(data).copied().collect();
    let blobs = stream.chunks(USABLE_BYTES).map(|part| {
        let mut blob = Blob::ZERO;
        for (element, bytes) in blob.chunks_exact_mut(ELEMENT_BYTES).zip(part.chunks(ELEMENT_BYTES - 1)) {
            element[1..=bytes.len()].copy_from_slice(bytes);
        }
        blob
    });
    Some(blobs.collect())
}

/// How many blobs so many bytes of data take.
pub fn blob_count(data_bytes: usize) -> usize {
    (LENGTH_BYTES + data_bytes).div_ceil(USABLE_BYTES)
}

/// The data in blobs.
///
/// # Errors
/// See [`BlobError`]; so that each data has one encoding.
pub fn unpack(blobs: &[Blob]) -> Result<Vec<u8>, BlobError> {
    if !(1..=MAX_BLOBS).contains(&blobs.len()) {
        return Err(BlobError::Size);
    }
    let mut stream = Vec::with_capacity(blobs.len() * USABLE_BYTES);
    for (index, blob) in blobs.iter().enumerate() {
        for (number, element) in blob.chunks_exact(ELEMENT_BYTES).enumerate() {
            if element[0] != 0 {
                return Err(BlobError::NotZero { blob: index, offset: number * ELEMENT_BYTES });
            }
            stream.extend_from_slice(&element[1..]);
        }
    }
    let (length, rest) = stream.split_first_chunk::<LENGTH_BYTES>().ok_or(BlobError::Size)?;
    let bytes = u32::from_be_bytes(*length) as usize;
    if bytes > rest.len() || blob_count(bytes) != blobs.len() {
        return Err(BlobError::Length { bytes });
    }
    let (data, behind) = rest.split_at(bytes);
    if let Some(place) = behind.iter().position(|byte| *byte != 0) {
        let place = LENGTH_BYTES + bytes + place;
        let (blob, place) = (place / USABLE_BYTES, place % USABLE_BYTES);
        let offset = place / (ELEMENT_BYTES - 1) * ELEMENT_BYTES + 1 + place % (ELEMENT_BYTES - 1);
        return Err(BlobError::NotZero { blob, offset });
    }
    Ok(data.to_vec())
}

/// A blob's versioned hash; `None` where an element is no number below the curve's order.
pub fn versioned_hash(blob: &Blob) -> Option<Hash> {
    let commitment = settings().blob_to_kzg_commitment(&c_kzg::Blob::new(blob.0)).ok()?;
    Some(Hash(kzg_to_versioned_hash(commitment.as_slice()).0))
}

/// What a header names as its data where they are in blobs with these versioned hashes.
pub fn data_hash(hashes: &[Hash]) -> Hash {
    keccak256(&hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>())
}

/// The header under which a batch with `data` stands on the chain as `committed`: the journal's own, or the one with the
/// data in blobs. `None` where it is another batch.
pub fn header_as_committed(journal: &Header, data: &[u8], committed: Hash) -> Option<Header> {
    if journal.hash() == committed {
        return Some(*journal);
    }
    Packed::of(data).map(|packed| packed.header(journal)).filter(|header| header.hash() == committed)
}

/// Data as blobs, with their versioned hashes.
#[derive(Clone)]
pub struct Packed {
    blobs: Vec<Blob>,
    hashes: Vec<Hash>,
}

impl core::fmt::Debug for Packed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Packed").field("hashes", &self.hashes).finish_non_exhaustive()
    }
}

impl Packed {
    /// Of data; `None` where they are longer than [`MAX_DATA_BYTES`]. Takes about 25 ms a blob.
    pub fn of(data: &[u8]) -> Option<Self> {
        let blobs = pack(data)?;
        let hash = |blob| versioned_hash(blob).expect("an element that begins with 0 is below the curve's order");
        let hashes = blobs.iter().map(hash).collect();
        Some(Self { blobs, hashes })
    }

    /// The versioned hashes, in the blobs' order.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The journal's header of a batch, with its data in these blobs.
    pub fn header(&self, journal: &Header) -> Header {
        Header { data_hash: data_hash(&self.hashes), ..*journal }
    }

    /// With everything that a node wants to see before it takes the blobs. Takes about 220 ms a blob.
    pub fn sidecar(&self) -> Sidecar {
        let made = BlobTransactionSidecarEip7594::try_from_blobs_with_settings(self.blobs.clone(), settings());
        Sidecar(made.expect("blobs that have commitments have proofs"))
    }
}

/// The blobs of a transaction on their way to a node: with commitments and cell proofs.
#[derive(Clone, PartialEq, Eq)]
pub struct Sidecar(pub(crate) BlobTransactionSidecarEip7594);

impl core::fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sidecar").field("hashes", &self.hashes()).finish_non_exhaustive()
    }
}

impl Sidecar {
    /// The versioned hashes, in the blobs' order, as the commitments have them.
    pub fn hashes(&self) -> Vec<Hash> {
        self.0.versioned_hashes().map(|hash| Hash(hash.0)).collect()
    }

    /// The blobs.
    pub fn blobs(&self) -> &[Blob] {
        &self.0.blobs
    }

    /// Whether blobs, commitments and proofs belong together: what a node checks.
    pub fn is_valid(&self) -> bool {
        let hashes: Vec<_> = self.0.versioned_hashes().collect();
        (1..=MAX_BLOBS).contains(&self.0.blobs.len()) && self.0.validate(&hashes, settings()).is_ok()
    }
}

fn settings() -> &'static c_kzg::KzgSettings {
    c_kzg::ethereum_kzg_settings(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::random_cases;

    fn data(length: usize) -> Vec<u8> {
        (0..length).map(|index| u8::try_from(index % 251).unwrap() + 1).collect()
    }

    #[test]
    fn data_come_back_at_every_border() {
        let one = USABLE_BYTES - LENGTH_BYTES;
        for (length, count) in [(0, 1), (1, 1), (27, 1), (28, 1), (one, 1), (one + 1, 2), (MAX_DATA_BYTES, MAX_BLOBS)] {
            let blobs = pack(&data(length)).unwrap();
            assert_eq!(blobs.len(), count, "{length} bytes");
            assert!(unpack(&blobs).unwrap() == data(length), "{length} bytes");
        }
        assert!(pack(&data(MAX_DATA_BYTES + 1)).is_none());
    }

    #[test]
    fn bytes_stand_where_the_table_says() {
        let blob = &pack(&data(30)).unwrap()[0];
        assert_eq!(blob[..8], [0, 0, 0, 0, 30, 1, 2, 3]);
        assert_eq!(blob[28..40], [24, 25, 26, 27, 0, 28, 29, 30, 0, 0, 0, 0]);
    }

    #[test]
    fn no_other_encoding_is_taken() {
        let good = pack(&data(40)).unwrap();
        let changed = |place: usize, byte: u8| {
            let mut blobs = good.clone();
            blobs[0][place] = byte;
            unpack(&blobs)
        };
        assert_eq!(changed(0, 1), Err(BlobError::NotZero { blob: 0, offset: 0 }));
        assert_eq!(changed(64, 1), Err(BlobError::NotZero { blob: 0, offset: 64 }));
        assert_eq!(changed(BLOB_BYTES - 1, 1), Err(BlobError::NotZero { blob: 0, offset: BLOB_BYTES - 1 }));
        assert_eq!(changed(4, 39), Err(BlobError::NotZero { blob: 0, offset: 45 }));
        assert_eq!(changed(4, 41).unwrap().len(), 41, "data that end with 0 are other data");
        assert!(matches!(changed(1, 1), Err(BlobError::Length { .. })));
        assert_eq!(unpack(&[]), Err(BlobError::Size));
        assert_eq!(unpack(&vec![good[0]; MAX_BLOBS + 1]), Err(BlobError::Size));
        assert_eq!(unpack(&[good[0], Blob::ZERO]), Err(BlobError::Length { bytes: 40 }));
    }

    /// The point at infinity: what a blob of zeroes commits to.
    #[test]
    fn the_blob_of_zeroes_has_its_known_hash() {
        let hash = versioned_hash(&Blob::ZERO).unwrap();
        assert_eq!(hash.to_string(), "0x010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014");
        let mut blob = Blob::ZERO;
        blob[..ELEMENT_BYTES].fill(0xff);
        assert_eq!(versioned_hash(&blob), None, "no element");
    }

    #[test]
    fn a_sidecar_is_whole_or_refused() {
        let packed = Packed::of(&data(USABLE_BYTES)).unwrap();
        let sidecar = packed.sidecar();
        assert_eq!((sidecar.hashes(), sidecar.blobs().len()), (packed.hashes().to_vec(), 2));
        assert!(sidecar.is_valid());
        let mut other = sidecar.clone();
        other.0.blobs.swap(0, 1);
        assert!(!other.is_valid(), "the blobs are not those of the commitments");
        let mut other = sidecar.clone();
        other.0.cell_proofs.swap(0, 1);
        assert!(!other.is_valid(), "a proof is another cell's");
        let mut other = sidecar;
        other.0.cell_proofs.pop();
        assert!(!other.is_valid(), "a proof is missing");
    }

    proptest! {
        #![proptest_config(random_cases(64))]

        #[test]
        fn any_bytes_are_refused_or_are_the_only_encoding(places in prop::collection::vec((0_usize..200, any::<u8>()), 0..6)) {
            let mut blobs = pack(&data(100)).unwrap();
            for (place, byte) in places {
                blobs[0][place] = byte;
            }
            if let Ok(data) = unpack(&blobs) {
                prop_assert!(pack(&data).unwrap() == blobs);
            }
        }
    }
}
