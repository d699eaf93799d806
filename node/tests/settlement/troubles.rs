//! What settlement does when the chain falls silent, and when it contradicts the journal.

use lakh_settlement::contract::answer::Tip;
use serde_json::Value as Json;

use crate::chains::Embedded;
use crate::traders::Client;
use crate::venue::Venue;
use crate::wait_for;
use crate::world::{CASH, UNIT, World};

/// A venue on the embedded chain, with two traders who can trade.
pub(crate) fn begin(embedded: &Embedded) -> (World, Venue, [Client; 2]) {
    let world = World::deploy(&embedded.url());
    let venue = Venue::start(&world, 0);
    let clients = fund(&world, &venue);
    (world, venue, clients)
}

/// Two traders who can trade.
pub(crate) fn fund(world: &World, venue: &Venue) -> [Client; 2] {
    let keys = [1, 2].map(|number| venue.trader(number));
    world.fund(1, UNIT, 1_000);
    world.register_key(1, keys[0].public_key());
    world.fund(2, CASH, 10_000_000);
    world.register_key(2, keys[1].public_key());
    let [maker, taker] = keys;
    let mut clients = [(1, maker), (2, taker)].map(|(account, key)| Client::new(venue, account, key));
    clients.iter_mut().for_each(Client::activate);
    clients
}

pub(crate) fn trade([maker, taker]: &mut [Client; 2]) -> u64 {
    maker.place("SELL", 100, 1);
    taker.place("BUY", 100, 1);
    taker.last_sequence()
}

#[test]
fn a_silent_chain_stops_batches_and_not_trading_and_the_operator_is_told() {
    let mut embedded = Embedded::start();
    let (world, venue, mut clients) = begin(&embedded);
    let settled = trade(&mut clients);
    world.await_final(settled);
    let before = world.tip();
    embedded.fall_silent();
    let told = wait_for("the operator's news", || {
        trade(&mut clients);
        let health = venue.health();
        (health["settlement"]["state"] == "waiting").then_some(health)
    });
    let news = told["settlement"]["news"].as_str().unwrap();
    assert!(news.contains("the chain does not answer"), "{told}");
    assert_eq!(told["journal"], "running");
    let batches = wait_for("batches that wait", || {
        trade(&mut clients);
        let waiting = venue.health()["settlement"]["waitingBatches"].as_u64().unwrap();
        (waiting >= 2).then_some(waiting)
    });
    let last = trade(&mut clients);
    embedded.serve();
    let after: Tip = wait_for("the batches", || {
        let tip = world.tip();
        (tip.last_sequence >= last && tip.final_batch == tip.batch_id).then_some(tip)
    });
    assert!(after.batch_id >= before.batch_id + batches, "{before:?} {after:?}");
    wait_for("good news", || (venue.health()["settlement"]["state"] == "running").then_some(()));
    venue.stop();
    world.assert_posted_once();
}

#[test]
fn a_tip_that_contradicts_the_journal_closes_the_markets_but_for_cancels() {
    let embedded = Embedded::start();
    let (world, venue, mut clients) = begin(&embedded);
    let [maker, _] = &mut clients;
    assert!(maker.try_place("SELL", 100, 1, "resting")["error"].is_null());
    venue.stop();
    let kept = tempfile::tempdir().unwrap();
    copy(&venue.journal(), kept.path());
    venue.go_on();
    let settled = trade(&mut clients);
    world.await_final(settled);
    venue.stop();
    let tip = world.tip();

    // The journal loses its end, as if an old backup had been put in its place.
    std::fs::remove_dir_all(venue.journal()).unwrap();
    copy(kept.path(), &venue.journal());
    venue.go_on();
    let told = wait_for("the operator's news", || {
        let health = venue.health();
        (health["settlement"]["state"] == "stopped").then_some(health)
    });
    let news = told["settlement"]["news"].as_str().unwrap();
    assert!(news.contains(&format!("the chain has batch {}", tip.batch_id)), "{told}");
    let [maker, taker] = &mut clients;
    let refused = wait_for("the markets' end", || {
        let answer = taker.try_place("BUY", 100, 1, "late");
        (!answer["error"].is_null()).then_some(answer)
    });
    assert_eq!(refused["error"]["code"], -2010, "{refused}");
    let canceled = maker.cancel("resting");
    assert_eq!(canceled["status"], Json::from(200), "{canceled}");
    venue.stop();
    assert_eq!(world.tip(), tip, "nothing is posted any more");
}

/// Copies a journal that nobody writes, with what stands beside it.
pub(crate) fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
