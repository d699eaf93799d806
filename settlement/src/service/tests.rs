//! The whole way, by hand and in virtual time: deposit, key, trade, withdrawal, batch, final, claim.

use lakh_engine::command::{Operation, Side};
use lakh_engine::event::Event;
use lakh_engine::ids::AssetId;

use super::*;
use crate::blobs::Blob;
use crate::chain::{Address, Block, BlockTag, Call, ChainError, Fees, Log, LogFilter, NonceAt, Receipt, Sent};
use crate::contract;
use crate::poster::DataRoute;
use crate::test_venue::{SCALE, TestChain, TestVenue, WINDOW_SECONDS, keys, operator, order, user};

/// Chain, venue and its settlement, stepped together.
struct World {
    chain: TestChain,
    venue: TestVenue,
    service: SettlementService,
    warnings: Vec<String>,
    closed: Vec<String>,
}

fn open(chain: &TestChain, venue: &TestVenue, connection: Box<dyn Chain>) -> SettlementService {
    let directory = venue.directory.path();
    let options = ServiceOptions::new(directory, chain.poster_options(directory));
    SettlementService::open(options, connection, keys()).unwrap()
}

impl World {
    fn new() -> Self {
        Self::on(DataRoute::Calldata)
    }

    fn on(data: DataRoute) -> Self {
        let chain = TestChain::new().on(data);
        let venue = TestVenue::new(chain.venue, chain.now());
        let service = open(&chain, &venue, Box::new(chain.chain.clone()));
        Self { chain, venue, service, warnings: Vec::new(), closed: Vec::new() }
    }

    fn with_connection(connection: impl FnOnce(&TestChain) -> Box<dyn Chain>) -> Self {
        let mut world = Self::new();
        world.service = open(&world.chain, &world.venue, connection(&world.chain));
        world
    }

    fn restart(&mut self) {
        self.venue.restart();
        self.service = open(&self.chain, &self.venue, Box::new(self.chain.chain.clone()));
    }

    /// Lets seconds pass, one at a time.
    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.chain.pass(1);
            for action in self.service.poll(self.chain.now()) {
                match action {
                    ServiceAction::Submit(command) => {
                        let events = self.venue.submit(&command, self.chain.now());
                        let refused = events.iter().any(|event| matches!(event, Event::Rejected(_)));
                        assert!(!refused, "{command:?} {events:?}");
                    }
                    ServiceAction::Warn(text) => self.warnings.push(text),
                    ServiceAction::CancelOnly(text) => self.closed.push(text),
                }
            }
        }
    }

    fn owned(&self, account: u32, asset: u16) -> u64 {
        self.venue.engine.balance(AccountId(account), AssetId(asset)).map_or(0, |balance| balance.available.raw())
    }

    /// Two traders with money and keys.
    fn fund(&mut self) {
        self.chain.deposit(1, 0, 1_000);
        self.chain.deposit(2, 1, 50_000);
        let contract = self.chain.venue.contract;
        for number in [1_u8, 2] {
            self.chain.send(&user(number.into()), contract, contract::register_key([number; 32]));
        }
        self.run(3);
        assert_eq!((self.owned(1, 0), self.owned(2, 1)), (1_000, 50_000));
        for number in [1, 2] {
            let now = self.chain.now();
            let events = self.venue.sign(number, number, Operation::ActivateKey, now);
            assert!(events.iter().any(|event| matches!(event, Event::KeyActivated { .. })), "{events:?}");
        }
    }

    fn trade(&mut self) {
        let now = self.chain.now();
        self.venue.sign(1, 1, order(Side::Ask, 100, 40), now);
        let events = self.venue.sign(2, 2, order(Side::Bid, 100, 40), now);
        assert!(events.iter().any(|event| matches!(event, Event::Trade(_))), "{events:?}");
    }

    fn claim_everything(&self, account: u32) -> usize {
        let claims = self.service.claims_of(AccountId(account));
        let paid = claims.iter().filter(|(claim, stamp)| {
            let call = contract::claim_from_batch(claim, stamp.unwrap());
            self.chain.try_send(&user(4), self.chain.venue.contract, call) == crate::chain::TransactionStatus::Succeeded
        });
        paid.count()
    }
}

#[test]
fn from_deposit_to_claim() {
    deposit_to_claim(DataRoute::Calldata);
}

/// A batch in blobs has another header on the chain than the journal decided on: claims and proofs are made under it.
#[test]
fn from_deposit_to_claim_in_blobs() {
    deposit_to_claim(DataRoute::Cheapest);
}

fn deposit_to_claim(data: DataRoute) {
    let mut world = World::on(data);
    world.fund();
    world.trade();
    let contract = world.chain.venue.contract;
    let bought = u128::from(world.owned(1, 1)) * u128::from(SCALE);
    assert!(bought > 0);
    world.chain.send(&user(1), contract, contract::request_withdrawal(AssetId(1), bought));
    world.chain.send(&user(2), contract, contract::request_withdrawal(AssetId(0), 40 * u128::from(SCALE)));
    world.run(20);
    assert_eq!((world.owned(1, 1), world.owned(2, 0)), (0, 0), "debited");
    let tip = world.chain.tip();
    assert!(tip.batch_id >= 1 && tip.final_batch == 0, "{tip:?}");
    assert_eq!(tip.queue_up_to, 6);
    world.run(WINDOW_SECONDS);
    assert_eq!(world.chain.tip().final_batch, world.chain.tip().batch_id);
    let proof = world.service.balances_of(AccountId(1)).unwrap();
    let stored = world.chain.ask(contract, contract::batch_hash(proof.header.batch_id));
    assert_eq!(proof.check().unwrap().unwrap().0[..], stored, "what everybody has is proved as the contract has it");
    // After a restart the stamps come from the chain's events.
    world.restart();
    world.run(10);
    assert_eq!((world.claim_everything(1), world.claim_everything(2)), (1, 1));
    assert_eq!((world.claim_everything(1), world.claim_everything(2)), (0, 0), "once");
    assert_eq!(world.chain.token_balance(1, 1), bought);
    assert_eq!(world.chain.token_balance(2, 0), 40 * u128::from(SCALE));
    assert_eq!((world.warnings, world.closed), (Vec::new(), Vec::new()));
}

#[test]
fn claims_outlive_later_batches_and_restarts() {
    let mut world = World::new();
    world.fund();
    let contract = world.chain.venue.contract;
    // A batch for each, all final, and the last one without any withdrawal.
    for (number, asset) in [(1, 0), (2, 1), (1, 0)] {
        let amount = 3 * u128::from(SCALE);
        world.chain.send(&user(number), contract, contract::request_withdrawal(AssetId(asset), amount));
        world.run(70);
    }
    world.chain.deposit(3, 0, 77);
    world.run(70 + WINDOW_SECONDS);
    let tip = world.chain.tip();
    assert!(tip.batch_id >= 4 && tip.final_batch == tip.batch_id, "{tip:?}");
    assert_eq!(world.claim_everything(1), 2, "both, though later batches are final");
    world.restart();
    world.run(10);
    assert_eq!(world.service.claims_of(AccountId(1)).len(), 2);
    assert!(world.service.claims_of(AccountId(1)).iter().all(|(_, stamp)| stamp.is_some()));
    assert_eq!(world.claim_everything(1), 0, "once");
    assert_eq!(world.claim_everything(2), 1, "after the restart");
    assert_eq!(world.chain.token_balance(2, 1), 3 * u128::from(SCALE));
    assert_eq!((world.warnings, world.closed), (Vec::new(), Vec::new()));
}

#[test]
fn an_idle_venue_posts_nothing() {
    let mut world = World::new();
    world.run(200);
    assert_eq!(world.chain.tip().batch_id, 0);
    world.fund();
    world.run(130);
    let tip = world.chain.tip();
    world.run(200);
    assert_eq!(world.chain.tip(), tip);
}

#[test]
fn a_restart_anywhere_settles_each_record_and_entry_once() {
    for pause in 0..12 {
        let mut world = World::new();
        world.fund();
        let contract = world.chain.venue.contract;
        world.run(62);
        world.chain.send(&user(1), contract, contract::request_withdrawal(AssetId(0), u128::from(SCALE)));
        world.chain.deposit(3, 0, 77);
        world.run(pause);
        world.restart();
        world.run(80);
        assert_eq!((world.owned(1, 0), world.owned(3, 0)), (999, 77), "pause {pause}");
        let tip = world.chain.tip();
        assert_eq!((tip.batch_id, tip.final_batch, tip.queue_up_to), (2, 2, 6), "pause {pause}");
        let sent = world.chain.chain.nonce(operator().address(), NonceAt::Latest).unwrap();
        assert!((3..=4).contains(&sent), "two commits and one or two finalizations, not {sent}; pause {pause}");
        assert_eq!((&world.warnings, &world.closed), (&Vec::new(), &Vec::new()), "pause {pause}");
        assert_eq!(world.claim_everything(1), 1, "pause {pause}");
    }
}

/// A chain that can be cut off.
struct Cable {
    chain: crate::chain::embedded::EmbeddedChain,
    cut: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Cable {
    fn there(&self) -> Result<&dyn Chain, ChainError> {
        if self.cut.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(ChainError::NoAnswer { reason: "the cable is cut".to_owned() });
        }
        Ok(&self.chain)
    }
}

impl Chain for Cable {
    fn chain_id(&self) -> Result<u64, ChainError> {
        self.there()?.chain_id()
    }
    fn block(&self, at: BlockTag) -> Result<Option<Block>, ChainError> {
        self.there()?.block(at)
    }
    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        self.there()?.logs(filter)
    }
    fn call(&self, call: &Call, at: BlockTag) -> Result<Vec<u8>, ChainError> {
        self.there()?.call(call, at)
    }
    fn estimate_gas(&self, call: &Call) -> Result<u64, ChainError> {
        self.there()?.estimate_gas(call)
    }
    fn nonce(&self, address: Address, at: NonceAt) -> Result<u64, ChainError> {
        self.there()?.nonce(address, at)
    }
    fn send_raw_transaction(&self, raw: &[u8]) -> Result<Hash, ChainError> {
        self.there()?.send_raw_transaction(raw)
    }
    fn receipt(&self, hash: Hash) -> Result<Option<Receipt>, ChainError> {
        self.there()?.receipt(hash)
    }
    fn sent(&self, hash: Hash) -> Result<Option<Sent>, ChainError> {
        self.there()?.sent(hash)
    }
    fn blob(&self, hash: Hash, block: &Stamp) -> Result<Option<Blob>, ChainError> {
        self.there()?.blob(hash, block)
    }
    fn blob_base_fee(&self) -> Result<Option<u128>, ChainError> {
        self.there()?.blob_base_fee()
    }
    fn fees(&self) -> Result<Fees, ChainError> {
        self.there()?.fees()
    }
    fn balance(&self, address: Address) -> Result<u128, ChainError> {
        self.there()?.balance(address)
    }
    fn code(&self, address: Address) -> Result<Vec<u8>, ChainError> {
        self.there()?.code(address)
    }
}

#[test]
fn a_silent_chain_stops_batches_and_not_the_venue() {
    let cut = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let plug = std::sync::Arc::clone(&cut);
    let mut world = World::with_connection(|chain| Box::new(Cable { chain: chain.chain.clone(), cut: plug }));
    world.fund();
    cut.store(true, std::sync::atomic::Ordering::SeqCst);
    for _ in 0..40 {
        world.trade_or_rest();
        world.run(61);
    }
    assert_eq!(world.chain.tip().batch_id, 0);
    assert_eq!(world.warnings.len(), 2, "told once by each: {:?}", world.warnings);
    assert!(world.service.poster().waiting() <= MAX_WAITING_BATCHES);
    assert!(world.service.is_caught_up() && world.closed.is_empty());
    cut.store(false, std::sync::atomic::Ordering::SeqCst);
    world.run(200);
    let journal = world.venue.engine.last_batch();
    assert_eq!(world.chain.tip().batch_id, journal.0);
    assert!(!world.service.is_stopped());
}

/// A journal with more batches than may wait, and a chain that says nothing: whoever asks again and again would find nothing
/// to do, and take a core for that.
#[test]
fn a_replay_that_pauses_for_a_silent_chain_does_not_ask_to_be_called_soon() {
    let mut world = World::new();
    let now = world.chain.now();
    let mut replica = Replica::open(world.venue.directory.path(), world.chain.venue).unwrap();
    for _ in 0..=2 * MAX_WAITING_BATCHES {
        world.venue.submit(&Command::AdvanceTime, now);
        replica.advance(1_000, &mut Vec::new()).unwrap();
        let decision = replica.seal().unwrap().command();
        world.venue.submit(&Command::BatchSealed(decision), now);
        replica.advance(1_000, &mut Vec::new()).unwrap();
    }
    for _ in 0..CHUNK_RECORDS {
        world.venue.submit(&Command::AdvanceTime, now);
    }
    let cut = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    world.service = open(&world.chain, &world.venue, Box::new(Cable { chain: world.chain.chain.clone(), cut }));
    assert!(world.service.is_replaying(), "the journal is not read yet");
    world.service.poll(now);
    assert!(world.service.poster().waiting() >= 2 * MAX_WAITING_BATCHES);
    assert!(!world.service.is_caught_up() && !world.service.is_replaying());
}

impl World {
    fn trade_or_rest(&mut self) {
        let now = self.chain.now();
        self.venue.sign(1, 1, order(Side::Ask, 100, 1), now);
        self.venue.sign(2, 2, order(Side::Bid, 100, 1), now);
    }
}

#[test]
fn a_tip_that_the_journal_does_not_have_closes_the_markets() {
    let mut world = World::new();
    world.fund();
    world.run(70);
    assert_eq!(world.chain.tip().batch_id, 1);
    // The same exchange from its beginning, as if the journal had been lost.
    world.venue = TestVenue::new(world.chain.venue, world.chain.now());
    world.restart();
    world.run(70);
    assert_eq!(world.closed.len(), 1, "{:?}", world.warnings);
    assert!(world.closed[0].contains("the chain has batch 1, the journal ends with batch 0"), "{:?}", world.closed);
    assert!(world.service.is_stopped());
    world.run(70);
    assert_eq!(world.closed.len(), 1, "told once");
    assert_eq!(world.chain.tip().batch_id, 1);
}
