//! Money is conserved to the atom, holds are what the open orders need, and a refused command changes nothing: checked
//! after every one of many random commands, legal and not, over three accounts and two markets.

mod support;

use std::collections::BTreeMap;

use lakh_engine::event::Event;
use lakh_engine::reject::RejectCode;
use proptest::prelude::{Strategy as _, any, prop};
use support::audit::Auditor;
use support::random::{self, Random};
use support::{Options, Venue, told};

/// A venue whose traders are poor enough to run out of money, and its auditor who has seen all of it.
fn audited(deposit: u64) -> (Venue, Auditor) {
    let venue = Venue::with(Options { deposit, ..Options::default() });
    let mut auditor = Auditor::default();
    let mut replay = Venue::bare();
    for (now, command) in &venue.journal {
        replay.now = *now;
        let events = replay.apply(command);
        auditor.check(&replay.engine, &events);
    }
    (venue, auditor)
}

/// One random command, then everything is checked.
fn step(venue: &mut Venue, auditor: &mut Auditor, random: &mut Random) {
    venue.wait(random.below(100_000_000));
    let command = random::command(random, venue);
    let events = venue.apply(command);
    auditor.check(&venue.engine, &events);
}

#[test]
fn a_long_random_day_keeps_every_atom() {
    let mut random = Random(random::seed("money, a long day"));
    let (mut venue, mut auditor) = audited(60_000);
    let mut seen = BTreeMap::new();
    let mut codes = BTreeMap::new();
    for _ in 0..80_000 {
        step(&mut venue, &mut auditor, &mut random);
        for event in venue.last_events() {
            *seen.entry(told(&[*event]).split(' ').next().unwrap_or_default().to_owned()).or_insert(0) += 1;
            let code = match event {
                Event::Rejected(rejected) => Some(rejected.code),
                Event::ChainEntryConsumed { refused, .. } => *refused,
                _ => None,
            };
            if let Some(code) = code {
                *codes.entry(code).or_insert(0) += 1;
            }
        }
    }
    println!("{seen:?}\n{codes:?}\n{} queue entries, {} to nothing", auditor.consumed, auditor.refused);
    assert!(auditor.consumed > 1_000 && auditor.refused > 100, "the chain did too little");
    assert!(seen["returned"] > 20 && seen["batch"] > 20 && seen["withdrawal"] > 100 && seen["deposit"] > 100);
    assert!(codes[&RejectCode::WrongQueuePrefix] > 5 && codes[&RejectCode::WrongQueueId] > 5);
    for (kind, least) in [("trade", 2_000), ("rests", 2_000), ("canceled", 500), ("reduced", 100), ("fees", 20)] {
        assert!(seen[kind] > least, "only {} of {kind}: the mix proves little", seen[kind]);
    }
    assert!(codes[&RejectCode::InsufficientBalance] > 100, "nobody ever ran out of money");
}

#[test]
fn short_random_days_keep_every_atom() {
    let days = (1_000_u64..100_000, prop::collection::vec(any::<u64>(), 1..120)).prop_map(|day| day);
    let mut runner = random::runner("money, short days", 150);
    let outcome = runner.run(&days, |(deposit, rolls)| {
        let (mut venue, mut auditor) = audited(deposit);
        for roll in rolls {
            step(&mut venue, &mut auditor, &mut Random(roll));
        }
        Ok(())
    });
    outcome.expect("every short day keeps every atom");
}
