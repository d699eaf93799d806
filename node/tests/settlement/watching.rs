//! An operator who commits what his journal does not come to, and `lakh watch` as a process that finds it and vetoes.

use lakh_engine::ids::AccountId;
use lakh_engine::units::Atoms;
use lakh_settlement::batch::SealedBatch;
use lakh_settlement::chain::transaction::TransactionSigner;
use lakh_settlement::commitment::balances_root;
use lakh_settlement::diff::{self, LeafUpdate};
use lakh_settlement::follower::{Progress, Replica, Venue as Binding};
use lakh_settlement::keccak256;
use lakh_settlement::sum_tree::SumTree;
use lakh_settlement::typed_data::batch_digest;
use serde_json::Value as Json;

use crate::chains::{on_anvil, on_embedded};
use crate::troubles::{fund, trade};
use crate::venue::Venue;
use crate::wait_for;
use crate::world::{CASH, CHAIN_ID, HEADER_SECRET, World};

/// So long that nothing becomes final while the test looks.
const WINDOW_SECONDS: u64 = 3_600;
const DIFFERS: i32 = 2;

/// What the journal comes to next, but that account 1's money is account 9's: as large, and as solvent.
fn theft(venue: &Venue, binding: Binding) -> SealedBatch {
    let mut replica = Replica::open(&venue.journal(), binding).unwrap();
    let mut batches = Vec::new();
    while replica.advance(4_096, &mut batches).unwrap() == Progress::Behind {}
    let mut lie = replica.seal().unwrap().clone();
    let mut trees: Vec<SumTree> = lie.lines.iter().map(|_| SumTree::new()).collect();
    let mut take = |updates: &[LeafUpdate]| {
        updates.iter().for_each(|one| trees[usize::from(one.asset.0)].set(one.account, one.balance));
    };
    batches.iter().for_each(|batch| take(&diff::decode(&batch.data).unwrap()));
    let mut updates = diff::decode(&lie.data).unwrap();
    take(&updates);
    let stolen = trees[usize::from(CASH.0)].balance(AccountId(1));
    assert!(!stolen.is_zero(), "there is something to steal");
    updates.retain(|one| (one.account, one.asset) != (AccountId(1), CASH));
    for (account, balance) in [(1, Atoms(0)), (9, stolen)] {
        updates.push(LeafUpdate { account: AccountId(account), asset: CASH, balance });
    }
    updates.sort_unstable_by_key(|one| (one.account, one.asset));
    updates.iter().for_each(|one| trees[usize::from(one.asset.0)].set(one.account, one.balance));
    lie.data = diff::encode(&updates).unwrap();
    lie.lines.iter_mut().zip(&mut trees).for_each(|(line, tree)| line.tree = tree.root());
    (lie.header.new_root, lie.header.data_hash) = (balances_root(&lie.lines), keccak256(&lie.data));
    lie
}

fn drill(url: &str) {
    let world = World::deploy_with_window(url, WINDOW_SECONDS);
    let venue = Venue::start(&world, 0);
    let mut clients = fund(&world, &venue);
    let binding = Binding { chain_id: CHAIN_ID, contract: world.contract };
    let (contract, journal, key) = (world.contract.to_string(), venue.journal(), venue.watcher_key());
    let watch = |more: &[&str]| {
        let always = ["watch", "--once", "--json", "--chain", url, "--contract", &contract, "--patience", "0"];
        let (code, said) = venue.code(&[&always[..], more].concat());
        (
            code,
            serde_json::from_str::<Json>(said.lines().next().unwrap_or_default()).unwrap_or_else(|_| panic!("{said}")),
        )
    };
    let with_journal = ["--journal", journal.to_str().unwrap()];
    let with_key = [&with_journal[..], &["--key", key.to_str().unwrap()]].concat();
    let committed = |sequence| wait_for("the batch", || (world.tip().last_sequence >= sequence).then_some(()));

    committed(trade(&mut clients));
    venue.stop();
    let honest = world.tip();
    for more in [&with_journal[..], &[]] {
        let (code, said) = watch(more);
        assert_eq!(
            (code, &said["state"], &said["goodThrough"]),
            (0, &"good".into(), &honest.batch_id.into()),
            "{said}"
        );
    }

    let lie = theft(&venue, binding);
    let header_key = TransactionSigner::from_secret(&HEADER_SECRET).unwrap();
    let signature = header_key.sign_digest(batch_digest(binding, lie.header.hash()));
    world.send_from_operator(lie.calldata(signature));
    assert_eq!(world.tip().batch_id, honest.batch_id + 1, "the contract takes it: it conserves money");
    let (code, said) = watch(&with_journal);
    assert_eq!((code, &said["batchId"], &said["veto"]), (DIFFERS, &lie.header.batch_id.into(), &Json::Null), "{said}");
    assert_eq!(said["divergentSequence"], lie.header.first_sequence.0, "{said}");
    let (code, said) = watch(&with_key);
    assert!(code == DIFFERS && said["veto"].is_string(), "{said}");
    assert_eq!(world.tip(), honest, "vetoed");
    assert_eq!(watch(&with_key).0, 0, "nothing is left to veto");

    venue.go_on();
    committed(trade(&mut clients));
    let (code, said) = watch(&with_journal);
    assert_eq!((code, &said["goodThrough"]), (0, &world.tip().batch_id.into()), "{said}");
    venue.stop();
}

#[test]
fn a_lying_operator_is_vetoed_on_the_embedded_chain() {
    on_embedded(drill);
}

#[test]
fn a_lying_operator_is_vetoed_on_anvil() {
    on_anvil(drill);
}
