//! The keys that have a comb: tables out of which one signature takes a third of the time that it takes without.
//!
//! A comb is 64 KB, so only so many keys have one. Which: while there is room, registered keys in their order, ahead and in
//! idle time ([`Combs::make_ahead`]); and those that sign: who has signed is *wanted*, and combs are made when there is
//! nothing else to do ([`Combs::make_one`]), or else one for each [`SIGNATURES_A_COMB`] signatures, so that
//! many keys that come at once hold nobody up for more than a tenth of what their signatures cost anyway. When there is no
//! room, one goes that has not been used since the hand passed it last (a clock); where all are in use none does, and
//! the others' signatures are verified as they are without.
//! What a comb says is only ever "it holds"; [`super::signature`] has the rule.
//! Bounds: [`COMBS_MAX`] combs a verifier (64 MB), [`WANTED_MAX`] keys that wait for theirs.

use std::collections::{HashMap, VecDeque};

use curve25519_dalek::scalar::Scalar;

use super::lanes::{BaseComb, CombTerm, KeyComb, KnownPoints, LaneHashes, LaneSum, TOGETHER, Windows};
use super::signature::{SignedMessage, VerifyingKey, challenge, is_canonical, split};

/// Keys that have combs at the same time.
const COMBS_MAX: usize = 1_024;
/// Keys that wait for a comb.
const WANTED_MAX: usize = 16;
/// Without idle time a comb (12 µs) is made after so many signatures (1 µs and more each).
const SIGNATURES_A_COMB: usize = 256;
/// One sum for all of a batch is cheaper than combs from so many signatures a key on where others are in a sum already, ...
const SIGNATURES_A_KEY: usize = 4;
/// ... and from so many more on where it would be made for them.
const SUM_ALONE: usize = 32;
/// Combs that are looked at for one that nobody uses.
const LOOKED_AT: usize = 8;

/// What combs say about a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Its key has none.
    NoComb,
    /// Its key has one, and all of them together cost less without.
    NotAsked,
    /// It holds.
    Holds,
    /// Its bytes are not canonical, or R is not the point that was expected; with torsion it may still be good.
    Differs,
}

impl Found {
    /// Whether nobody has looked yet.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::NoComb | Self::NotAsked)
    }
}

/// See the module.
pub(super) struct Combs {
    base: BaseComb,
    kept: Vec<Kept>,
    batches: u64,
    places: HashMap<[u8; 32], usize, foldhash::fast::RandomState>,
    /// Where the next search for room begins.
    hand: usize,
    wanted: VecDeque<([u8; 32], KnownPoints)>,
    signatures: usize,
    asked: Vec<Asked>,
    readable: Vec<Readable>,
}

struct Kept {
    key: [u8; 32],
    comb: KeyComb,
    is_used: bool,
    /// The last batch that it was in.
    batch: u64,
}

/// A signature whose key has a comb: its place in the batch, and the comb's.
struct Asked {
    index: usize,
    comb: usize,
}

/// The same with its R, canonical, and s.
struct Readable {
    index: usize,
    comb: usize,
    encoding: [u8; 32],
    s: Scalar,
}

impl Combs {
    /// No key's comb yet, and that of the base point.
    pub(super) fn new(lanes: &LaneSum, base_point: &KnownPoints) -> Self {
        Self {
            base: lanes.base_comb(base_point),
            kept: Vec::new(),
            batches: 0,
            places: HashMap::default(),
            hand: 0,
            wanted: VecDeque::new(),
            signatures: 0,
            asked: Vec::new(),
            readable: Vec::new(),
        }
    }

    /// Looks at a batch: one finding a signature, in order.
    pub(super) fn look(
        &mut self,
        (lanes, hashes): (&LaneSum, &mut LaneHashes),
        batch: &[SignedMessage<'_>],
        found: &mut Vec<Found>,
    ) {
        self.find(batch);
        let is_worth_it = self.is_worth_it(batch.len());
        found.clear();
        found.resize(batch.len(), Found::NoComb);
        let first = if is_worth_it { Found::Differs } else { Found::NotAsked };
        self.asked.iter().for_each(|one| found[one.index] = first);
        if !is_worth_it {
            return;
        }
        self.readable.clear();
        self.readable.extend(self.asked.iter().filter_map(|&Asked { index, comb }| {
            let (encoding, s) = split(batch[index].signature)?;
            is_canonical(&encoding).then_some(Readable { index, comb, encoding, s })
        }));
        for group in self.readable.chunks(TOGETHER) {
            let challenges = challenges(hashes, batch, group);
            let term = |(one, challenge): (&Readable, &Scalar)| CombTerm {
                key: &self.kept[one.comb].comb,
                key_windows: Windows::of(challenge.as_bytes()),
                base_windows: Windows::of(one.s.as_bytes()),
                encoding: one.encoding,
            };
            let holding = lanes.holding(&self.base, group.iter().zip(&challenges).map(term));
            for (lane, one) in group.iter().enumerate() {
                if holding >> lane & 1 == 1 {
                    found[one.index] = Found::Holds;
                }
            }
        }
    }

    /// Finds the signatures whose keys have combs.
    fn find(&mut self, batch: &[SignedMessage<'_>]) {
        self.asked.clear();
        let mut last = None;
        for (index, signed) in batch.iter().enumerate() {
            let key = signed.key.as_bytes();
            // Who signs often does so several times in a row.
            let comb = match last {
                Some((bytes, comb)) if bytes == key => comb,
                _ => self.places.get(key).copied(),
            };
            last = Some((key, comb));
            self.asked.extend(comb.map(|comb| Asked { index, comb }));
        }
    }

    /// Whether combs cost less than one sum for all, as far as numbers tell.
    fn is_worth_it(&mut self, batch: usize) -> bool {
        self.batches += 1;
        let mut keys = 0;
        for one in &self.asked {
            let kept = &mut self.kept[one.comb];
            keys += usize::from(kept.batch != self.batches);
            (kept.is_used, kept.batch) = (true, self.batches);
        }
        let asked = self.asked.len();
        match batch - asked {
            0 => asked <= SUM_ALONE + SIGNATURES_A_KEY * keys,
            // In a sum that there is anyway a signature costs a fifth less, a key about as much as one signature more.
            others => asked >= others && asked <= SIGNATURES_A_KEY * keys,
        }
    }

    /// Says that a key has signed.
    pub(super) fn want(&mut self, key: &VerifyingKey, points: impl FnOnce() -> KnownPoints) {
        let bytes = key.as_bytes();
        let is_known = self.places.contains_key(bytes) || self.wanted.iter().any(|(wanted, _)| wanted == bytes);
        if !is_known && self.wanted.len() < WANTED_MAX {
            self.wanted.push_back((*bytes, points()));
        }
    }

    /// Counts signatures, and makes a comb when its time has come.
    pub(super) fn count(&mut self, lanes: &LaneSum, signatures: usize) {
        self.signatures += signatures;
        if self.signatures >= SIGNATURES_A_COMB {
            self.make_one(lanes);
        }
    }

    /// Makes the comb of a key that waits for it. Whether there was one, and room for it.
    pub(super) fn make_one(&mut self, lanes: &LaneSum) -> bool {
        self.signatures = 0;
        let Some((key, points)) = self.wanted.pop_front() else { return false };
        let Some(place) = self.room(lanes) else { return false };
        self.make(lanes, place, (key, &points));
        self.kept[place].is_used = true;
        true
    }

    /// Makes the comb of a key that has not signed yet, where none has to go for it. It is the first that goes.
    pub(super) fn make_ahead(&mut self, lanes: &LaneSum, key: &[u8; 32], points: &KnownPoints) {
        if self.kept.len() < COMBS_MAX && !self.places.contains_key(key) {
            // It may have signed meanwhile, and waits no longer.
            self.wanted.retain(|(wanted, _)| wanted != key);
            let place = self.add(lanes);
            self.make(lanes, place, (*key, points));
        }
    }

    fn make(&mut self, lanes: &LaneSum, place: usize, (key, points): ([u8; 32], &KnownPoints)) {
        self.places.remove(&self.kept[place].key);
        self.places.insert(key, place);
        self.kept[place].key = key;
        lanes.fill(&mut self.kept[place].comb, points);
    }

    /// One more place.
    fn add(&mut self, lanes: &LaneSum) -> usize {
        self.kept.push(Kept { key: [0; 32], comb: lanes.empty_comb(), is_used: false, batch: 0 });
        self.kept.len() - 1
    }

    /// A place for one more comb.
    fn room(&mut self, lanes: &LaneSum) -> Option<usize> {
        if self.kept.len() < COMBS_MAX {
            return Some(self.add(lanes));
        }
        for _ in 0..LOOKED_AT {
            let place = self.hand;
            self.hand = (place + 1) % COMBS_MAX;
            if !std::mem::take(&mut self.kept[place].is_used) {
                return Some(place);
            }
        }
        None
    }
}

/// k of each signature of a group.
fn challenges(hashes: &mut LaneHashes, batch: &[SignedMessage<'_>], group: &[Readable]) -> [Scalar; TOGETHER] {
    let mut challenges = [Scalar::ZERO; TOGETHER];
    if let [one] = group {
        // Alone a message takes as long in lanes as eight do.
        let SignedMessage { key, message, .. } = batch[one.index];
        challenges[0] = challenge(&one.encoding, key.as_bytes(), message);
        return challenges;
    }
    for (challenges, group) in challenges.chunks_mut(8).zip(group.chunks(8)) {
        let mut messages = [[&[][..]; 3]; 8];
        for (parts, one) in messages.iter_mut().zip(group) {
            let SignedMessage { key, message, .. } = batch[one.index];
            *parts = [&one.encoding, key.as_bytes(), message];
        }
        let digests = hashes.sha512(&messages[..group.len()]);
        for (challenge, digest) in challenges.iter_mut().zip(&digests[..group.len()]) {
            *challenge = Scalar::from_bytes_mod_order_wide(digest);
        }
    }
    challenges
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::super::signature::in_lanes;
    use super::*;

    struct Bench {
        lanes: LaneSum,
        hashes: LaneHashes,
        combs: Combs,
        found: Vec<Found>,
    }

    impl Bench {
        fn new() -> Option<Self> {
            let (lanes, hashes) = (LaneSum::detect()?, LaneHashes::detect()?);
            let combs = Combs::new(&lanes, &in_lanes(&lanes, &ED25519_BASEPOINT_POINT).unwrap());
            Some(Self { lanes, hashes, combs, found: Vec::new() })
        }

        fn look(&mut self, batch: &[SignedMessage<'_>]) -> &[Found] {
            self.combs.look((&self.lanes, &mut self.hashes), batch, &mut self.found);
            &self.found
        }

        fn want(&mut self, key: &VerifyingKey) {
            self.combs.want(key, || *key.in_lanes(&self.lanes));
        }
    }

    struct Signer {
        secret: SigningKey,
        key: VerifyingKey,
    }

    fn signers(count: u64) -> Vec<Signer> {
        signers_of(0..count)
    }

    fn signers_of(numbers: std::ops::Range<u64>) -> Vec<Signer> {
        let signer = |number: u64| {
            let secret = SigningKey::from_bytes(blake3::hash(&number.to_le_bytes()).as_bytes());
            let key = VerifyingKey::from_bytes(secret.verifying_key().as_bytes()).unwrap();
            Signer { secret, key }
        };
        numbers.map(signer).collect()
    }

    /// Batches of each size up to two groups and some around four, with one bad signature at each place; every third key has no comb.
    #[test]
    fn each_signature_gets_its_own_finding() {
        let Some(mut bench) = Bench::new() else { return println!("skipped: no AVX-512 IFMA here") };
        let signers = signers(34);
        for signer in signers.iter().enumerate().filter(|(index, _)| index % 3 != 2).map(|(_, signer)| signer) {
            bench.want(&signer.key);
            assert!(bench.combs.make_one(&bench.lanes));
        }
        for size in (1..20_usize).chain([23, 24, 25, 31, 32, 33, 34]) {
            let messages: Vec<Vec<u8>> = (0..size).map(|index| vec![index as u8; 40 * index]).collect();
            for bad in 0..=size {
                let mut signatures: Vec<[u8; 64]> =
                    messages.iter().zip(&signers).map(|(message, by)| by.secret.sign(message).to_bytes()).collect();
                if let Some(signature) = signatures.get_mut(bad) {
                    // In R, in s, s of L and more, an R that is no canonical point.
                    match size % 4 {
                        0 => signature[bad % 32] ^= 4,
                        1 => signature[32 + bad % 32] ^= 4,
                        2 => signature[63] |= 0xf0,
                        _ => signature[..32].fill(0xff),
                    }
                }
                let signed = messages.iter().zip(&signatures).zip(&signers);
                let batch: Vec<_> = signed
                    .map(|((message, signature), by)| SignedMessage { key: &by.key, message, signature })
                    .collect();
                for (index, found) in bench.look(&batch).iter().enumerate() {
                    let expected = match index {
                        _ if index % 3 == 2 => Found::NoComb,
                        _ if index == bad => Found::Differs,
                        _ => Found::Holds,
                    };
                    assert_eq!(*found, expected, "{size} {bad} {index}");
                }
            }
        }
    }

    /// A signature by one key is none by another, though both have combs.
    #[test]
    fn combs_are_not_mixed_up() {
        let Some(mut bench) = Bench::new() else { return println!("skipped: no AVX-512 IFMA here") };
        let signers = signers(2);
        for signer in &signers {
            bench.want(&signer.key);
            assert!(bench.combs.make_one(&bench.lanes));
        }
        let signature = signers[0].secret.sign(b"text").to_bytes();
        let signed = |key| SignedMessage { key, message: b"text", signature: &signature };
        let batch = [signed(&signers[1].key), signed(&signers[0].key)];
        assert_eq!(bench.look(&batch), [Found::Differs, Found::Holds]);
    }

    /// Many signatures by few keys are cheaper in one sum; nobody looks then.
    #[test]
    fn what_costs_less_without_is_not_asked() {
        let Some(mut bench) = Bench::new() else { return println!("skipped: no AVX-512 IFMA here") };
        let signers = signers(1);
        bench.want(&signers[0].key);
        assert!(bench.combs.make_one(&bench.lanes));
        let signature = signers[0].secret.sign(b"text").to_bytes();
        let signed = SignedMessage { key: &signers[0].key, message: b"text", signature: &signature };
        let most = SUM_ALONE + SIGNATURES_A_KEY;
        assert_eq!(bench.look(&vec![signed; most]), vec![Found::Holds; most]);
        assert_eq!(bench.look(&vec![signed; most + 1]), vec![Found::NotAsked; most + 1]);
        // Nor is one among others that are in a sum anyway.
        let others = signers_of(1..3);
        let mut batch: Vec<_> = others.iter().map(|other| SignedMessage { key: &other.key, ..signed }).collect();
        batch.push(signed);
        assert_eq!(bench.look(&batch), [Found::NoComb, Found::NoComb, Found::NotAsked]);
        assert_eq!(bench.look(&batch[1..]), [Found::NoComb, Found::Holds]);
    }

    /// What waits is bounded and waits once; without idle time a comb is made after so many signatures.
    #[test]
    fn keys_wait_for_their_combs() {
        let Some(mut bench) = Bench::new() else { return println!("skipped: no AVX-512 IFMA here") };
        let signers = signers(WANTED_MAX as u64 + 2);
        for signer in signers.iter().chain(&signers) {
            bench.want(&signer.key);
        }
        assert_eq!(bench.combs.wanted.len(), WANTED_MAX);
        bench.combs.count(&bench.lanes, SIGNATURES_A_COMB - 1);
        assert_eq!(bench.combs.kept.len(), 0);
        bench.combs.count(&bench.lanes, 1);
        assert_eq!((bench.combs.kept.len(), bench.combs.wanted.len()), (1, WANTED_MAX - 1));
        bench.want(&signers[0].key);
        assert_eq!(bench.combs.wanted.len(), WANTED_MAX - 1, "it has its comb");
        while bench.combs.make_one(&bench.lanes) {}
        assert_eq!(bench.combs.kept.len(), WANTED_MAX);
    }

    /// A comb that was made ahead says what any other does, goes first, and none goes for it.
    #[test]
    fn combs_are_made_ahead_while_there_is_room() {
        let Some(mut bench) = Bench::new() else { return println!("skipped: no AVX-512 IFMA here") };
        let signers = signers(COMBS_MAX as u64 + 2);
        bench.want(&signers[0].key);
        for signer in signers.iter().chain(&signers).take(COMBS_MAX + 1) {
            let points = *signer.key.in_lanes(&bench.lanes);
            bench.combs.make_ahead(&bench.lanes, signer.key.as_bytes(), &points);
        }
        assert!(!bench.combs.make_one(&bench.lanes), "the one that waited has its comb");
        assert_eq!((bench.combs.kept.len(), bench.combs.places.len()), (COMBS_MAX, COMBS_MAX));
        let signatures: Vec<_> = signers.iter().map(|by| by.secret.sign(b"text").to_bytes()).collect();
        let signed =
            |index: usize| SignedMessage { key: &signers[index].key, message: b"text", signature: &signatures[index] };
        let bad = SignedMessage { signature: &signatures[1], ..signed(0) };
        assert_eq!(bench.look(&[signed(0), bad]), [Found::Holds, Found::Differs]);
        assert_eq!(bench.look(&[signed(COMBS_MAX)]), [Found::NoComb]);
        bench.want(&signers[COMBS_MAX].key);
        assert!(bench.combs.make_one(&bench.lanes));
        assert_eq!(bench.look(&[signed(COMBS_MAX)]), [Found::Holds]);
        // The hand passed the first one, which has signed, and took the second, which has not.
        assert_eq!(bench.look(&[signed(0)]), [Found::Holds]);
        assert_eq!(bench.look(&[signed(1)]), [Found::NoComb]);
    }

    /// When there is no room the one that nobody used since goes, and where all are used none does.
    #[test]
    fn combs_are_bounded_and_the_unused_go() {
        let Some(mut bench) = Bench::new() else { return println!("skipped: no AVX-512 IFMA here") };
        let signers = signers(COMBS_MAX as u64 + 3);
        let (first, late) = signers.split_at(COMBS_MAX);
        for signer in first {
            bench.want(&signer.key);
            assert!(bench.combs.make_one(&bench.lanes));
        }
        let signatures: Vec<_> = signers.iter().map(|by| by.secret.sign(b"text").to_bytes()).collect();
        let signed =
            |index: usize| SignedMessage { key: &signers[index].key, message: b"text", signature: &signatures[index] };
        // All are in use: the hand passes, and the new ones do without.
        for _ in 0..COMBS_MAX / LOOKED_AT {
            bench.want(&late[0].key);
            assert!(!bench.combs.make_one(&bench.lanes));
        }
        assert_eq!(bench.look(&[signed(COMBS_MAX)]), [Found::NoComb]);
        // Now the hand has passed all; of the first four only the third signs again.
        assert_eq!(bench.look(&[signed(2)]), [Found::Holds]);
        for signer in late {
            bench.want(&signer.key);
            assert!(bench.combs.make_one(&bench.lanes));
        }
        assert_eq!(bench.combs.kept.len(), COMBS_MAX);
        let expected = [Found::NoComb, Found::NoComb, Found::Holds, Found::NoComb, Found::Holds];
        for (index, expected) in [0, 1, 2, 3, 4].into_iter().zip(expected) {
            assert_eq!(bench.look(&[signed(index)]), [expected], "{index}");
        }
        for index in COMBS_MAX..COMBS_MAX + 3 {
            assert_eq!(bench.look(&[signed(index)]), [Found::Holds], "{index}");
        }
        assert_eq!(bench.combs.places.len(), COMBS_MAX);
    }
}
