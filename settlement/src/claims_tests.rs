//! The data against the compiler's ABI, and the calls against the real contract.

use lakh_engine::command::ChainEntryKind;
use serde_json::Value;

use super::*;
use crate::chain::{TransactionStatus, decode_hex};
use crate::service::{ServiceAction, ServiceOptions, SettlementService};
use crate::test_venue::{SCALE, TestChain, TestVenue, WINDOW_SECONDS, keys, user};

/// Chain, venue and its settlement.
struct World {
    chain: TestChain,
    venue: TestVenue,
    service: SettlementService,
}

impl World {
    /// Two accounts with money, each of which wants some back, in two batches.
    fn new() -> Self {
        let chain = TestChain::new();
        let venue = TestVenue::new(chain.venue, chain.now());
        let service = open(&chain, &venue);
        let mut world = Self { chain, venue, service };
        world.chain.deposit(1, 0, 100);
        world.chain.deposit(2, 0, 100);
        for (number, amount) in [(1, 5_u128), (2, 6), (1, 7)] {
            let call = contract::request_withdrawal(AssetId(0), amount * u128::from(SCALE));
            world.chain.send(&user(number), world.chain.venue.contract, call);
        }
        world.run(10);
        let call = contract::request_withdrawal(AssetId(0), 8 * u128::from(SCALE));
        world.chain.send(&user(1), world.chain.venue.contract, call);
        world.run(10);
        world
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.chain.pass(1);
            for action in self.service.poll(self.chain.now()) {
                let ServiceAction::Submit(command) = action else { panic!("{action:?}") };
                self.venue.submit(&command, self.chain.now());
            }
        }
    }

    /// Sends a claim's call, by somebody else than the owner.
    fn send(&self, claim: &ClaimData) -> TransactionStatus {
        let to = Address::from_hex(&claim.contract).unwrap();
        self.chain.try_send(&user(4), to, decode_hex(claim.call.as_deref().unwrap()).unwrap())
    }

    fn in_journal(&self, account: u32) -> Vec<ClaimData> {
        let (directory, venue) = (self.venue.directory.path(), self.chain.venue);
        claims_in_journal(directory, venue, &self.chain.chain, 0, AccountId(account)).unwrap()
    }
}

fn open(chain: &TestChain, venue: &TestVenue) -> SettlementService {
    let directory = venue.directory.path();
    let options = ServiceOptions::new(directory, chain.poster_options(directory));
    SettlementService::open(options, Box::new(chain.chain.clone()), keys()).unwrap()
}

fn amounts(claims: &[ClaimData]) -> Vec<(&str, ClaimState)> {
    claims.iter().map(|claim| (claim.arguments.withdrawal.amount.as_str(), claim.state)).collect()
}

#[test]
fn what_it_says_is_paid_and_said_to_be_paid() {
    let mut world = World::new();
    use ClaimState::{Claimed, Committed, Final};
    let claims = world.service.claims_data(AccountId(1));
    assert_eq!(amounts(&claims), [("5", Committed), ("7", Committed), ("8", Committed)]);
    assert!(claims.iter().all(|claim| claim.call.is_none()), "nothing that the contract would refuse");
    world.run(WINDOW_SECONDS + 5);
    let claims = world.service.claims_data(AccountId(1));
    assert_eq!(amounts(&claims), [("5", Final), ("7", Final), ("8", Final)]);
    assert_eq!(claims, world.in_journal(1), "with the node and without it");
    assert_eq!(amounts(&world.in_journal(2)), [("6", Final)]);
    assert_eq!(world.in_journal(3), []);
    for claim in &claims {
        assert_eq!(world.send(claim), TransactionStatus::Succeeded, "{claim:?}");
        assert_eq!(world.send(claim), TransactionStatus::Reverted, "once");
    }
    assert_eq!(world.chain.token_balance(1, 0), 20 * u128::from(SCALE));
    let mut after = world.service.claims_data(AccountId(1));
    mark_claimed(&world.chain.chain, world.chain.venue.contract, &mut after).unwrap();
    assert_eq!(amounts(&after), [("5", Claimed), ("7", Claimed), ("8", Claimed)]);
    assert_eq!(after, world.in_journal(1));
    assert_eq!(amounts(&world.in_journal(2)), [("6", Final)], "others' claims are theirs");
}

#[test]
fn a_batch_that_the_chain_does_not_have_is_sealed_only() {
    let mut world = World::new();
    let entry = world.venue.entry(ChainEntryKind::Withdrawal, 2, 0, 1);
    world.venue.submit(&lakh_engine::command::Command::ChainEntry(entry), world.chain.now());
    let mut replica = Replica::open(world.venue.directory.path(), world.chain.venue).unwrap();
    replica.advance(10_000, &mut Vec::new()).unwrap();
    let decision = replica.seal().unwrap().command();
    world.venue.submit(&lakh_engine::command::Command::BatchSealed(decision), world.chain.now());
    assert_eq!(amounts(&world.in_journal(2)), [("6", ClaimState::Committed), ("1", ClaimState::Sealed)]);
}

/// Names in JSON, one list for each argument, in the ABI's order.
fn names(value: &Value) -> Vec<String> {
    let object = value.as_array().map_or(value, |list| &list[0]);
    let mut names: Vec<String> = object.as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

#[test]
fn the_arguments_have_the_abis_names() {
    let mut world = World::new();
    world.run(WINDOW_SECONDS + 5);
    let json = serde_json::to_value(&world.service.claims_data(AccountId(1))[0]).unwrap();
    assert_eq!((&json["state"], &json["batchId"]), (&"FINAL".into(), &1.into()), "{json:#}");
    let artifact: Value = serde_json::from_str(include_str!("../contracts/artifacts/Settlement.json")).unwrap();
    let function = artifact["abi"].as_array().unwrap().iter().find(|item| item["name"] == "claimFromBatch").unwrap();
    let arguments = json["arguments"].as_object().unwrap();
    assert_eq!(arguments.len(), function["inputs"].as_array().unwrap().len());
    for input in function["inputs"].as_array().unwrap() {
        let name = |component: &Value| component["name"].as_str().unwrap().to_owned();
        let mut expected: Vec<String> = input["components"].as_array().unwrap().iter().map(name).collect();
        expected.sort();
        assert_eq!(names(&arguments[input["name"].as_str().unwrap()]), expected, "{input}");
    }
    // What the data say is what the call's bytes say: the words that do not move.
    let call = decode_hex(json["call"].as_str().unwrap()).unwrap();
    let word = |index: usize| u64::from_be_bytes(call[4 + 32 * index + 24..4 + 32 * (index + 1)].try_into().unwrap());
    assert_eq!(word(1).to_string(), arguments["header"]["batchId"].as_str().unwrap());
    assert_eq!(word(16).to_string(), arguments["stamp"]["time"].as_str().unwrap());
    assert_eq!(word(17).to_string(), arguments["stamp"]["blockNumber"].as_str().unwrap());
    assert_eq!(word(22).to_string(), arguments["withdrawal"]["amount"].as_str().unwrap());
}
