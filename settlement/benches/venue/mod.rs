//! A venue of journal and engine with funded accounts, whose sequencer is the bench itself.

use std::path::Path;
use std::time::Duration;

use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, Capacities, ChainEntry, ChainEntryKind, Command, Epoch, EvidenceGrade,
    Genesis, MarketState, Mode, Operation, PlaceOrder, ReplayGuard, Side, SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, Reason, Sequence, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use lakh_engine::{Engine, codec};
use lakh_journal::{Durability, DurabilityWatch, JournalOptions, JournalWriter, RECORD_HEADER_BYTES, RecordHeader};
use lakh_settlement::chain::Address;
use lakh_settlement::follower::Venue;

/// The contract that nobody asks here.
pub(crate) const VENUE: Venue = Venue { chain_id: 31_337, contract: Address([0xc0; 20]) };
/// Accounts that trade.
const ACCOUNTS: u32 = 500;
const NOW_SECONDS: u64 = 1_800_000_000;
const NOW: Timestamp = Timestamp(NOW_SECONDS * 1_000_000_000);
/// What stands behind an order of the binary face: kind, template and length, the body, key and signature.
pub(crate) const BINARY_EVIDENCE: &[u8] = &[0x5a; 5 + 98 + 96];
/// Room for all orders of a run, so that nobody waits for the disk.
const RING_BYTES: usize = 1 << 28;

/// See the module.
pub(crate) struct BenchVenue {
    engine: Engine,
    /// In front of its directory, which could not be removed while threads of its own write into it.
    writer: Option<JournalWriter>,
    pub(crate) directory: tempfile::TempDir,
    evidence: &'static [u8],
    payload: Vec<u8>,
    events: Vec<Event>,
}

impl BenchVenue {
    /// With an open market and funded accounts, each with a live key, whose orders have this evidence behind them.
    pub(crate) fn new(base: &Path, evidence: &'static [u8]) -> Self {
        let directory = tempfile::tempdir_in(base).unwrap();
        let options = JournalOptions {
            durability: Durability::Async,
            segment_bytes: 64 << 20,
            ring_bytes: RING_BYTES,
            ..JournalOptions::new(directory.path(), [7; 16])
        };
        let writer = Some(lakh_journal::open(options).unwrap().0);
        let events = Vec::with_capacity(Engine::MAX_EVENTS);
        let mut venue = Self { directory, engine: Engine::new(), writer, evidence, payload: Vec::new(), events };
        venue.list();
        venue.fund();
        let watch = venue.watch();
        assert!(watch.wait_for(venue.sequence(), Duration::from_secs(60)));
        venue
    }

    /// The last record.
    pub(crate) fn sequence(&self) -> u64 {
        self.engine.sequence().0
    }

    /// Bytes of the last record.
    pub(crate) fn record_bytes(&self) -> usize {
        RECORD_HEADER_BYTES + self.payload.len()
    }

    /// How far the journal is.
    pub(crate) fn watch(&self) -> DurabilityWatch {
        self.writer.as_ref().unwrap().watch()
    }

    /// Closes the journal.
    pub(crate) fn close(&mut self) {
        self.writer.take().unwrap().close().unwrap();
    }

    /// Journals and applies order `number`: an ask that rests, then a bid of the next account that takes it.
    pub(crate) fn order(&mut self, number: u64) {
        let account = 1 + u32::try_from(number % u64::from(ACCOUNTS)).unwrap();
        let side = if number.is_multiple_of(2) { Side::Ask } else { Side::Bid };
        let price = Ticks(100 + number / 2 % 8);
        let command = Command::Signed(SignedCommand {
            account: AccountId(account),
            key: KeyId(account),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce: 2 + number / u64::from(ACCOUNTS) },
            valid_until: Timestamp::ZERO,
            operation: Operation::PlaceOrder(PlaceOrder::limit(MarketId(0), side, price, Lots(1))),
        });
        self.submit(&command, self.evidence);
        debug_assert!(side == Side::Ask || self.events.iter().any(|event| matches!(event, Event::Trade(_))));
    }

    fn submit(&mut self, command: &Command, evidence: &[u8]) {
        let sequence = Sequence(self.engine.sequence().0 + 1);
        self.payload.clear();
        codec::encode_payload(command, evidence, &mut self.payload);
        let header = RecordHeader {
            sequence: sequence.0,
            timestamp_ns: NOW.0,
            kind: command.kind(),
            schema_version: codec::SCHEMA_VERSION,
            flags: 0,
            account: command.account().0,
        };
        let writer = self.writer.as_mut().unwrap();
        while writer.append(header, &self.payload).is_err() {
            // The ring is full: the durability thread is behind.
            writer.publish();
            std::thread::yield_now();
        }
        writer.publish();
        self.engine.apply(sequence, NOW, command, &mut self.events);
    }

    fn list(&mut self) {
        let settlement = VENUE.binding();
        self.submit(
            &Command::Genesis(Genesis {
                exchange_id: [7; 16],
                venue_tag: settlement.venue_tag(),
                mode: Mode::Dev,
                hash_seed: 1,
                capacities: Capacities {
                    accounts: 1_024,
                    assets: 4,
                    markets: 2,
                    keys: 1_024,
                    digests: 4_096,
                    agenda: 4,
                    digests_per_key: 2,
                },
                role_keys: [[0; 32]; Genesis::ROLES],
                fee_notice_s: 0,
                share_parts: 1,
                settlement,
            }),
            &[],
        );
        for (asset, symbol) in [(AssetId(0), "BTC"), (AssetId(1), "USD")] {
            let symbol = Symbol::new(symbol).unwrap();
            self.admin(AdminAction::ListAsset(AssetSpec { asset, symbol, decimals: 2, chain_units_per_atom: 10 }));
        }
        self.admin(AdminAction::ListMarket(MarketSpec {
            market: MarketId(0),
            symbol: Symbol::new("BTCUSD").unwrap(),
            base: AssetId(0),
            quote: AssetId(1),
            tick_size_e8: 100_000_000,
            base_atoms_per_lot: 1,
            quote_atoms_per_tick_lot: 1,
            max_price: Ticks(100_000),
            min_quantity: Lots(1),
            max_quantity: Lots(10_000),
            min_notional: Atoms(1),
            market_order_band: 50_000,
            maker_fee: FeeRate(1_000),
            taker_fee: FeeRate(2_000),
            max_orders: 64,
            max_levels: 32,
        }));
        self.admin(AdminAction::SetMarketState { market: MarketId(0), state: MarketState::Open });
        self.submit(&Command::Epoch(Epoch { epoch: 1, software: Reason::EMPTY }), &[]);
    }

    fn admin(&mut self, action: AdminAction) {
        let command = AdminCommand { authority: AdminAuthority::Genesis, action, reason: Reason::EMPTY };
        self.submit(&Command::Admin(command), &[]);
    }

    fn fund(&mut self) {
        for account in 1..=ACCOUNTS {
            for (kind, asset, amount) in [
                (ChainEntryKind::Deposit, 0, 1 << 40),
                (ChainEntryKind::Deposit, 1, 1 << 40),
                (ChainEntryKind::RegisterKey, 0, 0),
            ] {
                let entry = self.entry(kind, account, asset, amount);
                self.submit(&Command::ChainEntry(entry), &[]);
            }
            let command = Command::Signed(SignedCommand {
                account: AccountId(account),
                key: KeyId(account),
                grade: EvidenceGrade::Native,
                replay_guard: ReplayGuard::Nonce { nonce: 1 },
                valid_until: Timestamp::ZERO,
                operation: Operation::ActivateKey,
            });
            self.submit(&command, &[]);
        }
    }

    /// The next entry of a queue that no chain holds.
    fn entry(&self, kind: ChainEntryKind, account: u32, asset: u16, amount: u64) -> ChainEntry {
        let mut extra = [0; 32];
        extra[28..].copy_from_slice(&account.to_be_bytes());
        let entry = ChainEntry {
            queue_id: self.engine.last_queue_id() + 1,
            kind,
            account: AccountId(account),
            asset: AssetId(asset),
            amount: Atoms(amount),
            extra,
            time_seconds: NOW_SECONDS,
            prefix: [0; 32],
        };
        ChainEntry { prefix: entry.prefix_after(&self.engine.last_queue_prefix()), ..entry }
    }
}
