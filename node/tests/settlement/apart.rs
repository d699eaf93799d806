//! Settlement as a process of its own: node and poster are killed and started again in any order, and nothing is lost, posted
//! twice or journaled twice.

use lakh_settlement::final_balances::BalancesProof;

use crate::chains::{on_anvil, on_embedded};
use crate::troubles::{fund, trade};
use crate::venue::Venue;
use crate::wait_for;
use crate::world::{CASH, UNIT, World};

fn state(venue: &Venue) -> String {
    venue.health()["settlement"]["state"].as_str().unwrap().to_owned()
}

/// Node and poster on a chain, each killed and started again before, behind and beside the other.
fn drill(url: &str) {
    let world = World::deploy(url);
    let venue = Venue::start_apart(&world);
    wait_for("news of nobody", || (state(&venue) == "away").then_some(()));
    let settler = venue.settle();
    let mut clients = fund(&world, &venue);
    world.await_final(trade(&mut clients));
    wait_for("good news", || (state(&venue) == "running").then_some(()));

    // The poster alone, with a withdrawal on its way.
    settler.kill();
    world.request_withdrawal(1, UNIT, 7);
    let traded = trade(&mut clients);
    wait_for("its absence", || (state(&venue) == "away").then_some(()));
    let settler = venue.settle();
    world.await_final(traded);

    // The node alone: what was decided goes on to the chain meanwhile.
    let traded = trade(&mut clients);
    venue.kill();
    world.request_withdrawal(2, CASH, 1_000);
    venue.go_on();
    world.await_final(traded);

    // Both, the poster first; then both, the node first.
    let traded = trade(&mut clients);
    venue.kill();
    settler.kill();
    let settler = venue.settle();
    venue.go_on();
    world.await_final(traded.max(trade(&mut clients)));
    let traded = trade(&mut clients);
    settler.kill();
    venue.kill();
    venue.go_on();
    let settler = venue.settle();
    world.await_final(traded.max(trade(&mut clients)));

    let proof = wait_for("a proof by way of the other process", || {
        let answer = clients[0].insist("account.proof", &[]);
        BalancesProof::from_json(&answer["result"].to_string())
    });
    assert!(proof.check().is_ok() && !proof.balances.is_empty());
    let (succeeded, said) =
        venue.run(&["settle", "--config", venue.write("other.toml", "[exchange]").to_str().unwrap()]);
    assert!(!succeeded && !said.is_empty());
    assert!(!venue.settle().end(), "there is one poster a journal");
    venue.stop();
    settler.kill();
    venue.assert_audited(url);
    world.assert_posted_once();
}

#[test]
fn node_and_poster_restart_in_any_order_on_the_embedded_chain() {
    on_embedded(drill);
}

#[test]
fn node_and_poster_restart_in_any_order_on_anvil() {
    on_anvil(drill);
}
