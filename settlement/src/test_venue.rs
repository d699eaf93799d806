//! What the tests of replay, poster, watcher and service share: an embedded chain with the real contracts, and a venue of
//! journal and engine whose sequencer is the test itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lakh_engine::Engine;
use lakh_engine::codec;
use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, Capacities, ChainEntry, ChainEntryKind, Command, Epoch, EvidenceGrade,
    Genesis, MarketState, Mode, Operation, PlaceOrder, ReplayGuard, Side, SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, KeyId, MarketId, Reason, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};
use lakh_journal::{Durability, JournalOptions, JournalWriter, RecordHeader};

use crate::batch::SealedBatch;
use crate::blobs::Blob;
use crate::chain::embedded::{self, BlockClock, EmbeddedChain};
use crate::chain::transaction::{Transaction, TransactionSigner};
use crate::chain::{
    Address, Block, BlockTag, Call, Chain, ChainError, Fees, Log, LogFilter, NonceAt, Receipt, Sent, TransactionStatus,
};
use crate::commitment::Stamp;
use crate::contract::{self, answer, deploy};
use crate::follower::{Replica, Venue};
use crate::keccak::Hash;
use crate::poster::{DataRoute, PosterKeys, PosterOptions};

pub(crate) const CHAIN_ID: u64 = 31_337;
pub(crate) const START_SECONDS: u64 = 1_800_000_000;
/// Both assets' tokens have this many units in an atom.
pub(crate) const SCALE: u64 = 10;
pub(crate) const WINDOW_SECONDS: u64 = 30;

/// The poster's key.
pub(crate) fn operator() -> TransactionSigner {
    TransactionSigner::from_secret(&[1; 32]).unwrap()
}

/// The poster's key and the header key.
pub(crate) fn keys() -> PosterKeys {
    PosterKeys { poster: operator(), header: TransactionSigner::from_secret(&[2; 32]).unwrap() }
}

/// A trader's key on the chain.
pub(crate) fn user(number: u16) -> TransactionSigner {
    let mut secret = [10; 32];
    secret[30..].copy_from_slice(&number.to_be_bytes());
    TransactionSigner::from_secret(&secret).unwrap()
}

/// An embedded chain with the contracts and two tokens.
pub(crate) struct TestChain {
    pub(crate) chain: EmbeddedChain,
    pub(crate) clock: Arc<AtomicU64>,
    pub(crate) venue: Venue,
    pub(crate) tokens: [Address; 2],
    /// How batches are posted on it.
    pub(crate) data: DataRoute,
    vault: Address,
}

impl TestChain {
    pub(crate) fn new() -> Self {
        Self::with_owners(4)
    }

    /// With so many owners of accounts who have ether.
    pub(crate) fn with_owners(owners: u16) -> Self {
        let clock = Arc::new(AtomicU64::new(START_SECONDS));
        let ether = 1_000_000_000_000_000_000_000;
        let mut accounts = vec![(operator().address(), ether)];
        accounts.extend((0..=owners).map(|number| (user(number).address(), ether)));
        let genesis = embedded::Genesis { chain_id: CHAIN_ID, accounts };
        let chain = EmbeddedChain::open(None, &genesis, BlockClock::Manual(Arc::clone(&clock))).unwrap();
        let administrator = user(0);
        let setup = deploy::Setup {
            operator: operator().address(),
            signer: keys().header.address(),
            window_seconds: WINDOW_SECONDS,
            ..deploy::Setup::in_one_hand(administrator.address())
        };
        let contract = create(&chain, &administrator, deploy::settlement(&setup));
        let tokens = ["BTC", "USD"].map(|name| create(&chain, &administrator, deploy::demo_token(name, name, 8)));
        let venue = Venue { chain_id: CHAIN_ID, contract };
        let (data, vault) = (DataRoute::Calldata, Address::default());
        let mut test = Self { chain, clock, venue, tokens, data, vault };
        test.vault = answer::address(&test.ask(contract, contract::vault())).unwrap();
        for token in tokens {
            test.send(&administrator, contract, contract::list_asset(token, SCALE, 1, 1 << 60));
        }
        test
    }

    /// The same, with batches posted on that route.
    pub(crate) fn on(mut self, data: DataRoute) -> Self {
        self.data = data;
        self
    }

    pub(crate) fn ask(&self, to: Address, data: Vec<u8>) -> Vec<u8> {
        let call = Call::question(to, data);
        self.chain.call(&call, BlockTag::Latest).unwrap()
    }

    /// Sends and gives whether it did what it was to do.
    pub(crate) fn try_send(&self, signer: &TransactionSigner, to: Address, data: Vec<u8>) -> TransactionStatus {
        let hash = send(&self.chain, signer, Some(to), data);
        self.chain.receipt(hash).unwrap().unwrap().status
    }

    pub(crate) fn send(&self, signer: &TransactionSigner, to: Address, data: Vec<u8>) {
        assert_eq!(self.try_send(signer, to, data), TransactionStatus::Succeeded);
    }

    /// Lists one more asset; its token.
    pub(crate) fn list_another(&self) -> Address {
        let token = create(&self.chain, &user(0), deploy::demo_token("OTHER", "OTHER", 8));
        self.send(&user(0), self.venue.contract, contract::list_asset(token, SCALE, 1, 1 << 60));
        token
    }

    /// Mints, approves and deposits atoms.
    pub(crate) fn deposit(&self, number: u16, asset: u16, atoms: u64) {
        let (signer, units) = (user(number), u128::from(atoms) * u128::from(SCALE));
        let token = self.tokens[usize::from(asset)];
        self.send(&signer, token, contract::mint(signer.address(), units));
        self.send(&signer, token, contract::approve(self.vault, units));
        self.send(&signer, self.venue.contract, contract::deposit(AssetId(asset), units));
    }

    pub(crate) fn token_balance(&self, number: u16, asset: u16) -> u128 {
        let owner = user(number).address();
        answer::large_number(&self.ask(self.tokens[usize::from(asset)], contract::balance_of(owner))).unwrap()
    }

    pub(crate) fn vault_balance(&self, asset: u16) -> u128 {
        let token = self.tokens[usize::from(asset)];
        answer::large_number(&self.ask(token, contract::balance_of(self.vault))).unwrap()
    }

    pub(crate) fn tip(&self) -> answer::Tip {
        answer::Tip::decode(&self.ask(self.venue.contract, contract::tip())).unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.clock.load(Ordering::SeqCst) * 1_000_000_000)
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn poster_options(&self, directory: &std::path::Path) -> PosterOptions {
        PosterOptions {
            venue: self.venue,
            first_block: 0,
            confirmations: 0,
            attempts_file: Some(directory.join("attempts")),
            data: self.data,
        }
    }
}

fn send(chain: &EmbeddedChain, signer: &TransactionSigner, to: Option<Address>, data: Vec<u8>) -> Hash {
    let transaction = Transaction {
        chain_id: CHAIN_ID,
        nonce: chain.nonce(signer.address(), NonceAt::Latest).unwrap(),
        max_priority_fee_per_gas_wei: 1,
        max_fee_per_gas_wei: 2_000_000_000,
        gas_limit: 16_000_000,
        to,
        value_wei: 0,
        data,
        blobs: None,
    };
    chain.send_raw_transaction(&signer.sign(&transaction).raw).unwrap()
}

fn create(chain: &EmbeddedChain, signer: &TransactionSigner, code: Vec<u8>) -> Address {
    let nonce = chain.nonce(signer.address(), NonceAt::Latest).unwrap();
    let hash = send(chain, signer, None, code);
    let receipt = chain.receipt(hash).unwrap().unwrap();
    assert_eq!(receipt.status, TransactionStatus::Succeeded);
    assert_eq!(receipt.contract_address, Some(deploy::created_address(signer.address(), nonce)));
    receipt.contract_address.unwrap()
}

/// What becomes of logs on their way.
pub(crate) type ChangeLogs = dyn Fn(&mut Vec<Log>) + Send + Sync;

/// A node that changes what the chain says, or does not have a blob.
pub(crate) struct Liar<'a> {
    pub(crate) chain: &'a dyn Chain,
    pub(crate) change: Box<ChangeLogs>,
    pub(crate) without_blob: Option<Hash>,
}

impl<'a> Liar<'a> {
    /// Honest but for a blob that it does not have.
    pub(crate) fn without_blob(chain: &'a dyn Chain, hash: Hash) -> Self {
        Self { chain, change: Box::new(|_| {}), without_blob: Some(hash) }
    }
}

impl Chain for Liar<'_> {
    fn chain_id(&self) -> Result<u64, ChainError> {
        self.chain.chain_id()
    }
    fn block(&self, at: BlockTag) -> Result<Option<Block>, ChainError> {
        self.chain.block(at)
    }
    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        let mut logs = self.chain.logs(filter)?;
        (self.change)(&mut logs);
        Ok(logs)
    }
    fn call(&self, call: &Call, at: BlockTag) -> Result<Vec<u8>, ChainError> {
        self.chain.call(call, at)
    }
    fn estimate_gas(&self, call: &Call) -> Result<u64, ChainError> {
        self.chain.estimate_gas(call)
    }
    fn nonce(&self, address: Address, at: NonceAt) -> Result<u64, ChainError> {
        self.chain.nonce(address, at)
    }
    fn send_raw_transaction(&self, raw: &[u8]) -> Result<Hash, ChainError> {
        self.chain.send_raw_transaction(raw)
    }
    fn receipt(&self, hash: Hash) -> Result<Option<Receipt>, ChainError> {
        self.chain.receipt(hash)
    }
    fn sent(&self, hash: Hash) -> Result<Option<Sent>, ChainError> {
        self.chain.sent(hash)
    }
    fn blob(&self, hash: Hash, block: &Stamp) -> Result<Option<Blob>, ChainError> {
        if self.without_blob == Some(hash) { Ok(None) } else { self.chain.blob(hash, block) }
    }
    fn blob_base_fee(&self) -> Result<Option<u128>, ChainError> {
        self.chain.blob_base_fee()
    }
    fn fees(&self) -> Result<Fees, ChainError> {
        self.chain.fees()
    }
    fn balance(&self, address: Address) -> Result<u128, ChainError> {
        self.chain.balance(address)
    }
    fn code(&self, address: Address) -> Result<Vec<u8>, ChainError> {
        self.chain.code(address)
    }
}

/// Journal and engine, sequenced by hand.
pub(crate) struct TestVenue {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) engine: Engine,
    writer: Option<JournalWriter>,
    venue: Venue,
    nonce: u64,
}

impl TestVenue {
    /// A venue with two assets and an open market, bound to a contract, before its first deposit.
    pub(crate) fn new(venue: Venue, now: Timestamp) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut test = Self { writer: None, directory, engine: Engine::new(), venue, nonce: 0 };
        test.open_journal();
        test.submit(&test.genesis(), now);
        for (asset, symbol) in [(AssetId(0), "BTC"), (AssetId(1), "USD")] {
            let symbol = Symbol::new(symbol).unwrap();
            test.admin(
                AdminAction::ListAsset(AssetSpec { asset, symbol, decimals: 2, chain_units_per_atom: SCALE }),
                now,
            );
        }
        test.admin(AdminAction::ListMarket(market()), now);
        test.admin(AdminAction::SetMarketState { market: MarketId(0), state: MarketState::Open }, now);
        test.submit(&Command::Epoch(Epoch { epoch: 1, software: Reason::EMPTY }), now);
        test
    }

    fn genesis(&self) -> Command {
        let settlement = self.venue.binding();
        Command::Genesis(Genesis {
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
        })
    }

    fn open_journal(&mut self) {
        self.writer = None;
        let options = JournalOptions {
            durability: Durability::Async,
            segment_bytes: 1 << 20,
            ring_bytes: 64 * 1024,
            ..JournalOptions::new(self.directory.path(), [7; 16])
        };
        self.writer = Some(lakh_journal::open(options).unwrap().0);
    }

    /// Ends the journal's epoch and begins another, as a start of the node does.
    pub(crate) fn restart(&mut self) {
        self.open_journal();
    }

    pub(crate) fn admin(&mut self, action: AdminAction, now: Timestamp) {
        let command = AdminCommand { authority: AdminAuthority::Genesis, action, reason: Reason::EMPTY };
        self.submit(&Command::Admin(command), now);
    }

    /// Journals and applies a command; durable when it returns.
    pub(crate) fn submit(&mut self, command: &Command, now: Timestamp) -> Vec<Event> {
        let sequence = lakh_engine::ids::Sequence(self.engine.sequence().0 + 1);
        let timestamp = now.max(self.engine.now());
        let mut payload = Vec::new();
        codec::encode_payload(command, &[], &mut payload);
        let header = RecordHeader {
            sequence: sequence.0,
            timestamp_ns: timestamp.0,
            kind: command.kind(),
            schema_version: codec::SCHEMA_VERSION,
            flags: 0,
            account: command.account().0,
        };
        let writer = self.writer.as_mut().unwrap();
        writer.append(header, &payload).unwrap();
        writer.publish();
        assert!(writer.watch().wait_for(sequence.0, Duration::from_secs(20)));
        let mut events = Vec::new();
        self.engine.apply(sequence, timestamp, command, &mut events);
        events
    }

    /// The next entry of a queue that no chain holds.
    pub(crate) fn entry(&self, kind: ChainEntryKind, account: u32, asset: u16, amount: u64) -> ChainEntry {
        let mut extra = [0; 32];
        match kind {
            ChainEntryKind::Deposit => extra[31] = u8::try_from(account).unwrap(),
            ChainEntryKind::RegisterKey | ChainEntryKind::RevokeKey => extra = [u8::try_from(account).unwrap(); 32],
            ChainEntryKind::Withdrawal | ChainEntryKind::ForcedWithdrawal => {}
        }
        let entry = ChainEntry {
            queue_id: self.engine.last_queue_id() + 1,
            kind,
            account: AccountId(account),
            asset: AssetId(asset),
            amount: Atoms(amount),
            extra,
            time_seconds: START_SECONDS,
            prefix: [0; 32],
        };
        ChainEntry { prefix: entry.prefix_after(&self.engine.last_queue_prefix()), ..entry }
    }

    /// A trader's request, with the next nonce.
    pub(crate) fn sign(&mut self, account: u32, key: u32, operation: Operation, now: Timestamp) -> Vec<Event> {
        self.nonce += 1;
        let command = SignedCommand {
            account: AccountId(account),
            key: KeyId(key),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce: self.nonce },
            valid_until: Timestamp::ZERO,
            operation,
        };
        self.submit(&Command::Signed(command), now)
    }
}

/// Batches of a venue in which nothing happens but that time passes, each decided on.
pub(crate) fn sealed_batches(venue: Venue, count: usize) -> Vec<SealedBatch> {
    let now = Timestamp(START_SECONDS * 1_000_000_000);
    let mut test = TestVenue::new(venue, now);
    let mut batches = Vec::new();
    let mut replica = Replica::open(test.directory.path(), venue).unwrap();
    for _ in 0..count {
        test.submit(&Command::AdvanceTime, now);
        replica.advance(1_000, &mut batches).unwrap();
        let decision = replica.seal().unwrap().command();
        test.submit(&Command::BatchSealed(decision), now);
        replica.advance(1_000, &mut batches).unwrap();
    }
    assert_eq!(batches.len(), count);
    batches
}

/// An order of the test market, where a lot at a tick is one atom of each asset.
pub(crate) fn order(side: Side, price: u64, quantity: u64) -> Operation {
    Operation::PlaceOrder(PlaceOrder::limit(MarketId(0), side, Ticks(price), Lots(quantity)))
}

fn market() -> MarketSpec {
    MarketSpec {
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
    }
}
