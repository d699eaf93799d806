//! Promises broken by a real venue: receipts that clients got over the public API and kept in files, and a journal that the
//! operator rewrote behind them.

use std::path::{Path, PathBuf};

use lakh_settlement::contract::answer;
use lakh_settlement::contract::exits;
use serde_json::Value as Json;

use crate::chains::Embedded;
use crate::proofs::receipt;
use crate::traders::Client;
use crate::troubles::{begin, copy, trade};
use crate::venue::Venue;
use crate::wait_for;
use crate::world::World;

/// The exit codes of `lakh receipt prove`.
const KEPT: i32 = 0;
const FAILED: i32 = 1;
const BROKEN: i32 = 2;
const OPEN: i32 = 3;

/// Trades that the operator takes back.
const TAKEN_BACK: usize = 3;

/// A venue whose operator has put an older journal in place of its own and gone on from there.
struct Rewritten {
    embedded: Embedded,
    world: World,
    venue: Venue,
    clients: [Client; 2],
    /// Of a record that stayed.
    kept: PathBuf,
    /// Of records that did not, with their places.
    broken: Vec<(u64, PathBuf)>,
}

impl Rewritten {
    fn new() -> Self {
        let mut embedded = Embedded::start();
        let (world, venue, mut clients) = begin(&embedded);
        let settled = trade(&mut clients);
        let kept = keep(&venue, &mut clients[1], settled, "kept.json").expect("the taker's own order");
        world.await_final(settled);
        venue.stop();
        let older = tempfile::tempdir().unwrap();
        copy(&venue.journal(), older.path());

        // Nothing of what comes now gets to the chain, and all of it is promised.
        embedded.fall_silent();
        venue.go_on();
        let mut broken = Vec::new();
        for number in 0..TAKEN_BACK {
            let sequence = trade(&mut clients);
            let file = keep(&venue, &mut clients[1], sequence, &format!("broken-{number}.json"));
            broken.push((sequence, file.expect("the taker's own order")));
        }
        venue.kill();
        std::fs::remove_dir_all(venue.journal()).unwrap();
        copy(older.path(), &venue.journal());
        embedded.serve();
        venue.go_on();
        Self { embedded, world, venue, clients, kept, broken }
    }

    /// Goes on until the chain has something else, for good, wherever something was promised.
    fn settle_something_else(&mut self) {
        let (last, _) = *self.broken.last().unwrap();
        let mut settled = 0;
        while settled <= last {
            settled = trade(&mut self.clients);
        }
        self.world.await_final(settled);
    }

    /// Holds a receipt against something; the exit code, and what was printed.
    fn prove(&self, file: &Path, against: &[&str]) -> (i32, String) {
        let (chain, contract) = (self.world.url.clone(), self.world.contract.to_string());
        let venue = ["--chain", &chain, "--contract", &contract];
        self.venue.code(&[&["receipt", "prove", file.to_str().unwrap()], &venue[..], against].concat())
    }

    fn is_frozen(&self) -> bool {
        answer::number(&self.world.ask(exits::frozen())) == Some(1)
    }
}

/// Asks for a receipt of an own record and keeps it in a file; `None` where it is no record of this client's.
fn keep(venue: &Venue, client: &mut Client, sequence: u64, name: &str) -> Option<PathBuf> {
    let answer = receipt(client, "sequence", sequence);
    (answer["error"].is_null()).then(|| venue.write(name, &answer["result"].to_string()))
}

#[test]
fn a_receipt_freezes_a_venue_that_settled_another_journal_and_an_honest_one_does_not() {
    let mut rewritten = Rewritten::new();
    let own_journal = rewritten.venue.journal();
    let (sequence, broken) = rewritten.broken[0].clone();
    let (code, said) = rewritten.prove(&broken, &["--journal", own_journal.to_str().unwrap()]);
    assert!(code == OPEN && said.contains("no batch covers record"), "{code} {said}");
    rewritten.settle_something_else();

    // As anybody: the journal that the public is shown.
    let mirror = rewritten.venue.directory().join("mirror");
    let (mirror, watchers) = (mirror.to_str().unwrap().to_owned(), rewritten.venue.watchers());
    let held_against = ["--journal", mirror.as_str()];
    let (code, said) = wait_for("the batch's records in public", || {
        rewritten.venue.lakh(&["journal", "fetch", "--json", "--from", &watchers, "--to", &mirror]);
        let judged = rewritten.prove(&broken, &held_against);
        // A block is shown as a whole, so what comes behind has to become final, too.
        trade(&mut rewritten.clients);
        (judged.0 != OPEN).then_some(judged)
    });
    assert!(code == BROKEN && said.contains(&format!("record {sequence} was to be")), "{code} {said}");
    assert!(said.contains("to freeze the venue, send to 0x") && !rewritten.is_frozen(), "{said}");

    let key = rewritten.venue.watcher_key();
    let send = ["--send", key.to_str().unwrap()];
    let (code, said) = rewritten.prove(&rewritten.kept, &[&held_against[..], &send].concat());
    assert!(code == KEPT && said.contains("is what was promised"), "{code} {said}");
    let forged = std::fs::read_to_string(&broken).unwrap().replace("\"epoch\":", "\"epoch\":1");
    let forged = rewritten.venue.write("forged.json", &forged);
    let (code, said) = rewritten.prove(&forged, &[&held_against[..], &send].concat());
    assert!(code == FAILED && said.contains("no header key of the venue"), "{code} {said}");
    assert!(!rewritten.is_frozen(), "nothing was sent");

    let (code, said) = rewritten.prove(&broken, &[&held_against[..], &send, &["--json"]].concat());
    let said: Json = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((code, &said["state"], &said["sequence"]), (BROKEN, &Json::from("broken"), &Json::from(sequence)));
    assert!(rewritten.is_frozen() && said["transaction"].is_string(), "{said}");
    let news = wait_for("the operator's news", || {
        trade(&mut rewritten.clients);
        let health = rewritten.venue.health();
        health["settlement"]["news"].as_str().filter(|news| news.contains("rozen")).map(str::to_owned)
    });
    println!("the operator reads: {news}");
    rewritten.venue.kill();
    drop(rewritten.embedded);
}

#[test]
fn two_receipts_of_one_place_freeze_a_venue_without_journal_and_batch() {
    let mut rewritten = Rewritten::new();
    let (last, _) = *rewritten.broken.last().unwrap();
    while trade(&mut rewritten.clients) <= last {}
    // Whoever has the records that stand there now is promised those places, too.
    let mut again = Vec::new();
    for (sequence, before) in rewritten.broken.clone() {
        for client in 0..rewritten.clients.len() {
            let (venue, client) = (&rewritten.venue, &mut rewritten.clients[client]);
            let after = keep(venue, client, sequence, &format!("again-{sequence}.json"));
            again.extend(after.map(|after| (before.clone(), after)));
        }
    }
    let (before, after) = again.first().expect("a trader's order stands where another one stood").clone();
    let key = rewritten.venue.watcher_key();
    let send = ["--send", key.to_str().unwrap()];
    let (code, said) = rewritten.prove(&before, &[&["--against", before.to_str().unwrap()], &send[..]].concat());
    assert!(code == KEPT && !rewritten.is_frozen(), "{code} {said}");
    let (code, said) =
        rewritten.prove(&before, &[&["--against", rewritten.kept.to_str().unwrap()], &send[..]].concat());
    assert!(code == FAILED && said.contains("that is no contradiction") && !rewritten.is_frozen(), "{code} {said}");
    let (code, said) = rewritten.prove(&before, &[&["--against", after.to_str().unwrap()], &send[..]].concat());
    assert!(code == BROKEN && said.contains("the venue is frozen by 0x") && rewritten.is_frozen(), "{code} {said}");
    rewritten.venue.kill();
    drop(rewritten.embedded);
}
