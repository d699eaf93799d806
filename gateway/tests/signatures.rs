//! The acceptance rule against cases with known verdicts, one by one and in batches, which must never disagree.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use std::path::Path;

use common::{Random, json};
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_gateway::auth::signature::{BatchVerifier, SignedMessage, Verdict, VerifyingKey, verify_bytes};
use serde_json::Value;

struct Case {
    name: String,
    public_key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    expected: Verdict,
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn cases(path: &Path, names: [&str; 4]) -> Option<Vec<Case>> {
    let text = std::fs::read(path).ok()?;
    let [name, public_key, message, accepted] = names;
    let case = |value: &Value| Case {
        name: value[name].to_string(),
        public_key: hex(&value[public_key]),
        message: hex(&value[message]),
        signature: hex(&value["signature"]),
        expected: if value[accepted].as_bool().unwrap() { Verdict::Accepted } else { Verdict::Refused },
    };
    Some(json(&text).as_array().unwrap().iter().map(case).collect())
}

fn own_cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/signatures.json");
    cases(&path, ["name", "public_key", "message", "accepted"]).expect("the file is part of the repository")
}

fn published_cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/signatures/edge_cases.json");
    cases(&path, ["source", "pub_key", "message", "accept"]).unwrap_or_else(|| {
        println!("skipped: the published signature cases are not on this machine");
        Vec::new()
    })
}

#[test]
fn every_case_gets_its_verdict() {
    let cases: Vec<Case> = own_cases().into_iter().chain(published_cases()).collect();
    assert!(cases.iter().filter(|case| case.expected == Verdict::Accepted).count() >= 6);
    assert!(cases.iter().filter(|case| case.expected == Verdict::Refused).count() >= 20);
    for case in &cases {
        let verdict = verify_bytes(&case.public_key, &case.message, &case.signature);
        assert_eq!(verdict, case.expected, "{}", case.name);
    }
    println!("{} cases", cases.len());
}

#[test]
fn batches_agree_with_single_verdicts() {
    let seed = now_seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let cases: Vec<Case> = own_cases().into_iter().chain(published_cases()).collect();
    let usable: Vec<(VerifyingKey, &Case, [u8; 64])> = cases
        .iter()
        .filter_map(|case| {
            let key = VerifyingKey::from_bytes(case.public_key.as_slice().try_into().ok()?).ok()?;
            Some((key, case, case.signature.as_slice().try_into().ok()?))
        })
        .collect();
    // Without combs, with combs for two thirds of the keys, and the library alone, which is what runs on another processor.
    let mut with_combs = BatchVerifier::new([8; 32]);
    for (key, _, _) in usable.iter().enumerate().filter(|(index, _)| index % 3 != 0).map(|(_, usable)| usable) {
        with_combs.expect_more_of(key);
        with_combs.prepare_one();
    }
    let mut verifiers = [BatchVerifier::new([7; 32]), with_combs, BatchVerifier::on_the_library([7; 32])];
    let mut verdicts = Vec::new();
    let mut whole_batches = 0;
    for round in 0..60 {
        let size = 1 + random.below(40);
        // Every third round holds only good signatures, so that whole batches pass too, with torsion in some R.
        let pool: Vec<_> =
            usable.iter().filter(|(_, case, _)| round % 3 != 0 || case.expected == Verdict::Accepted).collect();
        let picked: Vec<_> = (0..size).map(|_| pool[random.below(pool.len())]).collect();
        let batch: Vec<SignedMessage<'_>> = picked
            .iter()
            .map(|(key, case, signature)| SignedMessage { key, message: &case.message, signature })
            .collect();
        let expected: Vec<Verdict> = picked.iter().map(|(_, case, _)| case.expected).collect();
        for verifier in &mut verifiers {
            verifier.verify(&batch, &mut verdicts);
            assert_eq!(verdicts, expected, "round {round}, {verifier:?}");
        }
        whole_batches += usize::from(expected.iter().all(|verdict| *verdict == Verdict::Accepted));
    }
    assert!(whole_batches >= 20);
}

#[test]
fn one_bad_signature_spoils_no_other() {
    let keys: Vec<SigningKey> = (0..8).map(|index| SigningKey::from_bytes(&[index; 32])).collect();
    let verifying: Vec<VerifyingKey> =
        keys.iter().map(|key| VerifyingKey::from_bytes(key.verifying_key().as_bytes()).unwrap()).collect();
    let messages: Vec<Vec<u8>> = (0..300_u32).map(|index| index.to_le_bytes().repeat(50)).collect();
    let mut signatures: Vec<[u8; 64]> =
        messages.iter().enumerate().map(|(index, message)| keys[index % 8].sign(message).to_bytes()).collect();
    let mut with_combs = BatchVerifier::new([4; 32]);
    for key in &verifying[..7] {
        with_combs.expect_more_of(key);
        with_combs.prepare_one();
    }
    let mut verifiers = [BatchVerifier::from_system().unwrap(), with_combs, BatchVerifier::on_the_library([3; 32])];
    let mut verdicts = Vec::new();
    for bad in [None, Some(0), Some(150), Some(299)] {
        if let Some(bad) = bad {
            signatures[bad][40] ^= 1;
        }
        let batch: Vec<SignedMessage<'_>> = messages
            .iter()
            .zip(&signatures)
            .enumerate()
            .map(|(index, (message, signature))| SignedMessage { key: &verifying[index % 8], message, signature })
            .collect();
        for verifier in &mut verifiers {
            verifier.verify(&batch, &mut verdicts);
            for (index, verdict) in verdicts.iter().enumerate() {
                let expected = if bad == Some(index) { Verdict::Refused } else { Verdict::Accepted };
                assert_eq!(*verdict, expected, "{bad:?} {index}");
            }
        }
        if let Some(bad) = bad {
            signatures[bad][40] ^= 1;
        }
    }
}

/// Two errors that cancel each other in a plain sum must not pass: the coefficients are what prevents it.
#[test]
fn errors_that_cancel_each_other_are_found() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let verifying = VerifyingKey::from_bytes(key.verifying_key().as_bytes()).unwrap();
    let messages: Vec<Vec<u8>> = (0..4_u8).map(|index| vec![index; 100]).collect();
    let mut signatures: Vec<[u8; 64]> = messages.iter().map(|message| key.sign(message).to_bytes()).collect();
    let shift = |signature: &mut [u8; 64], up: bool| {
        let mut low = u64::from_le_bytes(signature[32..40].try_into().unwrap());
        low = if up { low.wrapping_add(1) } else { low.wrapping_sub(1) };
        signature[32..40].copy_from_slice(&low.to_le_bytes());
    };
    shift(&mut signatures[1], true);
    shift(&mut signatures[2], false);
    let batch: Vec<SignedMessage<'_>> = messages
        .iter()
        .zip(&signatures)
        .map(|(message, signature)| SignedMessage { key: &verifying, message, signature })
        .collect();
    let mut verdicts = Vec::new();
    for mut verifier in [BatchVerifier::new([9; 32]), BatchVerifier::on_the_library([9; 32])] {
        verifier.verify(&batch, &mut verdicts);
        assert_eq!(verdicts, [Verdict::Accepted, Verdict::Refused, Verdict::Refused, Verdict::Accepted]);
    }
}

fn now_seed() -> u64 {
    common::now().0
}
