//! Who remembers in which state the live engine was, and holds what comes out of the journal against it.

use std::collections::BTreeMap;
use std::path::Path;

use lakh_engine::Engine;
use lakh_engine::codec;
use lakh_engine::command::Command;
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, Sequence};
use lakh_engine::units::Timestamp;
use lakh_journal::JournalReader;

/// See the module.
#[derive(Default)]
pub(super) struct Witness {
    /// State hash and event digest of the live engine, by sequence. What a crash took is forgotten with it.
    states: BTreeMap<u64, ([u8; 32], [u8; 32])>,
    /// What was durable at the last crash.
    durable: u64,
    trades: u64,
    /// Of each asset, as the first look found it: nobody deposits or withdraws here.
    supplies: Option<Vec<u64>>,
}

impl Witness {
    /// Looks at the live engine.
    pub(super) fn look(&mut self, engine: &Engine) {
        let sequence = engine.sequence().0;
        if !self.states.contains_key(&sequence) {
            let supplies = conserved(engine);
            assert_eq!(*self.supplies.get_or_insert(supplies.clone()), supplies, "no money comes from nowhere");
            self.states.insert(sequence, (engine.state_hash(), engine.event_digest()));
        }
    }

    /// The exchange is gone; up to here its journal had said that it was durable.
    pub(super) fn crash(&mut self, durable: u64) {
        self.durable = self.durable.max(durable);
    }

    /// Goes through the journal that was found after a crash: the same states, nothing durable missing, and of each
    /// sequence what `told` knows of it.
    pub(super) fn examine(&mut self, journal: &Path, mut told: impl FnMut(u64, &Command)) {
        let mut reader = JournalReader::open(journal).unwrap();
        let mut engine = Engine::new();
        let mut events = Vec::new();
        self.trades = 0;
        while let Some(record) = reader.next().unwrap() {
            let sequence = record.header.sequence;
            let (command, _) = codec::split_payload(record.payload).unwrap();
            engine.apply(Sequence(sequence), Timestamp(record.header.timestamp_ns), &command, &mut events);
            self.trades += events.iter().filter(|event| matches!(event, Event::Trade(_))).count() as u64;
            if let Some((state_hash, event_digest)) = self.states.get(&sequence) {
                assert_eq!(*event_digest, engine.event_digest(), "events up to {sequence}");
                assert_eq!(*state_hash, engine.state_hash(), "state at {sequence}");
            }
            told(sequence, &command);
        }
        let last = engine.sequence().0;
        assert!(last >= self.durable, "{} was durable, the journal ends at {last}", self.durable);
        self.states.retain(|sequence, _| *sequence <= last);
    }

    /// At `async` power loss may take what was durable by that level's word.
    pub(super) fn last_sequence(&self) -> u64 {
        self.states.last_key_value().map_or(0, |(sequence, _)| *sequence)
    }

    pub(super) const fn trades(&self) -> u64 {
        self.trades
    }

    /// The last state that was seen.
    pub(super) fn last_state(&self) -> [u8; 32] {
        self.states.last_key_value().map_or([0; 32], |(_, (state_hash, _))| *state_hash)
    }
}

/// The supply of each asset, which all its balances together are, to the atom.
fn conserved(engine: &Engine) -> Vec<u64> {
    let of_asset = |index| {
        let asset = AssetId(u16::try_from(index).unwrap());
        let balances = (0..engine.account_count()).filter_map(|account| {
            let account = AccountId(u32::try_from(account).unwrap());
            engine.balance(account, asset)
        });
        let sum: u128 = balances.map(|balance| u128::from(balance.available.0) + u128::from(balance.held.0)).sum();
        let supply = engine.supply(asset).expect("it is listed").0;
        assert_eq!(sum, u128::from(supply), "asset {index} is conserved");
        supply
    };
    (0..engine.assets().len()).map(of_asset).collect()
}
