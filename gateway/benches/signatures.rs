//! What a signature costs to verify in batches of each size, with 1, 64, 1,000 and 4,096 keys that the venue knows.
//!
//! Each key has logged on before, and the verifier had a moment without work since, in which it makes what it keeps for keys
//! that sign: for as many of them as it has room for.
//!
//! `cargo bench -p lakh-gateway --bench signatures`. Thread CPU time, median and best of seven passes over signatures of orders
//! of 300 bytes. In front of it the digests of signed texts, by how many are worked out together. The backends of the registry
//! stand beside it in `gateway/peers`, which needs a processor with AVX-512 IFMA to be built at all; this does not.

mod measure;

use std::hint::black_box;

use ed25519_dalek::{Signer as _, SigningKey};
use lakh_gateway::auth::PayloadDigests;
use lakh_gateway::auth::signature::{BatchVerifier, SignedMessage, Verdict, VerifyingKey};
use measure::{Scale, thread_cpu_ns};

const SIGNATURES: u64 = 4_096;

struct Signed {
    key: usize,
    message: Vec<u8>,
    signature: [u8; 64],
}

fn orders(keys: &[SigningKey], count: u64) -> Vec<Signed> {
    let order = |number: u64| {
        // Every key signs, in an order that no cache line foresees.
        let key = number.wrapping_mul(2_654_435_761) as usize % keys.len();
        let message = format!("{number:0300}").into_bytes();
        let signature = keys[key].sign(&message).to_bytes();
        Signed { key, message, signature }
    };
    (0..count).map(order).collect()
}

/// Nanoseconds of each pass a signature, sorted.
fn passes(batch: usize, orders: &[Signed], keys: &[VerifyingKey], scale: Scale) -> Vec<u64> {
    let mut verifier = BatchVerifier::new([7; 32]);
    for key in keys {
        verifier.expect_more_of(key);
        verifier.prepare_one();
    }
    let mut verdicts = Vec::new();
    let mut pass = || {
        let begin = thread_cpu_ns();
        for batch in orders.chunks(batch) {
            let batch: Vec<_> = batch
                .iter()
                .map(|one| SignedMessage { key: &keys[one.key], message: &one.message, signature: &one.signature })
                .collect();
            verifier.verify(&batch, &mut verdicts);
            assert!(black_box(&verdicts).iter().all(|verdict| *verdict == Verdict::Accepted), "every signature holds");
        }
        (thread_cpu_ns() - begin) / orders.len() as u64
    };
    let mut times: Vec<u64> = (0..scale.passes()).map(|_| pass()).collect();
    times.sort_unstable();
    times
}

/// The digests of texts of 180 to 300 bytes, as orders over WebSocket have them.
fn digests(scale: Scale) {
    println!("texts together | ns a digest, median (best)");
    let count = usize::try_from(scale.of(SIGNATURES)).expect("a few thousand");
    let texts: Vec<_> = (0..count).map(|number| vec![number as u8; 180 + number * 37 % 121]).collect();
    let texts: Vec<_> = texts.iter().map(Vec::as_slice).collect();
    let digests = PayloadDigests::detect();
    for together in [1, 2, 3, 4, 6, 8, 16, 32, 64, 256] {
        let pass = |_| {
            let begin = thread_cpu_ns();
            for _ in 0..16 {
                for texts in texts.chunks(together) {
                    black_box(digests.of(black_box(texts)));
                }
            }
            (thread_cpu_ns() - begin) / (16 * texts.len() as u64)
        };
        let mut times: Vec<u64> = (0..scale.passes()).map(pass).collect();
        times.sort_unstable();
        println!("{together:>5} | {:>4} ({})", times[times.len() / 2], times[0]);
    }
}

fn main() {
    let scale = Scale::asked();
    digests(scale);
    println!("keys | batch | ns a signature, median (best) | signatures/s on a core at the median");
    for key_count in [1, 64, 1_000, 4_096] {
        let seed = |number: usize| *blake3::hash(&number.to_le_bytes()).as_bytes();
        let keys: Vec<_> = (0..key_count).map(|number| SigningKey::from_bytes(&seed(number))).collect();
        let known = keys.iter().map(|key| VerifyingKey::from_bytes(key.verifying_key().as_bytes()));
        let known: Vec<_> = known.map(|key| key.expect("a key that was just made")).collect();
        let orders = orders(&keys, scale.of(SIGNATURES));
        for batch in [1, 8, 64, 256, 512, 1_024] {
            let times = passes(batch, &orders, &known, scale);
            let median = times[times.len() / 2];
            println!("{key_count:>5} | {batch:>5} | {median:>6} ({}) | {}", times[0], 1_000_000_000 / median.max(1));
        }
    }
}
