//! A chain in this process: what `lakh dev` and the tests settle on, without any other program.
//!
//! One block a transaction, mined at once and final at once, since nobody else can mine another. Contracts run under the
//! rules of mainnet's osaka fork, so that what works here works there; what mainnet has around them is left out (see
//! `evm`). With a directory the chain survives restarts: transactions are kept and executed again. Blobs are kept beside them
//! for as long as public nodes keep them, and then deleted.
//!
//! A call is tried in the block that would come next, at the time that it would have, so that a call tells whether the
//! transaction would succeed even if the newest block is old.
//!
//! Invariants: a transaction whose hash was given out is executed again to the same block hash after any crash; a refused
//! transaction leaves no trace; block times never fall; no clock is read but [`BlockClock`].
//!
//! Bounds: [`MAX_BLOCKS`] blocks, all kept in memory at about 1 KiB each, after which every transaction is refused; no
//! pool, so a transaction with a gap before its nonce is refused; a call runs in at most [`CALL_GAS_LIMIT`] gas.

mod answers;
mod blob_store;
mod blocks;
mod evm;
mod methods;
pub mod server;
mod storage;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_consensus::Transaction as _;
use alloy_eips::Encodable2718 as _;
use parking_lot::RwLock;
use revm::context::result::{ExecutionResult, HaltReason};

use self::blob_store::BlobStore;
use self::blocks::{LogQuery, Mined, MinedTransaction, find_logs};
pub use self::blocks::{MAX_LOG_BYTES, MAX_LOGS};
use self::evm::{Evm, Place};
use self::storage::{BlockLog, Next, Record, Records};
use super::transaction::Decoded;
use super::{
    Address, Block, BlockTag, Call, Chain, ChainError, Fees, Log, LogFilter, NonceAt, REVERTED, Receipt, Sent,
    encode_hex, printable,
};
use crate::blobs::{Blob, Sidecar};
use crate::commitment::Stamp;
use crate::keccak::{Hash, keccak256};

/// What a unit of gas costs at least, in wei, in every block.
pub const BASE_FEE_WEI: u64 = 1_000_000_000;

/// What is advised to pay on top, in wei. Nothing is gained by it here.
pub const PRIORITY_FEE_WEI: u64 = 1_000_000;

/// What a unit of blob gas costs, in wei, in every block: the least that it can cost anywhere.
pub const BLOB_BASE_FEE_WEI: u128 = 1;

/// Gas that a block may use: mainnet's limit of today.
pub const BLOCK_GAS_LIMIT: u64 = 60_000_000;

/// Gas that a transaction, and so a call, may use: osaka's limit (EIP-7825).
pub const CALL_GAS_LIMIT: u64 = 1 << 24;

/// Blocks of the longest chain, the genesis block included.
pub const MAX_BLOCKS: usize = 1 << 20;

/// The JSON-RPC code for a transaction or question that the chain refuses.
pub const TRANSACTION_REFUSED: i64 = -32_000;
/// The JSON-RPC code for an answer that would be too long.
pub const LIMIT_EXCEEDED: i64 = -32_005;
/// The JSON-RPC code for a fault of the chain's own.
pub const INTERNAL_ERROR: i64 = -32_603;

/// How a chain begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Which chain it is; at least 1.
    pub chain_id: u64,
    /// Who has how much ether, in wei; each address once, the sum within 128 bits.
    pub accounts: Vec<(Address, u128)>,
}

impl Genesis {
    /// The genesis block's hash: equal for the same accounts in any order.
    fn hash(&self) -> Hash {
        let mut accounts = self.accounts.clone();
        accounts.sort_unstable();
        let mut bytes = b"lakh genesis".to_vec();
        bytes.extend(self.chain_id.to_be_bytes());
        for (address, balance_wei) in accounts {
            bytes.extend(address.0);
            bytes.extend(balance_wei.to_be_bytes());
        }
        keccak256(&bytes)
    }

    fn check(&self) -> Result<(), ChainError> {
        let unusable = |reason: &str| Err(ChainError::Unusable { reason: reason.to_owned() });
        if self.chain_id == 0 {
            return unusable("a chain id is at least 1");
        }
        let mut addresses: Vec<Address> = self.accounts.iter().map(|(address, _)| *address).collect();
        addresses.sort_unstable();
        if addresses.windows(2).any(|pair| pair[0] == pair[1]) {
            return unusable("the genesis names an address twice");
        }
        let sum = self.accounts.iter().try_fold(0_u128, |sum, (_, balance_wei)| sum.checked_add(*balance_wei));
        if sum.is_none() {
            return unusable("the genesis has more ether than 128 bits hold");
        }
        Ok(())
    }
}

/// What time it is for new blocks.
#[derive(Clone, Debug)]
pub enum BlockClock {
    /// The machine's.
    System,
    /// Seconds since the Unix epoch, set by whoever holds the other end: tests let days pass with it.
    Manual(Arc<AtomicU64>),
}

impl BlockClock {
    fn now_s(&self) -> u64 {
        match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            Self::Manual(seconds) => seconds.load(Ordering::SeqCst),
        }
    }
}

/// What was found on opening a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Blocks that were executed again; the genesis block is not counted.
    pub blocks: u64,
    /// Bytes of a record that a crash had cut off; they are gone now, and nobody was told of that transaction.
    pub cut_bytes: u64,
}

/// A chain in this process. Clones are the same chain.
#[derive(Clone, Debug)]
pub struct EmbeddedChain {
    chain_id: u64,
    clock: BlockClock,
    recovery: Recovery,
    state: Arc<RwLock<State>>,
}

/// Everything that a block changes.
#[derive(Debug)]
struct State {
    evm: Evm,
    /// By height.
    blocks: Vec<Mined>,
    heights: HashMap<Hash, usize>,
    transactions: HashMap<Hash, usize>,
    log: Option<BlockLog>,
    blobs: BlobStore,
    /// Set once the log could not be written: what stands in it is not known, so nothing may follow.
    log_failed: bool,
}

impl EmbeddedChain {
    /// Begins a chain, or continues the one in `directory`; without a directory it ends with the process.
    ///
    /// # Errors
    /// [`ChainError::Unusable`] for a genesis that cannot be, [`ChainError::OtherGenesis`] where the directory's chain began
    /// otherwise, [`ChainError::Storage`] and [`ChainError::Corrupt`] for its file.
    pub fn open(directory: Option<&Path>, genesis: &Genesis, clock: BlockClock) -> Result<Self, ChainError> {
        genesis.check()?;
        let mut state = State::new(genesis);
        let mut recovery = Recovery::default();
        if let Some(directory) = directory {
            let (mut log, records) = BlockLog::open(directory, genesis.hash())?;
            recovery = state.execute_again(&mut log, records, directory)?;
            state.log = Some(log);
            let storage = |source| ChainError::Storage { path: directory.join("blobs"), source };
            state.blobs = BlobStore::open(directory).map_err(storage)?;
        }
        Ok(Self { chain_id: genesis.chain_id, clock, recovery, state: Arc::new(RwLock::new(state)) })
    }

    /// What was found on opening.
    pub const fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Mines a block without a transaction at a time in seconds since the Unix epoch, or at the newest block's time where
    /// that is later. This is how time passes for contracts when nobody sends anything.
    ///
    /// # Errors
    /// [`ChainError::Refused`] where the chain is full, [`ChainError::NoAnswer`] where its file cannot be written.
    pub fn mine_empty(&self, timestamp_s: u64) -> Result<Block, ChainError> {
        let mut state = self.state.write();
        let mined = Mined::empty(state.next_place(timestamp_s));
        let block = mined.block;
        state.keep(&mined, &[])?;
        state.evm.note_block(block.number, block.hash);
        state.append(mined);
        Ok(block)
    }

    /// The block in which a call is tried: the next one.
    fn next_place(&self, state: &State) -> Place {
        state.next_place(self.clock.now_s())
    }

    fn find_logs(&self, query: &LogQuery) -> Result<Vec<Log>, ChainError> {
        find_logs(&self.state.read().blocks, query)
    }

    /// The blobs of these versioned hashes that are kept, as text.
    fn blobs_as_text(&self, hashes: &[Hash]) -> Vec<String> {
        let state = self.state.read();
        let now_s = self.next_place(&state).timestamp_s;
        let found = hashes.iter().filter_map(|hash| state.blobs.blob(*hash, now_s));
        found.map(|blob| encode_hex(blob.as_slice())).collect()
    }

    /// A block with what happened in it, by its height.
    fn mined(&self, height: usize) -> Option<Mined> {
        self.state.read().blocks.get(height).cloned()
    }

    fn height_of(&self, hash: Hash) -> Option<usize> {
        self.state.read().heights.get(&hash).copied()
    }

    fn transaction(&self, hash: Hash) -> Option<MinedTransaction> {
        let state = self.state.read();
        let height = *state.transactions.get(&hash)?;
        state.blocks[height].transaction.clone()
    }
}

impl State {
    fn new(genesis: &Genesis) -> Self {
        let first = Mined::genesis(genesis);
        let mut evm = Evm::new(genesis);
        evm.note_block(0, first.block.hash);
        let heights = HashMap::from([(first.block.hash, 0)]);
        let (transactions, blobs) = (HashMap::new(), BlobStore::default());
        Self { evm, blocks: vec![first], heights, transactions, log: None, blobs, log_failed: false }
    }

    fn head(&self) -> &Block {
        &self.blocks.last().expect("a chain has its genesis block").block
    }

    fn next_place(&self, now_s: u64) -> Place {
        let head = self.head();
        Place { number: head.number + 1, timestamp_s: now_s.max(head.timestamp_s), parent_hash: head.hash }
    }

    /// Executes the records of a file and cuts what a crash left at its end.
    fn execute_again(
        &mut self,
        log: &mut BlockLog,
        mut records: Records,
        directory: &Path,
    ) -> Result<Recovery, ChainError> {
        let mut recovery = Recovery::default();
        loop {
            match records.next()? {
                Next::End => return Ok(recovery),
                Next::Torn { offset, bytes } => {
                    log.cut(offset)?;
                    recovery.cut_bytes = bytes;
                    return Ok(recovery);
                }
                Next::Record(offset, record) => {
                    let path = directory.join("chain.log");
                    self.repeat(&record).map_err(|reason| ChainError::Corrupt { path, offset, reason })?;
                    recovery.blocks += 1;
                }
            }
        }
    }

    /// Executes a record; it must lead to the block that it names.
    fn repeat(&mut self, record: &Record) -> Result<(), String> {
        let place = self.next_place(record.timestamp_s);
        let executed = if record.raw_transaction.is_empty() {
            (Mined::empty(place), None)
        } else {
            let decoded = Decoded::from_raw(&record.raw_transaction).map_err(|error| error.to_string())?;
            let executed = self.evm.execute(&decoded, place).map_err(|error| error.to_string())?;
            (Mined::with_transaction(place, decoded, &executed), Some(executed.changes))
        };
        let (mined, changes) = executed;
        let block = mined.block;
        if block.timestamp_s != record.timestamp_s || block.hash != record.block_hash {
            return Err(format!("block {} comes out as another one", block.number));
        }
        match changes {
            Some(changes) => self.evm.commit(changes, block.number, block.hash),
            None => self.evm.note_block(block.number, block.hash),
        }
        self.append(mined);
        Ok(())
    }

    /// Makes a block durable before anybody is told of it.
    fn keep(&mut self, mined: &Mined, raw_transaction: &[u8]) -> Result<(), ChainError> {
        if self.log_failed {
            return Err(ChainError::no_answer("its file could not be written; it must be opened again"));
        }
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(ChainError::refused(LIMIT_EXCEEDED, "the chain is full"));
        }
        let Some(log) = &mut self.log else { return Ok(()) };
        let record = Record {
            timestamp_s: mined.block.timestamp_s,
            block_hash: mined.block.hash,
            raw_transaction: raw_transaction.to_vec(),
        };
        log.append(&record).map_err(|error| {
            self.log_failed = true;
            // Not "refused": part of the record, or all of it, may be found on the next start.
            ChainError::no_answer(printable(&error.to_string()))
        })
    }

    fn append(&mut self, mined: Mined) {
        let height = self.blocks.len();
        self.heights.insert(mined.block.hash, height);
        if let Some(transaction) = &mined.transaction {
            self.transactions.insert(transaction.decoded.hash, height);
        }
        self.blobs.prune(mined.block.timestamp_s);
        self.blocks.push(mined);
    }

    /// Keeps a transaction's blobs before its block is.
    fn keep_blobs(&mut self, sidecar: Option<&Sidecar>, timestamp_s: u64) -> Result<(), ChainError> {
        let Some(sidecar) = sidecar else { return Ok(()) };
        if !self.blobs.has_room(sidecar.blobs().len()) {
            return Err(ChainError::refused(LIMIT_EXCEEDED, "there is no room for more blobs"));
        }
        for (hash, blob) in sidecar.hashes().into_iter().zip(sidecar.blobs()) {
            let kept = self.blobs.keep(hash, blob, timestamp_s);
            kept.map_err(|error| ChainError::refused(INTERNAL_ERROR, &format!("a blob cannot be kept: {error}")))?;
        }
        Ok(())
    }
}

impl Chain for EmbeddedChain {
    fn chain_id(&self) -> Result<u64, ChainError> {
        Ok(self.chain_id)
    }

    fn block(&self, at: BlockTag) -> Result<Option<Block>, ChainError> {
        let state = self.state.read();
        Ok(match at {
            BlockTag::Latest | BlockTag::Finalized => Some(*state.head()),
            BlockTag::Number(number) => {
                usize::try_from(number).ok().and_then(|height| state.blocks.get(height)).map(|mined| mined.block)
            }
        })
    }

    fn logs(&self, filter: &LogFilter) -> Result<Vec<Log>, ChainError> {
        filter.check()?;
        self.find_logs(&LogQuery {
            addresses: vec![filter.address],
            from_block: filter.from_block,
            to_block: filter.to_block,
            topics: filter.topics.clone(),
        })
    }

    fn call(&self, call: &Call, at: BlockTag) -> Result<Vec<u8>, ChainError> {
        let state = self.state.read();
        if let BlockTag::Number(number) = at
            && number != state.head().number
        {
            return Err(ChainError::refused(TRANSACTION_REFUSED, "only the newest state is kept"));
        }
        let result = state.evm.try_call(call, CALL_GAS_LIMIT, self.next_place(&state))?;
        output(result)
    }

    fn estimate_gas(&self, call: &Call) -> Result<u64, ChainError> {
        let state = self.state.read();
        let place = self.next_place(&state);
        let result = state.evm.try_call(call, CALL_GAS_LIMIT, place)?;
        let used = result.gas().total_gas_spent().max(result.tx_gas_used());
        output(result)?;
        // What was used need not suffice: a call keeps a 64th back from each inner call. A 32nd more mostly does; halving
        // finds what does otherwise, to 1 in 64.
        let (mut too_little, mut enough) = (used.saturating_sub(1), CALL_GAS_LIMIT);
        let mut candidate = (used + used / 32).min(CALL_GAS_LIMIT);
        while enough - too_little > 1 + enough / 64 {
            match state.evm.try_call(call, candidate, place) {
                Ok(result) if result.is_success() => enough = candidate,
                _ => too_little = candidate,
            }
            candidate = too_little + (enough - too_little) / 2;
        }
        Ok(enough)
    }

    fn nonce(&self, address: Address, _at: NonceAt) -> Result<u64, ChainError> {
        Ok(self.state.read().evm.nonce(address))
    }

    fn send_raw_transaction(&self, raw: &[u8]) -> Result<Hash, ChainError> {
        let refused = |error| ChainError::refused(TRANSACTION_REFUSED, &format!("{error}"));
        let decoded = Decoded::from_raw(raw).map_err(refused)?;
        let (hash, sidecar) = (decoded.hash, decoded.sidecar.clone());
        if decoded.envelope.is_eip4844() != sidecar.as_ref().is_some_and(|sidecar| sidecar.is_valid()) {
            return Err(ChainError::refused(TRANSACTION_REFUSED, "no valid blobs with the transaction"));
        }
        // A block has what was signed.
        let in_block = sidecar.is_some().then(|| decoded.envelope.encoded_2718());
        let mut state = self.state.write();
        let place = self.next_place(&state);
        let executed = state.evm.execute(&decoded, place)?;
        let mined = Mined::with_transaction(place, Decoded { sidecar: None, ..decoded }, &executed);
        state.keep_blobs(sidecar.as_deref(), mined.block.timestamp_s)?;
        state.keep(&mined, in_block.as_deref().unwrap_or(raw))?;
        state.evm.commit(executed.changes, mined.block.number, mined.block.hash);
        state.append(mined);
        Ok(hash)
    }

    fn receipt(&self, transaction_hash: Hash) -> Result<Option<Receipt>, ChainError> {
        Ok(self.transaction(transaction_hash).map(|transaction| transaction.receipt))
    }

    fn sent(&self, transaction_hash: Hash) -> Result<Option<Sent>, ChainError> {
        Ok(self.transaction(transaction_hash).map(|transaction| {
            let envelope = &transaction.decoded.envelope;
            let hashes = envelope.blob_versioned_hashes().unwrap_or_default();
            let blob_hashes = hashes.iter().map(|hash| Hash(hash.0)).collect();
            Sent { data: envelope.input().to_vec(), blob_hashes }
        }))
    }

    fn blob(&self, versioned_hash: Hash, _block: &Stamp) -> Result<Option<Blob>, ChainError> {
        let state = self.state.read();
        Ok(state.blobs.blob(versioned_hash, self.next_place(&state).timestamp_s))
    }

    fn blob_base_fee(&self) -> Result<Option<u128>, ChainError> {
        Ok(Some(BLOB_BASE_FEE_WEI))
    }

    fn fees(&self) -> Result<Fees, ChainError> {
        Ok(Fees { base_fee_wei: BASE_FEE_WEI.into(), priority_fee_wei: PRIORITY_FEE_WEI.into() })
    }

    fn balance(&self, address: Address) -> Result<u128, ChainError> {
        let balance = self.state.read().evm.balance(address);
        Ok(u128::try_from(balance).expect("all of the genesis' ether is within 128 bits, and no more is ever made"))
    }

    fn code(&self, address: Address) -> Result<Vec<u8>, ChainError> {
        Ok(self.state.read().evm.code(address))
    }
}

/// What a call gave back, or why it did not, in the words of mainnet's nodes.
fn output(result: ExecutionResult) -> Result<Vec<u8>, ChainError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data().to_vec()),
        ExecutionResult::Revert { output, .. } => {
            Err(ChainError::Refused { code: REVERTED, message: "execution reverted".to_owned(), data: output.to_vec() })
        }
        ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. } => {
            Err(ChainError::refused(TRANSACTION_REFUSED, "out of gas"))
        }
        ExecutionResult::Halt { reason, .. } => {
            Err(ChainError::refused(TRANSACTION_REFUSED, &format!("execution halted: {reason:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::transaction::{Transaction, TransactionSigner};
    use super::*;

    #[test]
    fn after_a_failed_write_nothing_is_taken_and_nothing_has_changed() {
        let signer = TransactionSigner::from_secret(&[7; 32]).unwrap();
        let genesis = Genesis { chain_id: 5, accounts: vec![(signer.address(), 1 << 60)] };
        let chain = EmbeddedChain::open(None, &genesis, BlockClock::System).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        chain.state.write().log = Some(BlockLog::unwritable(file.path()));
        let transaction = Transaction {
            chain_id: 5,
            nonce: 0,
            max_priority_fee_per_gas_wei: 0,
            max_fee_per_gas_wei: BASE_FEE_WEI.into(),
            gas_limit: 21_000,
            to: Some(Address([1; 20])),
            value_wei: 1,
            data: Vec::new(),
            blobs: None,
        };
        let raw = signer.sign(&transaction).raw;
        for words in ["cannot use", "must be opened again"] {
            let error = chain.send_raw_transaction(&raw).unwrap_err();
            assert!(matches!(&error, ChainError::NoAnswer { reason } if reason.contains(words)), "{error}");
        }
        assert!(matches!(chain.mine_empty(0), Err(ChainError::NoAnswer { .. })));
        assert_eq!(chain.block_number(BlockTag::Latest).unwrap(), 0);
        assert_eq!(chain.balance(Address([1; 20])).unwrap(), 0);
        assert_eq!(chain.nonce(signer.address(), NonceAt::Latest).unwrap(), 0);
    }
}
