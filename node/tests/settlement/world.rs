//! The chain's side: contracts, tokens, and what the owners of accounts do there.

use lakh_engine::ids::AssetId;
use lakh_settlement::chain::rpc::{RpcChain, RpcOptions};
use lakh_settlement::chain::transaction::{Transaction, TransactionSigner};
use lakh_settlement::chain::{Address, BlockTag, Call, Chain as _, Log, LogFilter, NonceAt, TransactionStatus};
use lakh_settlement::contract::answer::{self, BatchCommitted, Tip};
use lakh_settlement::contract::{self, deploy};

use crate::{PATIENCE, wait_for};

pub(crate) const CHAIN_ID: u64 = 31_337;
/// What things are paid in: two decimals, ten token units an atom.
pub(crate) const CASH: AssetId = AssetId(0);
pub(crate) const CASH_SCALE: u128 = 10;
/// What is traded: whole ones, a thousand token units each.
pub(crate) const UNIT: AssetId = AssetId(1);
pub(crate) const UNIT_SCALE: u128 = 1_000;
/// How long a batch waits until it is final.
const WINDOW_SECONDS: u64 = 2;

/// What a veto puts at stake.
const BOND_WEI: u64 = 1_000;

/// Secret of the administrator, who is the only watcher.
pub(crate) const WATCHER_SECRET: [u8; 32] = [0x10; 32];
/// Secret of the key that posts batches.
pub(crate) const OPERATOR_SECRET: [u8; 32] = [0x51; 32];
/// Secret of the key that signs them.
pub(crate) const HEADER_SECRET: [u8; 32] = [0x52; 32];

/// The keys of the chain: 0 administrates, 1 and 2 own the accounts of that number, 9 is somebody else.
fn signer(number: u8) -> TransactionSigner {
    TransactionSigner::from_secret(&[0x10 + number; 32]).unwrap()
}

fn operator() -> TransactionSigner {
    TransactionSigner::from_secret(&OPERATOR_SECRET).unwrap()
}

/// Everybody who needs ether.
pub(crate) fn everybody() -> Vec<Address> {
    let numbers = [0, 1, 2, 9].map(|number| signer(number).address());
    [operator().address()].into_iter().chain(numbers).collect()
}

/// See the module.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) contract: Address,
    chain: RpcChain,
    vault: Address,
    tokens: [Address; 2],
}

impl World {
    /// Brings the contracts onto the chain at `url`.
    pub(crate) fn deploy(url: &str) -> Self {
        Self::deploy_with_window(url, WINDOW_SECONDS)
    }

    /// The same, with another time until batches are final, in seconds.
    pub(crate) fn deploy_with_window(url: &str, window_seconds: u64) -> Self {
        let chain = RpcChain::new(&RpcOptions { url: url.to_owned(), blobs_url: None, timeout: PATIENCE }).unwrap();
        let administrator = signer(0).address();
        let setup = deploy::Setup {
            operator: operator().address(),
            signer: TransactionSigner::from_secret(&HEADER_SECRET).unwrap().address(),
            window_seconds,
            veto_bond_wei: BOND_WEI,
            ..deploy::Setup::in_one_hand(administrator)
        };
        let nowhere = Address::default();
        let mut world =
            Self { url: url.to_owned(), contract: nowhere, chain, vault: nowhere, tokens: [nowhere, nowhere] };
        world.contract = world.create(deploy::settlement(&setup));
        world.tokens = [("Cash", "CASH", 3), ("Unit", "UNIT", 3)]
            .map(|(name, symbol, decimals)| world.create(deploy::demo_token(name, symbol, decimals)));
        world.vault = answer::address(&world.ask(contract::vault())).unwrap();
        for (token, scale) in world.tokens.into_iter().zip([CASH_SCALE, UNIT_SCALE]) {
            let scale = u64::try_from(scale).unwrap();
            world.send_from(0, world.contract, contract::list_asset(token, scale, 1, 1 << 60));
        }
        world
    }

    /// Mints, approves and deposits atoms.
    pub(crate) fn fund(&self, number: u8, asset: AssetId, atoms: u64) {
        let units = u128::from(atoms) * scale(asset);
        let token = self.tokens[usize::from(asset.0)];
        self.send_from(number, token, contract::mint(signer(number).address(), units));
        self.send_from(number, token, contract::approve(self.vault, units));
        self.send_from(number, self.contract, contract::deposit(asset, units));
    }

    pub(crate) fn register_key(&self, number: u8, key: [u8; 32]) {
        self.send_from(number, self.contract, contract::register_key(key));
    }

    pub(crate) fn request_withdrawal(&self, number: u8, asset: AssetId, atoms: u64) {
        let units = u128::from(atoms) * scale(asset);
        self.send_from(number, self.contract, contract::request_withdrawal(asset, units));
    }

    pub(crate) fn token_balance(&self, number: u8, asset: AssetId) -> u128 {
        self.balance_of(signer(number).address(), asset)
    }

    pub(crate) fn vault_balance(&self, asset: AssetId) -> u128 {
        self.balance_of(self.vault, asset)
    }

    fn balance_of(&self, owner: Address, asset: AssetId) -> u128 {
        let answer = self.ask_at(self.tokens[usize::from(asset.0)], contract::balance_of(owner));
        answer::large_number(&answer).unwrap()
    }

    pub(crate) fn tip(&self) -> Tip {
        Tip::decode(&self.ask(contract::tip())).unwrap()
    }

    /// Waits until everything up to a record, and the whole queue, is settled for good.
    pub(crate) fn await_final(&self, sequence: u64) {
        let entries = answer::Counts::decode(&self.ask(contract::counts())).unwrap().queue_length;
        wait_for("the last batch", || {
            let tip = self.tip();
            let settled = tip.last_sequence >= sequence && tip.queue_up_to == entries;
            (settled && tip.final_batch == tip.batch_id).then_some(())
        });
    }

    /// Each batch stands on the chain once, and the operator's every transaction is one of a batch or of a finalization:
    /// nothing was sent twice, and nothing was refused.
    pub(crate) fn assert_posted_once(&self) {
        let logs = self.logs();
        let committed: Vec<u64> = logs.iter().filter_map(BatchCommitted::decode).map(|batch| batch.batch_id).collect();
        let expected: Vec<u64> = (1..=self.tip().batch_id).collect();
        assert_eq!(committed, expected, "each once, in order");
        let mut finalizations: Vec<_> = logs
            .iter()
            .filter(|log| answer::decode_batch_final(log).is_some())
            .map(|log| log.transaction_hash)
            .collect();
        finalizations.dedup();
        let sent = self.chain.nonce(operator().address(), NonceAt::Pending).unwrap();
        assert_eq!(sent, (committed.len() + finalizations.len()) as u64, "no transaction without its effect");
        println!("{} batches, {} finalizations, {sent} transactions", committed.len(), finalizations.len());
    }

    /// How many blobs each batch came with.
    pub(crate) fn blobs_of_batches(&self) -> Vec<usize> {
        let logs = self.logs();
        let commits = logs.iter().filter(|log| BatchCommitted::decode(log).is_some());
        commits.map(|log| self.chain.sent(log.transaction_hash).unwrap().unwrap().blob_hashes.len()).collect()
    }

    fn logs(&self) -> Vec<Log> {
        let to_block = self.chain.block_number(BlockTag::Latest).unwrap();
        let filter = LogFilter { address: self.contract, from_block: 0, to_block, topics: Vec::new() };
        self.chain.logs(&filter).unwrap()
    }

    pub(crate) fn ask(&self, data: Vec<u8>) -> Vec<u8> {
        self.ask_at(self.contract, data)
    }

    fn ask_at(&self, to: Address, data: Vec<u8>) -> Vec<u8> {
        let call = Call::question(to, data);
        self.chain.call(&call, BlockTag::Latest).unwrap()
    }

    fn create(&self, code: Vec<u8>) -> Address {
        self.send(&signer(0), None, code).unwrap()
    }

    /// Sends, and waits until it is done.
    pub(crate) fn send_from(&self, number: u8, to: Address, data: Vec<u8>) {
        self.send(&signer(number), Some(to), data);
    }

    /// Sends as the venue's operator.
    pub(crate) fn send_from_operator(&self, data: Vec<u8>) {
        self.send(&operator(), Some(self.contract), data);
    }

    fn send(&self, signer: &TransactionSigner, to: Option<Address>, data: Vec<u8>) -> Option<Address> {
        let transaction = Transaction {
            chain_id: CHAIN_ID,
            nonce: self.chain.nonce(signer.address(), NonceAt::Latest).unwrap(),
            max_priority_fee_per_gas_wei: 1,
            max_fee_per_gas_wei: 100_000_000_000,
            // What one transaction may cost: the contract creates five others.
            gas_limit: 1 << 24,
            to,
            value_wei: 0,
            data,
            blobs: None,
        };
        let hash = self.chain.send_raw_transaction(&signer.sign(&transaction).raw).unwrap();
        let receipt = wait_for("a transaction", || self.chain.receipt(hash).unwrap());
        assert_eq!(receipt.status, TransactionStatus::Succeeded);
        receipt.contract_address
    }
}

fn scale(asset: AssetId) -> u128 {
    if asset == CASH { CASH_SCALE } else { UNIT_SCALE }
}
