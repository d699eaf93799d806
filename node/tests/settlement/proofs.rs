//! What the venue hands out to be held against it: receipts of orders, and proofs of balances in final batches.

use lakh_loadtest::client::Value;
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::commitment::Header;
use lakh_settlement::contract::{self, answer};
use lakh_settlement::final_balances::BalancesProof;
use lakh_settlement::follower::{Progress, Replica, Venue as Binding};
use lakh_settlement::inclusion::JournalProof;
use lakh_settlement::receipt::Receipt;
use serde_json::Value as Json;

use crate::chains::Embedded;
use crate::traders::Client;
use crate::troubles::{begin, trade};
use crate::venue::Venue;
use crate::wait_for;
use crate::world::{CASH, CHAIN_ID, HEADER_SECRET, UNIT};

/// Nobody's record, or somebody else's.
const NO_SUCH_RECORD: i64 = -2103;
/// There is no final batch yet.
const NO_FINAL_BATCH: i64 = -2104;

pub(crate) fn receipt(client: &mut Client, by: &str, number: u64) -> Json {
    client.insist("receipt", &[(by, Value::Number(number))])
}

/// The header of the batch that covers a record, by a replay of the journal.
fn batch_of(venue: &Venue, binding: Binding, sequence: u64) -> Header {
    let mut replica = Replica::open(&venue.journal(), binding).unwrap();
    let mut batches = Vec::new();
    while replica.advance(4_096, &mut batches).unwrap() == Progress::Behind {}
    let covers = |header: &Header| (header.first_sequence.0..=header.last_sequence.0).contains(&sequence);
    batches.into_iter().map(|batch| batch.header).find(covers).expect("the record is settled")
}

#[test]
fn an_orders_receipt_is_what_the_chain_settles_and_outlives_the_process() {
    let embedded = Embedded::start();
    let (world, venue, mut clients) = begin(&embedded);
    let settled = trade(&mut clients);
    let [maker, taker] = &mut clients;
    let signer = TransactionSigner::from_secret(&HEADER_SECRET).unwrap().address();
    let binding = Binding { chain_id: CHAIN_ID, contract: world.contract };

    let answer = receipt(taker, "orderId", settled * 64);
    assert_eq!(answer["error"], Json::Null, "{answer}");
    let first = Receipt::from_json(&answer["result"].to_string()).unwrap();
    assert_eq!((first.sequence.0, first.signer(binding)), (settled, Some(signer)));
    let by_sequence = receipt(taker, "sequence", settled);
    assert_eq!(Receipt::from_json(&by_sequence["result"].to_string()), Some(first.clone()), "the same promise");
    assert_eq!(receipt(maker, "sequence", settled)["error"]["code"], NO_SUCH_RECORD, "another account's");
    for number in [u64::MAX, 1, 0] {
        assert_eq!(receipt(taker, "sequence", number)["error"]["code"], NO_SUCH_RECORD, "record {number}");
    }
    assert_eq!(taker.insist("receipt", &[])["error"]["code"], -1102);
    let over_http = taker.get("/api/v3/receipt", &format!("sequence={settled}"));
    assert_eq!(Receipt::from_json(&over_http.to_string()), Some(first.clone()), "over HTTP");

    let (chain, contract) = (CHAIN_ID.to_string(), world.contract.to_string());
    let verify = |text: &str, signer: &str| {
        let file = venue.write("receipt.json", text);
        let whose = ["--chain-id", &chain, "--contract", &contract, "--signer", signer];
        venue.run(&[&["receipt", "verify", file.to_str().unwrap()], &whose[..]].concat())
    };
    let (is_good, said) = verify(&first.to_json(), &signer.to_string());
    assert!(is_good && said.contains(&format!("record {settled} of shard 0")), "{said}");
    assert!(!verify(&first.to_json(), &contract).0, "somebody else's signature");
    let other = Receipt { sequence: lakh_engine::ids::Sequence(settled + 1), ..first.clone() };
    assert!(!verify(&other.to_json(), &signer.to_string()).0, "another record");

    // Another process signs another interval around the very same record.
    venue.kill_and_go_on();
    let answer = receipt(taker, "sequence", settled);
    let again = Receipt::from_json(&answer["result"].to_string()).unwrap_or_else(|| panic!("{answer}"));
    assert_eq!((again.sequence, again.record_hash), (first.sequence, first.record_hash));
    assert_eq!((again.epoch, again.signer(binding)), (first.epoch + 1, Some(signer)));

    world.await_final(settled);
    let header = batch_of(&venue, binding, settled);
    let range = (header.first_sequence, header.last_sequence);
    let proof = JournalProof::read(&venue.journal(), range, first.sequence).unwrap();
    assert_eq!((proof.record_hash, proof.root()), (first.record_hash, Some(header.journal_root)));
    venue.stop();
}

#[test]
fn everybody_gets_the_proof_of_his_balances_in_each_final_batch() {
    let embedded = Embedded::start();
    let (world, venue, mut clients) = begin(&embedded);
    let settled = trade(&mut clients);
    let mut prove = |index: usize| {
        let client = &mut clients[index];
        let answer = client.insist("account.proof", &[]);
        if answer["error"]["code"] == NO_FINAL_BATCH {
            return None;
        }
        let text = answer["result"].to_string();
        Some((BalancesProof::from_json(&text).unwrap_or_else(|| panic!("{answer}")), text))
    };
    world.await_final(settled);
    let sequence = |proof: &BalancesProof| proof.header.last_sequence.0;
    let (proof, text) = wait_for("the final batch", || {
        prove(1).filter(|(proof, _)| sequence(proof) >= settled && proof.stamp.is_some())
    });
    let stored = answer::hash(&world.ask(contract::batch_hash(proof.header.batch_id))).unwrap();
    assert_eq!(proof.check(), Ok(Some(stored)), "all the way to what the contract stores");
    let balances = |proof: &BalancesProof| -> Vec<_> {
        proof.balances.iter().map(|(asset, proof)| (*asset, proof.balance.raw())).collect()
    };
    // One unit at 100.00 with a fee of 0.0333 %, rounded in the venue's favour.
    assert_eq!(balances(&proof), [(CASH, 10_000_000 - 10_000 - 4), (UNIT, 1)]);
    let (proof, _) = prove(0).unwrap();
    assert_eq!(balances(&proof), [(CASH, 10_000 - 10), (UNIT, 999)]);
    let over_http = clients[0].get("/api/v3/account/proof", "").to_string();
    assert_eq!(BalancesProof::from_json(&over_http).map(|proof| balances(&proof)), Some(balances(&proof)), "over HTTP");

    let file = venue.write("proof.json", &text);
    let verify = |chain: &str| venue.run(&["proof", "verify", file.to_str().unwrap(), "--chain", chain]);
    let (is_good, said) = verify(&world.url);
    assert!(is_good && said.contains("as the contract has it"), "{said}");
    let (is_good, said) = venue.run(&["proof", "verify", file.to_str().unwrap()]);
    assert!(is_good && said.contains("the chain was not asked"), "{said}");
    venue.write("proof.json", &text.replace("\"balance\":\"1\"", "\"balance\":\"2\""));
    assert!(!verify(&world.url).0, "a balance that is not in the root");

    // A new process knows the final batch again, from the journal.
    venue.kill_and_go_on();
    let mut prove = |index: usize| clients[index].insist("account.proof", &[]);
    wait_for("the final batch after a restart", || {
        let answer = prove(1);
        let proof = BalancesProof::from_json(&answer["result"].to_string())?;
        (proof.check().is_ok() && sequence(&proof) >= settled).then_some(())
    });
    venue.stop();
}
