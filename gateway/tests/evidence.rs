//! Signed texts and the evidence made of them: reproduced byte for byte, and leading back to the same command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use common::bench::{Bench, LIMIT, frame, limit_with};
use common::{Random, SEED, json, now};
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_engine::command::Command;
use lakh_gateway::auth::canonical;
use lakh_gateway::auth::evidence::{Evidence, EvidenceError, command_from_evidence};
use lakh_gateway::auth::rest_text::RestText;
use lakh_gateway::auth::signature::{Verdict, verify_bytes};
use lakh_gateway::hand_over::ToSession;
use lakh_gateway::wire::json::envelope::{self, Params};
use serde_json::Value;

/// The texts and signatures that other implementations must reproduce byte for byte.
#[test]
fn published_vectors_are_reproduced() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/clients/vectors.json");
    let Ok(text) = std::fs::read(path) else {
        println!("skipped: the published vectors are not on this machine");
        return;
    };
    let mut count = 0;
    for vector in json(&text)["own"].as_array().unwrap() {
        let params = match (&vector["params"], &vector["frame_params"]) {
            (Value::Object(params), _) => serde_json::to_string(params).unwrap(),
            (_, Value::String(params)) => params.clone(),
            _ => continue,
        };
        let frame = format!(r#"{{"id":1,"method":"order.place","params":{params}}}"#);
        let Params::Named(parameters) = envelope::parse(&frame).unwrap().params else { panic!("an object") };
        let (raw, others) = canonical::texts(&parameters).unwrap();
        let payload = vector["payload"].as_str().unwrap().as_bytes();
        let ours = [raw].into_iter().chain(others).find(|text| text == payload).expect("one of the spellings");
        let signature = STANDARD.encode(SigningKey::from_bytes(&SEED).sign(&ours).to_bytes());
        assert_eq!(signature, vector["signature"], "{}", vector["name"]);
        count += 1;
    }
    assert!(count >= 6, "only {count} vectors");
}

/// Texts that are signed as they stand: a logon, a request over HTTP, the first logon of the other face.
#[test]
fn published_texts_are_signed_alike() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/clients/vectors.json");
    let Ok(text) = std::fs::read(path) else {
        println!("skipped: the published vectors are not on this machine");
        return;
    };
    let vectors = json(&text);
    let published = &vectors["from_docs"][0];
    let published_seed = published["seed_hex"].as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&published_seed[at..at + 2], 16).unwrap();
    let published_seed: [u8; 32] = core::array::from_fn(|index| byte(index * 2));
    let own = vectors["own"].as_array().unwrap().iter().map(|vector| (SEED, vector));
    let mut seen = Vec::new();
    for (seed, vector) in own.chain([(published_seed, published)]) {
        let soh = vector["payload_soh"].as_str().map(|text| text.replace('|', "\u{1}"));
        let Some(payload) = soh.or_else(|| vector["payload"].as_str().map(str::to_owned)) else { continue };
        let key = SigningKey::from_bytes(&seed);
        let signature = key.sign(payload.as_bytes()).to_bytes();
        assert_eq!(STANDARD.encode(signature), vector["signature"], "{}", vector["name"]);
        let verdict = verify_bytes(key.verifying_key().as_bytes(), payload.as_bytes(), &signature);
        assert_eq!(verdict, Verdict::Accepted);
        seen.push(vector["name"].as_str().unwrap());
        if let Some(value) = vector["query_value"].as_str() {
            let taken = RestText::new(&format!("{payload}&signature={value}"), "").unwrap();
            assert_eq!((taken.text, taken.signature), (payload.into_bytes(), Some(STANDARD.encode(signature))));
        }
    }
    for name in ["own-session.logon", "own-fix-logon", "own-rest"] {
        assert!(seen.contains(&name), "{seen:?}");
    }
    assert!(seen.last().unwrap().contains("fix-logon"), "{seen:?}");
}

#[test]
fn evidence_that_was_changed_is_found() {
    let mut bench = Bench::new();
    bench.code(&frame("order.place", &LIMIT));
    let (command, evidence, _) = bench.pop_command();
    for length in 1..evidence.len() {
        assert!(Evidence::decode(&evidence[..length]).is_err(), "cut at {length}");
    }
    assert_eq!(Evidence::decode(&[]), Ok(Evidence::None));
    assert_eq!(Evidence::decode(&[9]), Err(EvidenceError::UnknownKind(9)));
    for at in 0..evidence.len() {
        let mut changed = evidence.to_vec();
        changed[at] ^= 1;
        let rebuilt = Evidence::decode(&changed).and_then(|changed| command_from_evidence(&changed, &bench.directory));
        assert_ne!(rebuilt, Ok(Command::Signed(command)), "byte {at}");
    }
    // The method is not signed; another one makes another command, which the audit then finds unequal, or none.
    let Ok(Evidence::WebSocketSigned(mut signed)) = Evidence::decode(&evidence) else { panic!("signed") };
    signed.method = "session.logon";
    let rebuilt = command_from_evidence(&Evidence::WebSocketSigned(signed), &bench.directory);
    assert_ne!(rebuilt, Ok(Command::Signed(command)));
}

#[test]
fn random_orders_are_rebuilt_from_their_evidence() {
    let seed = now().0;
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut bench = Bench::new();
    let mut accepted = 0;
    for index in 0..200 {
        let pick = |random: &mut Random, options: &[&str]| options[random.below(options.len())].to_owned();
        let price = pick(&mut random, &["70000.1", "7e4", "1", "0.01", "70000.10000000", ".5", "1e99", "%31"]);
        let quantity = pick(&mut random, &["0.01", "1e-05", "3", "1E-4", "00.5", "0"]);
        let kind = pick(&mut random, &["LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET"]);
        let tif = pick(&mut random, &["GTC", "IOC", "FOK", ""]);
        let note = pick(&mut random, &["", "%26", "side%3DBUY", "é", "+ +", "100%", "%zz"]);
        let client_id = format!("r:{index}/x");
        let changes = [
            ("price", if kind == "MARKET" { "" } else { &price }),
            ("quantity", &quantity),
            ("type", &kind),
            ("timeInForce", if kind == "LIMIT" { &tif } else { "" }),
            ("newClientOrderId", &client_id),
            ("note", &note),
            ("sid%65", "BUY"),
        ];
        if bench.code(&frame("order.place", &limit_with(&changes))) == 0 {
            let (command, evidence, handle) = bench.pop_command();
            bench.audit(command, &evidence);
            bench.answer(ToSession::Answer { request: handle.request, outcome: Ok(Bytes::from_static(b"{}")) });
            accepted += 1;
        }
    }
    assert!(accepted > 20, "only {accepted}");
}
