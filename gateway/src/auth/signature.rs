//! The one acceptance rule for Ed25519 signatures, for one signature or a batch of them.
//!
//! Accepted is: A canonical and of prime order, R canonical and on the curve, s < L, and
//! `[8](sB − R − kA) = 0` with `k = SHA-512(R ‖ A ‖ M) mod L`. Batches are only sound for the cofactored equation, and
//! audit and contract must agree with the gateway, which is why the library's own `verify` functions, all of them
//! cofactorless, are not used. Bytes are checked before any curve work: decompression itself takes non-canonical ones.
//!
//! A batch is one sum of points. Where the processor can, it is added up eight points at a time (`lanes`), else
//! by the library. Signatures of keys that sign often are looked at each by itself, by tables of their keys (`combs`), unless
//! the sum costs less. None of them ever decides that a signature is bad: what fails is looked at one by one, by the library.
//! Everything here is variable-time on purpose: nothing it sees is secret.
//! Bounds: a batch is as large as its caller makes it; work is linear in it.

use std::collections::HashMap;
use std::sync::OnceLock;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use sha2::{Digest, Sha512};

use super::combs::{Combs, Found};
use super::lanes::{KnownPoints, KnownTables, LaneHashes, LaneSum, RANDOM_OFFSET, digits_of_random, digits_of_scalar};

/// Below this many signatures a batch costs more than one by one.
const SMALLEST_BATCH: usize = 3;

/// Whether a signature is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is by the key, over the message.
    Accepted,
    /// It is not, or its bytes are not canonical.
    Refused,
}

/// Why 32 bytes are no trading key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another encoding of the same point exists.
    #[error("the key's bytes are not canonical")]
    NotCanonical,
    /// No point has this encoding.
    #[error("the key is not on the curve")]
    NotOnCurve,
    /// The point is of small order or carries torsion.
    #[error("the key is not of prime order")]
    NotPrimeOrder,
}

/// A public key, decompressed once; that is a third of a verification's cost.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    bytes: [u8; 32],
    negated: EdwardsPoint,
    /// The key as lanes take it, once they have been asked.
    in_lanes: OnceLock<KnownPoints>,
}

impl VerifyingKey {
    /// Checks and decompresses a public key.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_canonical(bytes) {
            return Err(KeyError::NotCanonical);
        }
        let point = CompressedEdwardsY(*bytes).decompress().ok_or(KeyError::NotOnCurve)?;
        if point.is_identity() || !point.is_torsion_free() {
            return Err(KeyError::NotPrimeOrder);
        }
        Ok(Self { bytes: *bytes, negated: -point, in_lanes: OnceLock::new() })
    }

    /// The key's 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(super) fn in_lanes(&self, lanes: &LaneSum) -> &KnownPoints {
        let point = || in_lanes(lanes, &-self.negated).expect("a key that was accepted is on the curve");
        self.in_lanes.get_or_init(point)
    }

    /// Checks one signature.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Verdict {
        let Some((r_bytes, s)) = split(signature) else { return Verdict::Refused };
        let k = challenge(&r_bytes, &self.bytes, message);
        let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &self.negated, &s);
        // The usual case needs no decompression of R: an encoding that equals a computed one is canonical.
        if expected.compress().as_bytes() == &r_bytes {
            return Verdict::Accepted;
        }
        match decompress(&r_bytes) {
            Some(r) if (expected - r).mul_by_cofactor().is_identity() => Verdict::Accepted,
            _ => Verdict::Refused,
        }
    }
}

/// Checks a signature given as bytes of any length: the whole rule in one call, for audits and tests.
pub fn verify_bytes(public_key: &[u8], message: &[u8], signature: &[u8]) -> Verdict {
    let (Ok(public_key), Ok(signature)) = (public_key.try_into(), signature.try_into()) else {
        return Verdict::Refused;
    };
    match VerifyingKey::from_bytes(public_key) {
        Ok(key) => key.verify(message, signature),
        Err(_) => Verdict::Refused,
    }
}

/// One signature of a batch.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// By whom.
    pub key: &'a VerifyingKey,
    /// Over what.
    pub message: &'a [u8],
    /// R ‖ s.
    pub signature: &'a [u8; 64],
}

/// Verifies batches: by the combs of keys that sign often, else one sum over all signatures, each with a random 128-bit
/// coefficient.
///
/// The coefficients come from a keyed BLAKE3 stream whose key is random for each process: who signs must not be able
/// to guess them. Keys that occur more than once cost one curve point together, so a batch costs about one point
/// (its R) a signature.
pub struct BatchVerifier {
    coefficient_key: [u8; 32],
    batches: u64,
    coefficients: Vec<u8>,
    key_places: HashMap<[u8; 32], usize, foldhash::fast::RandomState>,
    found: Vec<Found>,
    challenges: Vec<Scalar>,
    sum: BatchSum,
    backend: Backend,
}

/// Who adds a batch up.
enum Backend {
    /// Eight points at a time.
    Lanes(Box<InLanes>),
    /// curve25519-dalek.
    Library,
}

/// What is kept for adding up in lanes.
struct InLanes {
    sum: LaneSum,
    hashes: LaneHashes,
    /// The base point as it is taken there.
    base: KnownPoints,
    base_tables: KnownTables,
    combs: Combs,
}

/// Σ z(R + kA − sB) of a batch: what the points are to be multiplied by.
#[derive(Default)]
struct BatchSum {
    /// −Σ zs.
    base: Scalar,
    /// Each key's Σ zk, with the first signature of the batch that is by it.
    keys: Vec<(usize, Scalar)>,
    /// R's bytes, canonical, and z.
    points: Vec<([u8; 32], Scalar)>,
}

impl std::fmt::Debug for BatchVerifier {
    /// Leaves out the key of the coefficients.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchVerifier").field("batches", &self.batches).finish_non_exhaustive()
    }
}

impl BatchVerifier {
    /// A verifier whose coefficients follow from `seed`, which must be unpredictable to who signs.
    pub fn new(seed: [u8; 32]) -> Self {
        let backend = match (LaneSum::detect(), LaneHashes::detect()) {
            (Some(sum), Some(hashes)) => {
                let base = in_lanes(&sum, &ED25519_BASEPOINT_POINT).expect("the base point is on the curve");
                let (base_tables, combs) = (sum.tables(&base), Combs::new(&sum, &base));
                Backend::Lanes(Box::new(InLanes { sum, hashes, base, base_tables, combs }))
            }
            _ => Backend::Library,
        };
        Self { backend, ..Self::on_the_library(seed) }
    }

    /// The same, on the library alone: what [`BatchVerifier::new`] gives where the processor lacks the instructions.
    pub fn on_the_library(seed: [u8; 32]) -> Self {
        Self {
            coefficient_key: blake3::derive_key("lakh 2026 batch verification coefficients", &seed),
            batches: 0,
            coefficients: Vec::new(),
            key_places: HashMap::default(),
            found: Vec::new(),
            challenges: Vec::new(),
            sum: BatchSum::default(),
            backend: Backend::Library,
        }
    }

    /// A verifier seeded by the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn from_system() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::new(seed))
    }

    /// Works out what batches need of a key, so that the first ones do not: a thousand keys that come at once would hold
    /// everybody up.
    pub fn prepare(&self, key: &VerifyingKey) {
        if let Backend::Lanes(own) = &self.backend {
            key.in_lanes(&own.sum);
        }
    }

    /// The same for a key that may sign later, for when there is nothing else to do: while there is room it gets its comb, too,
    /// so that its first signatures take no longer than those behind them.
    pub fn prepare_ahead(&mut self, key: &VerifyingKey) {
        if let Backend::Lanes(own) = &mut self.backend {
            let InLanes { sum, combs, .. } = &mut **own;
            combs.make_ahead(sum, key.as_bytes(), key.in_lanes(sum));
        }
    }

    /// Notes that a key signs, so that its next signatures may take less: it waits for its comb.
    pub fn expect_more_of(&mut self, key: &VerifyingKey) {
        if let Backend::Lanes(own) = &mut self.backend {
            let InLanes { sum, combs, .. } = &mut **own;
            combs.want(key, || *key.in_lanes(sum));
        }
    }

    /// Works out what one of the keys that sign needs, for when there is nothing else to do. Whether there was one.
    pub fn prepare_one(&mut self) -> bool {
        match &mut self.backend {
            Backend::Lanes(own) => own.combs.make_one(&own.sum),
            Backend::Library => false,
        }
    }

    /// Checks a batch: `verdicts` gets one verdict a signature, in order, each the same that
    /// [`VerifyingKey::verify`] gives.
    pub fn verify(&mut self, batch: &[SignedMessage<'_>], verdicts: &mut Vec<Verdict>) {
        self.verify_with(batch, verdicts, Self::verify_without_combs);
    }

    /// The same, each by itself: a bad signature costs the others nothing.
    pub fn verify_each(&mut self, batch: &[SignedMessage<'_>], verdicts: &mut Vec<Verdict>) {
        self.verify_with(batch, verdicts, Self::verify_one_by_one);
    }

    fn verify_with(
        &mut self,
        batch: &[SignedMessage<'_>],
        verdicts: &mut Vec<Verdict>,
        without_combs: fn(&mut Self, &[SignedMessage<'_>], &mut Vec<Verdict>),
    ) {
        verdicts.clear();
        let Backend::Lanes(own) = &mut self.backend else { return without_combs(self, batch, verdicts) };
        let InLanes { sum: lanes, hashes, combs, .. } = &mut **own;
        let mut found = std::mem::take(&mut self.found);
        combs.look((lanes, hashes), batch, &mut found);
        if found.iter().all(Found::is_open) {
            without_combs(self, batch, verdicts);
        } else {
            let without = batch.iter().zip(&found).filter(|(_, found)| found.is_open());
            let without: Vec<_> = without.map(|(signed, _)| *signed).collect();
            let mut others = Vec::with_capacity(without.len());
            without_combs(self, &without, &mut others);
            let mut others = others.into_iter();
            verdicts.extend(batch.iter().zip(&found).map(|(signed, found)| match found {
                Found::Holds => Verdict::Accepted,
                Found::Differs => signed.key.verify(signed.message, signed.signature),
                Found::NoComb | Found::NotAsked => others.next().expect("a verdict for each that is open"),
            }));
        }
        self.found = found;
        self.note_signers(batch, verdicts);
    }

    /// One key of those that signed well and have no comb may have one.
    fn note_signers(&mut self, batch: &[SignedMessage<'_>], verdicts: &[Verdict]) {
        let Self { found, backend, .. } = self;
        let Backend::Lanes(own) = backend else { return };
        let InLanes { sum, combs, .. } = &mut **own;
        let is_new = |(found, verdict): (&Found, &Verdict)| *found == Found::NoComb && *verdict == Verdict::Accepted;
        if let Some(new) = found.iter().zip(verdicts).position(is_new) {
            combs.want(batch[new].key, || *batch[new].key.in_lanes(sum));
        }
        combs.count(sum, batch.len());
    }

    /// A batch that fails as a whole is checked one by one: halving it again and again would let one bad signature in a
    /// hundred multiply the work by five.
    fn verify_without_combs(&mut self, batch: &[SignedMessage<'_>], verdicts: &mut Vec<Verdict>) {
        if batch.len() >= SMALLEST_BATCH && self.all_hold(batch) {
            verdicts.resize(batch.len(), Verdict::Accepted);
            return;
        }
        self.verify_one_by_one(batch, verdicts);
    }

    fn verify_one_by_one(&mut self, batch: &[SignedMessage<'_>], verdicts: &mut Vec<Verdict>) {
        verdicts.extend(batch.iter().map(|signed| match self.holds_alone(signed) {
            true => Verdict::Accepted,
            false => signed.key.verify(signed.message, signed.signature),
        }));
    }

    /// Whether a signature was found to be good in lanes, which takes half as long; what was not says nothing.
    fn holds_alone(&mut self, signed: &SignedMessage<'_>) -> bool {
        let Backend::Lanes(own) = &mut self.backend else { return false };
        let InLanes { sum: lanes, base_tables, .. } = &mut **own;
        let &SignedMessage { key, message, signature } = signed;
        let Some((r_bytes, s)) = split(signature).filter(|(r_bytes, _)| is_canonical(r_bytes)) else { return false };
        let k = challenge(&r_bytes, &key.bytes, message);
        let [base_digits, key_digits] = [-s, k].map(|scalar| digits_of_scalar(scalar.as_bytes()));
        lanes.is_small_alone(r_bytes, (base_tables, base_digits), (key.in_lanes(lanes), key_digits))
    }

    /// True only if every signature of the batch is accepted: Σ z(R + kA − sB), times eight, is zero.
    fn all_hold(&mut self, batch: &[SignedMessage<'_>]) -> bool {
        self.draw_coefficients(batch.len());
        self.draw_challenges(batch);
        if self.collect(batch).is_none() {
            return false;
        }
        let Self { coefficients, sum, backend, .. } = self;
        match backend {
            Backend::Lanes(own) => sum.is_small_in_lanes(batch, coefficients, own),
            Backend::Library => sum.is_small_in_library(batch),
        }
    }

    /// Works out what each point is multiplied by; `None` where bytes are not canonical.
    fn collect(&mut self, batch: &[SignedMessage<'_>]) -> Option<()> {
        // Lanes take a random number by its digits less eight each; that is another number, and no less random.
        let offset = match self.backend {
            Backend::Lanes(..) => Scalar::from(RANDOM_OFFSET),
            Backend::Library => Scalar::ZERO,
        };
        let Self { coefficients, key_places, challenges, sum, .. } = self;
        key_places.clear();
        sum.keys.clear();
        sum.points.clear();
        sum.base = Scalar::ZERO;
        let mut last = None;
        let signatures = batch.iter().zip(challenges).zip(coefficients.as_chunks::<16>().0);
        for (index, ((signed, challenge), random)) in signatures.enumerate() {
            let (r_bytes, s) = split(signed.signature)?;
            if !is_canonical(&r_bytes) {
                return None;
            }
            let z = Scalar::from(u128::from_le_bytes(*random)) - offset;
            sum.base -= z * s;
            sum.points.push((r_bytes, z));
            let zk = z * *challenge;
            // Who signs often does so several times in a row.
            let place = match last {
                Some((bytes, place)) if bytes == &signed.key.bytes => place,
                _ => *key_places.entry(signed.key.bytes).or_insert(sum.keys.len()),
            };
            match sum.keys.get_mut(place) {
                Some((_, scalar)) => *scalar += zk,
                None => sum.keys.push((index, zk)),
            }
            last = Some((&signed.key.bytes, place));
        }
        Some(())
    }

    /// Fills `challenges` with one a signature.
    fn draw_challenges(&mut self, batch: &[SignedMessage<'_>]) {
        let Self { challenges, backend, .. } = self;
        challenges.clear();
        match backend {
            Backend::Library => challenges.extend(batch.iter().map(|signed| {
                let r_bytes = signed.signature.first_chunk().expect("64 bytes have 32 in front");
                challenge(r_bytes, &signed.key.bytes, signed.message)
            })),
            Backend::Lanes(own) => {
                for eight in batch.chunks(8) {
                    let mut messages = [[&[][..]; 3]; 8];
                    for (message, signed) in messages.iter_mut().zip(eight) {
                        *message = [&signed.signature[..32], &signed.key.bytes, signed.message];
                    }
                    let digests = own.hashes.sha512(&messages[..eight.len()]);
                    challenges.extend(digests[..eight.len()].iter().map(Scalar::from_bytes_mod_order_wide));
                }
            }
        }
    }

    /// Fills `coefficients` with 16 fresh random bytes a signature.
    fn draw_coefficients(&mut self, count: usize) {
        self.batches += 1;
        self.coefficients.resize(count * 16, 0);
        blake3::Hasher::new_keyed(&self.coefficient_key)
            .update(&self.batches.to_le_bytes())
            .finalize_xof()
            .fill(&mut self.coefficients);
    }
}

impl BatchSum {
    /// Whether all R are on the curve and the sum, times eight, is zero.
    fn is_small_in_library(&self, batch: &[SignedMessage<'_>]) -> bool {
        let mut scalars = vec![self.base];
        let mut points = vec![ED25519_BASEPOINT_POINT];
        for (first, scalar) in &self.keys {
            // The key is kept negated, for one signature alone.
            scalars.push(-scalar);
            points.push(batch[*first].key.negated);
        }
        for (r_bytes, z) in &self.points {
            let Some(r) = CompressedEdwardsY(*r_bytes).decompress() else { return false };
            scalars.push(*z);
            points.push(r);
        }
        EdwardsPoint::vartime_multiscalar_mul(&scalars, &points).mul_by_cofactor().is_identity()
    }

    /// The same, with the random numbers that the coefficients were made of.
    fn is_small_in_lanes(
        &self,
        batch: &[SignedMessage<'_>],
        random: &[u8],
        InLanes { sum: lanes, base, .. }: &mut InLanes,
    ) -> bool {
        lanes.clear();
        for ((r_bytes, _), random) in self.points.iter().zip(random.as_chunks::<16>().0) {
            lanes.add_encoded(*r_bytes, digits_of_random(random));
        }
        lanes.add_known(base, digits_of_scalar(self.base.as_bytes()));
        for (first, scalar) in &self.keys {
            let points = batch[*first].key.in_lanes(lanes);
            lanes.add_known(points, digits_of_scalar(scalar.as_bytes()));
        }
        lanes.is_small()
    }
}

/// A point as lanes take it.
pub(super) fn in_lanes(lanes: &LaneSum, point: &EdwardsPoint) -> Option<KnownPoints> {
    let mut multiple = *point;
    let multiples: [EdwardsPoint; 8] = core::array::from_fn(|_| {
        let own = multiple;
        // By doublings: a multiplication takes eight times as long, and a start has a thousand keys to do.
        for _ in 0..32 {
            multiple += multiple;
        }
        own
    });
    lanes.known(&EdwardsPoint::compress_batch(&multiples).map(|encoding| encoding.to_bytes()))
}

/// R's bytes and s, or `None` when s is not below L.
pub(super) fn split(signature: &[u8; 64]) -> Option<([u8; 32], Scalar)> {
    let (r_bytes, s_bytes) = signature.split_first_chunk::<32>().expect("64 bytes have 32 in front");
    let s_bytes: [u8; 32] = s_bytes.try_into().expect("64 − 32 bytes");
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes))?;
    Some((*r_bytes, s))
}

/// A point from its canonical encoding only.
fn decompress(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    if !is_canonical(bytes) {
        return None;
    }
    CompressedEdwardsY(*bytes).decompress()
}

/// k of the equation.
pub(super) fn challenge(r_bytes: &[u8; 32], key_bytes: &[u8; 32], message: &[u8]) -> Scalar {
    let digest: [u8; 64] =
        Sha512::new().chain_update(r_bytes).chain_update(key_bytes).chain_update(message).finalize().into();
    Scalar::from_bytes_mod_order_wide(&digest)
}

/// True unless y ≥ p, or x is zero and its sign is set; x is zero only for y = 1 and y = p − 1.
pub(super) fn is_canonical(bytes: &[u8; 32]) -> bool {
    let (low, middle, high) = (bytes[0], &bytes[1..31], bytes[31] & 0x7f);
    let signed = bytes[31] & 0x80 != 0;
    let near_p = high == 0x7f && middle.iter().all(|&byte| byte == 0xff);
    if near_p && low >= 0xed {
        return false;
    }
    let y_is_one = low == 1 && high == 0 && middle.iter().all(|&byte| byte == 0);
    let y_is_minus_one = near_p && low == 0xec;
    !(signed && (y_is_one || y_is_minus_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in lanes alone needs no second look, or it would take longer than without them.
    #[test]
    fn a_good_signature_is_found_alone() {
        use ed25519_dalek::Signer as _;
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let verifying = VerifyingKey::from_bytes(&key.verifying_key().to_bytes()).unwrap();
        let mut verifier = BatchVerifier::new([1; 32]);
        if matches!(verifier.backend, Backend::Library) {
            return println!("skipped: no AVX-512 IFMA here");
        }
        for number in 0..200_u32 {
            let message = number.to_le_bytes();
            let mut signature = key.sign(&message).to_bytes();
            let mut holds = |signature: &[u8; 64]| {
                verifier.holds_alone(&SignedMessage { key: &verifying, message: &message, signature })
            };
            assert!(holds(&signature), "{number}");
            signature[number as usize % 63] ^= 1;
            assert!(!holds(&signature), "{number}");
        }
    }

    /// With combs and without, on the library and in lanes: good and bad ones get the verdicts that the rule gives them.
    #[test]
    fn each_by_itself_has_the_same_verdict() {
        use ed25519_dalek::Signer as _;
        let secrets: Vec<_> = (0..24_u8).map(|seed| ed25519_dalek::SigningKey::from_bytes(&[seed; 32])).collect();
        let keys: Vec<_> =
            secrets.iter().map(|key| VerifyingKey::from_bytes(key.verifying_key().as_bytes()).unwrap()).collect();
        let mut signatures: Vec<_> = secrets.iter().map(|key| key.sign(b"text").to_bytes()).collect();
        for (index, signature) in signatures.iter_mut().enumerate().filter(|(index, _)| index % 5 == 3) {
            signature[2 * index] ^= 1;
        }
        let signed = keys.iter().zip(&signatures);
        let batch: Vec<_> = signed.map(|(key, signature)| SignedMessage { key, message: b"text", signature }).collect();
        let expected: Vec<_> = batch.iter().map(|one| one.key.verify(one.message, one.signature)).collect();
        assert_eq!(expected.iter().filter(|verdict| **verdict == Verdict::Refused).count(), 5);
        for mut verifier in [BatchVerifier::new([1; 32]), BatchVerifier::on_the_library([1; 32])] {
            for key in keys.iter().step_by(2) {
                verifier.prepare_ahead(key);
            }
            let mut verdicts = Vec::new();
            for size in 0..=batch.len() {
                verifier.verify_each(&batch[..size], &mut verdicts);
                assert_eq!(verdicts, expected[..size], "{size}");
            }
        }
    }
}
