//! What a signature costs to verify: ours one by one and batched, beside the batches of the registry, in one run.
//!
//! Each figure is the thread's CPU time of the best of five passes over signatures of orders of 300 bytes, in
//! microseconds a signature; keys are drawn from a seed and known to whoever keeps them. The first column is the exchange's own
//! files, compiled in unchanged.

#[path = "../../src/auth/combs.rs"]
mod combs;
#[path = "../../src/auth/lanes/mod.rs"]
#[allow(dead_code, unused_imports, reason = "digests of texts and frames are no part of it")]
mod lanes;
#[path = "../../src/auth/signature.rs"]
#[allow(dead_code, reason = "the bench uses a part of it")]
mod signature;

use std::hint::black_box;

use ed25519_dalek::{Signature, Signer as _, SigningKey};
use ed25519_simd::{HotKeyCache, VerifyInput, Zip215Verifier};
use signature::{BatchVerifier, SignedMessage, Verdict, VerifyingKey};

const SIGNATURES: usize = 2_048;
const PASSES: usize = 5;

/// One signed order.
struct Signed {
    key: usize,
    message: Vec<u8>,
    signature: [u8; 64],
}

impl Signed {
    fn with_key<'a>(&'a self, corpus: &'a Corpus) -> SignedMessage<'a> {
        SignedMessage { key: &corpus.ours[self.key], message: &self.message, signature: &self.signature }
    }
}

struct Corpus {
    keys: Vec<SigningKey>,
    ours: Vec<VerifyingKey>,
    orders: Vec<Signed>,
}

impl Corpus {
    fn new(key_count: usize) -> Self {
        let mut state = 0x6c61_6b68_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).expect("31 bits")
        };
        let seed = |number: usize| *blake3::hash(&number.to_le_bytes()).as_bytes();
        let keys: Vec<_> = (0..key_count).map(|number| SigningKey::from_bytes(&seed(number))).collect();
        let bytes = keys.iter().map(|key| key.verifying_key().to_bytes());
        let ours = bytes.map(|bytes| VerifyingKey::from_bytes(&bytes).expect("a key that was just made")).collect();
        let order = |number| {
            let key = random() % key_count;
            let message = format!("{number:0300}").into_bytes();
            let signature = keys[key].sign(&message).to_bytes();
            Signed { key, message, signature }
        };
        let orders = (0..SIGNATURES).map(order).collect();
        Self { keys, ours, orders }
    }
}

/// The best of some passes of `verify` over all orders in batches, in microseconds a signature.
fn best(corpus: &Corpus, batch: usize, mut verify: impl FnMut(&[Signed]) -> bool) -> f64 {
    let pass = |verify: &mut dyn FnMut(&[Signed]) -> bool| {
        let begin = thread_cpu_time();
        for batch in corpus.orders.chunks(batch) {
            assert!(black_box(verify(batch)), "every signature holds");
        }
        thread_cpu_time() - begin
    };
    let time = (0..PASSES).map(|_| pass(&mut verify)).min().expect("some passes");
    time as f64 / 1_000.0 / SIGNATURES as f64
}

fn thread_cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).expect("from 0") * 1_000_000_000 + u64::try_from(time.tv_nsec).expect("from 0")
}

fn ours_single(corpus: &Corpus, batch: usize) -> f64 {
    best(corpus, batch, |orders| {
        orders.iter().all(|one| corpus.ours[one.key].verify(&one.message, &one.signature) == Verdict::Accepted)
    })
}

fn ours_batch(corpus: &Corpus, batch: usize) -> f64 {
    let mut verifier = BatchVerifier::new([7; 32]);
    // As in the exchange, where keys have logged on and the verifier had a moment without work since.
    for key in &corpus.ours {
        verifier.expect_more_of(key);
        verifier.prepare_one();
    }
    let mut verdicts = Vec::new();
    best(corpus, batch, |orders| {
        let messages: Vec<_> = orders.iter().map(|one| one.with_key(corpus)).collect();
        verifier.verify(&messages, &mut verdicts);
        verdicts.iter().all(|verdict| *verdict == Verdict::Accepted)
    })
}

fn dalek_single(corpus: &Corpus, batch: usize) -> f64 {
    let keys: Vec<_> = corpus.keys.iter().map(SigningKey::verifying_key).collect();
    best(corpus, batch, |orders| {
        orders
            .iter()
            .all(|one| keys[one.key].verify_strict(&one.message, &Signature::from_bytes(&one.signature)).is_ok())
    })
}

fn dalek_batch(corpus: &Corpus, batch: usize) -> f64 {
    let keys: Vec<_> = corpus.keys.iter().map(SigningKey::verifying_key).collect();
    best(corpus, batch, |orders| {
        let messages: Vec<&[u8]> = orders.iter().map(|one| one.message.as_slice()).collect();
        let signatures: Vec<_> = orders.iter().map(|one| Signature::from_bytes(&one.signature)).collect();
        let keys: Vec<_> = orders.iter().map(|one| keys[one.key]).collect();
        ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok()
    })
}

fn zebra_batch(corpus: &Corpus, batch: usize) -> f64 {
    let keys: Vec<_> = corpus.keys.iter().map(|key| key.verifying_key().to_bytes()).collect();
    best(corpus, batch, |orders| {
        let mut verifier = ed25519_zebra::batch::Verifier::new();
        for one in orders {
            let key = ed25519_zebra::VerificationKeyBytes::from(keys[one.key]);
            verifier.queue((key, ed25519_zebra::Signature::from(one.signature), &one.message));
        }
        verifier.verify(ed25519_zebra_rng()).is_ok()
    })
}

/// Whatever randomness that crate asks for, from the operating system.
fn ed25519_zebra_rng() -> rand_core::OsRng {
    rand_core::OsRng
}

fn simd_batch(corpus: &Corpus, batch: usize) -> f64 {
    let keys: Vec<_> = corpus.keys.iter().map(|key| key.verifying_key().to_bytes()).collect();
    let mut verifier = Zip215Verifier::with_cache(HotKeyCache::with_capacity(keys.len()));
    best(corpus, batch, |orders| {
        let inputs: Vec<_> = orders
            .iter()
            .map(|one| VerifyInput { public_key: keys[one.key], signature: one.signature, message: &one.message })
            .collect();
        let mut verdicts = vec![false; inputs.len()];
        verifier.verify_batch(&inputs, &mut verdicts);
        verdicts.into_iter().all(|verdict| verdict)
    })
}

fn main() {
    type Backend = (&'static str, fn(&Corpus, usize) -> f64);
    let backends: [Backend; 6] = [
        ("ours single", ours_single),
        ("ours batch", ours_batch),
        ("dalek single", dalek_single),
        ("dalek batch", dalek_batch),
        ("zebra batch", zebra_batch),
        ("simd 8 lanes", simd_batch),
    ];
    println!("microseconds of CPU a signature, best of {PASSES} passes over {SIGNATURES}");
    for key_count in [1, 64, 1_000, 4_096] {
        let corpus = Corpus::new(key_count);
        print!("{key_count:>5} keys, batch");
        backends.iter().for_each(|(name, _)| print!(" | {name:>12}"));
        println!();
        for batch in [1, 8, 16, 64, 256, 512] {
            print!("{batch:>17}");
            for (_, backend) in backends {
                print!(" | {:>12.2}", backend(&corpus, batch));
            }
            println!();
        }
    }
}
