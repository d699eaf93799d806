//! The poster against the real contract on an embedded chain, with everything between them going wrong in turn.

use std::cell::Cell;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::blobs::Blob;
use crate::chain::{Fees, Log, LogFilter, Receipt, Sent};
use crate::contract::answer::{BATCH_COMMITTED, BatchCommitted};
use crate::keccak::Hash;
use crate::test_venue::{TestChain, WINDOW_SECONDS, keys, operator, sealed_batches};

/// How a transaction fares on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mail {
    /// It arrives and the answer too.
    Delivered,
    /// It is taken and lies in a pool.
    Pooled,
    /// It arrives, the answer does not.
    AnswerLost,
}

/// A chain that dies at a given question and whose pool can hold things back.
struct Weather {
    chain: Box<dyn Chain>,
    questions: AtomicU64,
    dies_at: u64,
    /// Most blocks that it looks through for logs at once.
    most_blocks: u64,
    mail: Mutex<Mail>,
    pool: Mutex<Vec<Vec<u8>>>,
    /// What blob gas costs, where that is not the chain's own price; the inner `None` is a chain without blobs.
    blob_fee: Option<Option<u128>>,
}

impl Weather {
    fn new(chain: &TestChain, dies_at: u64) -> Self {
        Self::over(Box::new(chain.chain.clone()), dies_at)
    }

    fn over(chain: Box<dyn Chain>, dies_at: u64) -> Self {
        let (questions, mail) = (AtomicU64::new(0), Mutex::new(Mail::Delivered));
        let (most_blocks, pool) = (u64::MAX, Mutex::new(Vec::new()));
        Self { chain, questions, dies_at, most_blocks, mail, pool, blob_fee: None }
    }

    fn ask(&self) -> Result<&dyn Chain, ChainError> {
        let number = self.questions.fetch_add(1, Ordering::SeqCst);
        if number >= self.dies_at { Err(dead()) } else { Ok(&*self.chain) }
    }

    fn is_dead(&self) -> bool {
        self.questions.load(Ordering::SeqCst) > self.dies_at
    }
}

fn dead() -> ChainError {
    ChainError::NoAnswer { reason: "dead".to_owned() }
}

impl Chain for Weather {
    fn chain_id(&self) -> Result<u64, ChainError> {
        self.ask()?.chain_id()
    }
    fn block(&self, at: BlockTag) -> Result<Option<Block>, ChainError> {
        self.ask()?.block(at)
    }
    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        if filter.to_block - filter.from_block >= self.most_blocks {
            return Err(ChainError::Refused { code: -32_005, message: "too many blocks".to_owned(), data: Vec::new() });
        }
        self.ask()?.logs(filter)
    }
    fn call(&self, call: &Call, at: BlockTag) -> Result<Vec<u8>, ChainError> {
        self.ask()?.call(call, at)
    }
    fn estimate_gas(&self, call: &Call) -> Result<u64, ChainError> {
        self.ask()?.estimate_gas(call)
    }
    fn nonce(&self, address: Address, at: NonceAt) -> Result<u64, ChainError> {
        self.ask()?.nonce(address, at)
    }
    fn send_raw_transaction(&self, raw: &[u8]) -> Result<Hash, ChainError> {
        let chain = self.ask()?;
        match *self.mail.lock().unwrap() {
            Mail::Delivered => chain.send_raw_transaction(raw),
            Mail::Pooled => {
                self.pool.lock().unwrap().push(raw.to_vec());
                Ok(crate::keccak::keccak256(raw))
            }
            Mail::AnswerLost => {
                chain.send_raw_transaction(raw)?;
                Err(dead())
            }
        }
    }
    fn receipt(&self, hash: Hash) -> Result<Option<Receipt>, ChainError> {
        self.ask()?.receipt(hash)
    }
    fn sent(&self, hash: Hash) -> Result<Option<Sent>, ChainError> {
        self.ask()?.sent(hash)
    }
    fn blob(&self, hash: Hash, block: &Stamp) -> Result<Option<Blob>, ChainError> {
        self.ask()?.blob(hash, block)
    }
    fn blob_base_fee(&self) -> Result<Option<u128>, ChainError> {
        let fee = self.ask()?.blob_base_fee()?;
        Ok(self.blob_fee.unwrap_or(fee))
    }
    fn fees(&self) -> Result<Fees, ChainError> {
        self.ask()?.fees()
    }
    fn balance(&self, address: Address) -> Result<u128, ChainError> {
        self.ask()?.balance(address)
    }
    fn code(&self, address: Address) -> Result<Vec<u8>, ChainError> {
        self.ask()?.code(address)
    }
}

/// A chain, and batches that a venue decided on.
struct World {
    chain: TestChain,
    directory: tempfile::TempDir,
    batches: Vec<SealedBatch>,
    seconds: Cell<u64>,
}

impl World {
    fn new(count: usize) -> Self {
        let chain = TestChain::new();
        let batches = sealed_batches(chain.venue, count);
        Self::with_batches(chain, batches)
    }

    /// Every new chain has its contract at the same address, so batches made for one fit another.
    fn with_batches(chain: TestChain, batches: Vec<SealedBatch>) -> Self {
        Self { chain, directory: tempfile::tempdir().unwrap(), batches, seconds: Cell::new(0) }
    }

    fn on(mut self, data: DataRoute) -> Self {
        self.chain.data = data;
        self
    }

    fn open_at(&self, directory: &Path) -> Poster {
        let mut poster = Poster::open(self.chain.poster_options(directory), keys()).unwrap();
        self.batches.iter().for_each(|batch| poster.add(batch));
        poster.journal_is_read();
        poster
    }

    fn open(&self) -> Poster {
        self.open_at(self.directory.path())
    }

    fn step(&self, poster: &mut Poster, chain: &dyn Chain) -> PosterStatus {
        self.pass(1);
        poster.step(chain, self.chain.now())
    }

    fn pass(&self, seconds: u64) {
        self.chain.pass(seconds);
        self.seconds.set(self.seconds.get() + seconds);
    }

    /// Until everything is final.
    fn finish(&self, poster: &mut Poster, chain: &dyn Chain) {
        let last = self.batches.len() as u64;
        for _ in 0..200 {
            let status = self.step(poster, chain);
            assert!(!matches!(status, PosterStatus::Stopped(_)), "{status:?}");
            if self.chain.tip().final_batch == last && poster.outgoing.is_empty() {
                return;
            }
        }
        panic!("not final: {:?}", self.chain.tip());
    }

    /// How often each batch was committed, by the contract's events.
    fn commits(&self) -> Vec<u64> {
        self.commit_logs().iter().map(|log| BatchCommitted::decode(log).unwrap().batch_id).collect()
    }

    fn commit_logs(&self) -> Vec<Log> {
        let topics = vec![vec![answer::topic(BATCH_COMMITTED)]];
        let to_block = self.chain.chain.block_number(BlockTag::Latest).unwrap();
        let filter = LogFilter { address: self.chain.venue.contract, from_block: 0, to_block, topics };
        self.chain.chain.logs(&filter).unwrap()
    }

    /// How many blobs came with each commit.
    fn blobs_of_commits(&self) -> Vec<usize> {
        let logs = self.commit_logs();
        logs.iter().map(|log| self.chain.chain.sent(log.transaction_hash).unwrap().unwrap().blob_hashes.len()).collect()
    }

    fn sent(&self) -> u64 {
        self.chain.chain.nonce(operator().address(), NonceAt::Latest).unwrap()
    }
}

#[test]
fn batches_are_committed_in_order_and_made_final() {
    let world = World::new(3);
    let mut poster = world.open();
    world.finish(&mut poster, &world.chain.chain);
    assert_eq!(world.commits(), [1, 2, 3]);
    assert!(world.seconds.get() >= WINDOW_SECONDS);
    assert_eq!(poster.waiting(), 0);
    assert!(world.sent() <= 6, "{}", world.sent());
}

#[test]
fn killed_at_any_question_it_posts_exactly_once() {
    killed_at_any_question(DataRoute::Calldata, 2);
}

#[test]
fn killed_at_any_question_it_posts_exactly_once_in_blobs() {
    killed_at_any_question(DataRoute::Cheapest, 1);
}

fn killed_at_any_question(data: DataRoute, batch_count: usize) {
    let mut dies_at = 0;
    let batches = World::new(batch_count).batches;
    let (ids, most_sent): (Vec<_>, _) = ((1..=batch_count as u64).collect(), 2 * batch_count as u64);
    loop {
        let world = World::with_batches(TestChain::new(), batches.clone()).on(data);
        let weather = Weather::new(&world.chain, dies_at);
        let mut poster = world.open();
        for _ in 0..60 {
            if matches!(world.step(&mut poster, &weather), PosterStatus::Waiting { .. }) {
                break;
            }
        }
        let died = weather.is_dead();
        drop(poster);
        let mut poster = world.open();
        world.finish(&mut poster, &world.chain.chain);
        assert_eq!(world.commits(), ids, "died at question {dies_at}");
        assert!(world.sent() <= most_sent, "{} transactions, died at question {dies_at}", world.sent());
        assert_eq!(world.blobs_of_commits(), vec![usize::from(data == DataRoute::Cheapest); batch_count]);
        if !died {
            break;
        }
        dies_at += 1;
    }
    assert!(dies_at > 20, "it asked only {dies_at} questions");
}

#[test]
fn a_lost_answer_is_no_second_transaction() {
    let world = World::new(2);
    let weather = Weather::new(&world.chain, u64::MAX);
    *weather.mail.lock().unwrap() = Mail::AnswerLost;
    let mut poster = world.open();
    world.finish(&mut poster, &weather);
    assert_eq!(world.commits(), [1, 2]);
    assert!(world.sent() <= 4);
}

#[test]
fn a_node_that_looks_through_few_blocks_at_once_is_enough() {
    let world = World::new(2);
    for _ in 0..40 {
        world.chain.deposit(1, 0, 5);
    }
    let weather = Weather { most_blocks: 32, ..Weather::new(&world.chain, u64::MAX) };
    let mut poster = world.open();
    world.finish(&mut poster, &weather);
    assert_eq!(world.commits(), [1, 2]);
    // After a restart they stand far back.
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..40 {
        world.chain.deposit(1, 0, 5);
    }
    let mut poster = world.open_at(directory.path());
    for _ in 0..20 {
        world.step(&mut poster, &weather);
    }
    assert!(poster.on_chain(2).is_some());
}

#[test]
fn what_nobody_mines_is_sent_again_and_then_costs_more() {
    let world = World::new(1);
    let weather = Weather::new(&world.chain, u64::MAX);
    *weather.mail.lock().unwrap() = Mail::Pooled;
    let mut poster = world.open();
    for _ in 0..2_000 {
        let status = world.step(&mut poster, &weather);
        assert_eq!(status, PosterStatus::Pending(Purpose::Commit(1)));
    }
    let pool = weather.pool.lock().unwrap().clone();
    let sent: Vec<Transaction> = pool.iter().map(|raw| Transaction::decode(raw).unwrap().0).collect();
    assert!(sent.len() > 2_000 / RESEND_SECONDS as usize - 5);
    assert_eq!(pool[0], pool[1], "first the same bytes");
    assert!(sent.iter().all(|one| one.nonce == 0 && one.data == sent[0].data), "one payload a nonce");
    let (first, last) = (sent[0].max_fee_per_gas_wei, sent.last().unwrap().max_fee_per_gas_wei);
    assert!(last > first * 4 && last <= first * FEE_CAP, "{first} {last}");
    let mut fees: Vec<u128> = sent.iter().map(|one| one.max_fee_per_gas_wei).collect();
    assert!(fees.is_sorted());
    fees.dedup();
    assert!(fees.windows(2).all(|pair| pair[1] * 10 >= pair[0] * 11), "{fees:?}");
    // An early attempt is mined after all, in a later life.
    drop(poster);
    world.chain.chain.send_raw_transaction(&pool[0]).unwrap();
    *weather.mail.lock().unwrap() = Mail::Delivered;
    let mut poster = world.open();
    world.finish(&mut poster, &weather);
    assert_eq!(world.commits(), [1]);
    assert_eq!(world.sent(), 2);
}

#[test]
fn a_tip_ahead_or_another_header_is_a_contradiction() {
    let world = World::new(2);
    world.finish(&mut world.open(), &world.chain.chain);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut shorter = Poster::open(world.chain.poster_options(elsewhere.path()), keys()).unwrap();
    shorter.add(&world.batches[0]);
    assert!(!matches!(world.step(&mut shorter, &world.chain.chain), PosterStatus::Stopped(_)), "more may come");
    shorter.journal_is_read();
    let ahead = PosterStatus::Stopped(Contradiction::TipAhead { chain: 2, journal: 1 }.into());
    assert_eq!(world.step(&mut shorter, &world.chain.chain), ahead);
    shorter.add(&world.batches[1]);
    assert_eq!(world.step(&mut shorter, &world.chain.chain), ahead, "for good");

    let mut other = Poster::open(world.chain.poster_options(elsewhere.path()), keys()).unwrap();
    let mut changed = world.batches[1].clone();
    changed.header.fills += 1;
    other.add(&world.batches[0]);
    other.add(&changed);
    other.journal_is_read();
    let status = world.step(&mut other, &world.chain.chain);
    let expected = Contradiction::HeaderDiffers {
        batch_id: 2,
        chain: world.batches[1].header.hash(),
        journal: changed.header.hash(),
    };
    assert_eq!(status, PosterStatus::Stopped(expected.into()));
}

#[test]
fn refusals_are_told_and_nothing_is_sent() {
    let world = World::new(1);
    let mut lie = world.batches[0].clone();
    lie.previous_trees = Hash([9; 32]);
    let mut poster = Poster::open(world.chain.poster_options(world.directory.path()), keys()).unwrap();
    poster.add(&lie);
    let status = world.step(&mut poster, &world.chain.chain);
    let PosterStatus::Refused { purpose: Purpose::Commit(1), reason } = status else { panic!("{status:?}") };
    assert!(reason.starts_with("WrongRoot("), "{reason}");
    assert_eq!(world.sent(), 0);
    let other = PosterOptions {
        venue: crate::follower::Venue { chain_id: 1, ..world.chain.venue },
        ..world.chain.poster_options(world.directory.path())
    };
    let mut poster = Poster::open(other, keys()).unwrap();
    let stop = PosterStop::OtherChain { found: world.chain.venue.chain_id, expected: 1 };
    assert_eq!(world.step(&mut poster, &world.chain.chain), PosterStatus::Stopped(stop));
}

#[test]
fn damaged_or_foreign_attempts_are_refused() {
    let world = World::new(1);
    let weather = Weather::new(&world.chain, u64::MAX);
    *weather.mail.lock().unwrap() = Mail::Pooled;
    world.step(&mut world.open(), &weather);
    let options = world.chain.poster_options(world.directory.path());
    let path = options.attempts_file.clone().unwrap();
    let error = Poster::open(options.clone(), PosterKeys { poster: crate::test_venue::user(1), ..keys() }).unwrap_err();
    assert!(matches!(error, AttemptsError::OtherSender { .. }), "{error}");
    let good = std::fs::read(&path).unwrap();
    for place in (0..good.len()).step_by(37) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        std::fs::write(&path, bad).unwrap();
        let error = Poster::open(options.clone(), keys()).unwrap_err();
        assert!(matches!(error, AttemptsError::Damaged { .. }), "byte {place}: {error}");
    }
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(Poster::open(options, keys()).is_err());
}

#[test]
fn data_take_the_cheaper_way_and_a_call_where_there_are_no_blobs() {
    // 100 bytes or so cost about 1,600 gas in a call, at 1.001 gwei: about 12 million wei for a unit of a blob's gas.
    for (blob_fee, data, blobs) in [
        (Some(1), DataRoute::Cheapest, 1),
        (Some(1_000_000_000), DataRoute::Cheapest, 0),
        (None, DataRoute::Cheapest, 0),
        (Some(1), DataRoute::Calldata, 0),
    ] {
        let world = World::new(2).on(data);
        let weather = Weather { blob_fee: Some(blob_fee), ..Weather::new(&world.chain, u64::MAX) };
        let mut poster = world.open();
        world.finish(&mut poster, &weather);
        assert_eq!(world.blobs_of_commits(), [blobs; 2], "{blob_fee:?} {data:?}");
    }
}

/// Data of so many bytes: the contract looks at their hash only.
fn swollen(batch: &SealedBatch, bytes: usize) -> SealedBatch {
    let data: Vec<u8> = (0..bytes).map(|index| u8::try_from(index % 255).unwrap() + 1).collect();
    let header = Header { data_hash: crate::keccak::keccak256(&data), ..batch.header };
    SealedBatch { header, data, ..batch.clone() }
}

#[test]
fn data_too_long_for_a_call_go_in_blobs_at_any_price() {
    let mut world = World::new(1).on(DataRoute::Cheapest);
    world.batches[0] = swollen(&world.batches[0], 400_000);
    let weather = Weather { blob_fee: Some(Some(3)), ..Weather::new(&world.chain, u64::MAX) };
    let mut poster = world.open();
    world.finish(&mut poster, &weather);
    assert_eq!(world.blobs_of_commits(), [4]);
    let mut world = World::new(1);
    world.batches[0] = swollen(&world.batches[0], 400_000);
    for (data, bytes) in [(DataRoute::Calldata, 400_000), (DataRoute::Cheapest, 800_000)] {
        world.chain.data = data;
        world.batches[0] = swollen(&world.batches[0], bytes);
        let status = world.step(&mut world.open(), &world.chain.chain);
        assert!(matches!(status, PosterStatus::Stopped(PosterStop::TooLarge { batch_id: 1, .. })), "{status:?}");
    }
}

#[test]
fn what_nobody_mines_doubles_its_fees_with_blobs() {
    let world = World::new(1).on(DataRoute::Cheapest);
    let weather = Weather::new(&world.chain, u64::MAX);
    *weather.mail.lock().unwrap() = Mail::Pooled;
    let mut poster = world.open();
    for _ in 0..6 * BUMP_SECONDS {
        assert_eq!(world.step(&mut poster, &weather), PosterStatus::Pending(Purpose::Commit(1)));
    }
    let pool = weather.pool.lock().unwrap().clone();
    let mut sent: Vec<Transaction> = pool.iter().map(|raw| Transaction::decode(raw).unwrap().0).collect();
    assert!(sent.iter().all(|one| one.nonce == 0 && one.data == sent[0].data), "one payload a nonce");
    let blob_fee = |one: &Transaction| one.blobs.as_ref().unwrap().max_fee_per_blob_gas_wei;
    sent.dedup_by_key(|one| one.max_fee_per_gas_wei);
    assert_eq!(sent.len(), 3, "twice, and then the cap");
    for pair in sent.windows(2) {
        assert!(pair[1].max_fee_per_gas_wei >= 2 * pair[0].max_fee_per_gas_wei);
        assert!(pair[1].max_priority_fee_per_gas_wei >= 2 * pair[0].max_priority_fee_per_gas_wei);
        assert!(blob_fee(&pair[1]) >= 2 * blob_fee(&pair[0]));
    }
    // The first attempt is mined after all, in a later life, whose configuration has calls.
    drop(poster);
    world.chain.chain.send_raw_transaction(&pool[0]).unwrap();
    *weather.mail.lock().unwrap() = Mail::Delivered;
    let world = world.on(DataRoute::Calldata);
    let mut poster = world.open();
    world.finish(&mut poster, &weather);
    assert_eq!((world.commits(), world.blobs_of_commits(), world.sent()), (vec![1], vec![1], 2));
}

/// A batch in blobs and a batch in a call are told apart by their headers' data hashes, and no other header passes.
#[test]
fn another_batch_in_blobs_is_a_contradiction() {
    let world = World::new(1).on(DataRoute::Cheapest);
    world.finish(&mut world.open(), &world.chain.chain);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut other = Poster::open(world.chain.poster_options(elsewhere.path()), keys()).unwrap();
    other.add(&swollen(&world.batches[0], 50));
    let status = world.step(&mut other, &world.chain.chain);
    let is_other = |status: &PosterStatus| {
        matches!(status, PosterStatus::Stopped(PosterStop::Contradiction(Contradiction::HeaderDiffers { .. })))
    };
    assert!(is_other(&status), "{status:?}");
}
