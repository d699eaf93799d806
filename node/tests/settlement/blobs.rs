//! A node that posts its batches in blobs, and everybody who reads them back as a process: watcher, escape, audit.

use crate::chains::{on_anvil, on_embedded};
use crate::troubles::{fund, trade};
use crate::venue::Venue;
use crate::world::World;

fn drill(url: &str) {
    let world = World::deploy(url);
    let venue = Venue::start_with(&world, "data = \"cheapest\"");
    let mut clients = fund(&world, &venue);
    world.await_final(trade(&mut clients));
    venue.kill_and_go_on();
    world.await_final(trade(&mut clients));
    venue.stop();
    world.assert_posted_once();
    let blobs = world.blobs_of_batches();
    assert!(blobs.len() >= 2 && blobs.iter().all(|count| *count == 1), "each batch in a blob: {blobs:?}");

    let contract = world.contract.to_string();
    let chain = ["--json", "--chain", url, "--contract", &contract];
    let journal = venue.journal();
    for more in [&["--journal", journal.to_str().unwrap()][..], &[], &["--blobs", url]] {
        let (code, said) = venue.code(&[&["watch", "--once"], &chain[..], more].concat());
        assert!(code == 0 && said.contains("good"), "{more:?}: {said}");
    }
    let (succeeded, said) = venue.run(&["escape", "--chain", url, "--contract", &contract]);
    let last = world.tip().final_batch;
    let told = format!("batch {last} is the last final one; its root follows from the data since batch 1");
    assert!(succeeded && said.contains(&told), "every balance from blobs alone: {said}");
    venue.assert_audited(url);
}

#[test]
fn a_venue_in_blobs_is_watched_left_and_audited_on_the_embedded_chain() {
    on_embedded(drill);
}

#[test]
fn a_venue_in_blobs_is_watched_left_and_audited_on_anvil() {
    on_anvil(drill);
}
