//! The journal for the public as it is without another word in the configuration: what final batches cover, no record more.

use lakh_engine::codec::split_payload;
use lakh_engine::command::Command;
use lakh_journal::JournalReader;

use crate::chains::Embedded;
use crate::troubles::{fund, trade};
use crate::venue::Venue;
use crate::wait_for;
use crate::world::World;

/// So long that nothing becomes final while the test looks.
const LONG_WINDOW_SECONDS: u64 = 3_600;

/// Fetches as anybody may; the last record that is shown.
fn shown(venue: &Venue) -> u64 {
    let mirror = venue.directory().join("mirror");
    let fetched =
        venue.lakh(&["journal", "fetch", "--json", "--from", &venue.watchers(), "--to", mirror.to_str().unwrap()]);
    fetched["lastSequence"].as_u64().unwrap()
}

/// The last record that a batch covers, by the venue's own journal.
fn covered_by(venue: &Venue, batch: u64) -> u64 {
    let mut reader = JournalReader::open(&venue.journal()).unwrap();
    let mut covered = 0;
    while let Some(record) = reader.next().unwrap() {
        if let (Command::BatchSealed(sealed), _) = split_payload(record.payload).unwrap()
            && sealed.batch_id <= batch
        {
            covered = sealed.last_sequence.0;
        }
    }
    covered
}

#[test]
fn the_public_is_shown_what_is_final_and_no_more() {
    let embedded = Embedded::start();
    let world = World::deploy(&embedded.url());
    let venue = Venue::start(&world, 0);
    let mut clients = fund(&world, &venue);
    let settled = trade(&mut clients);
    let (last, final_batch) = wait_for("the first trade in public", || {
        // A block is shown as a whole, so what comes behind has to become final, too.
        trade(&mut clients);
        let last = shown(&venue);
        let final_batch = venue.health()["settlement"]["finalBatch"].as_u64().unwrap();
        (last >= settled).then_some((last, final_batch))
    });
    let covered = covered_by(&venue, final_batch);
    assert!(last <= covered, "{last} is shown, and batch {final_batch} covers {covered}");
    let mirror = venue.directory().join("mirror");
    let replayed = venue.lakh(&["replay", "--json", mirror.to_str().unwrap()]);
    assert_eq!(replayed["records"], last);
    venue.stop();
}

#[test]
fn before_anything_is_final_the_public_is_shown_nothing() {
    let embedded = Embedded::start();
    let world = World::deploy_with_window(&embedded.url(), LONG_WINDOW_SECONDS);
    let venue = Venue::start(&world, 0);
    let mut clients = fund(&world, &venue);
    let settled = trade(&mut clients);
    wait_for("a batch on the chain", || {
        let status = &venue.health()["settlement"];
        let batch = status["chainBatch"].as_u64().unwrap();
        (covered_by(&venue, batch) >= settled).then_some(())
    });
    assert_eq!(shown(&venue), 0);
    venue.stop();
}
