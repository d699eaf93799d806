//! One set of tests over every chain: embedded, embedded behind its own JSON-RPC, and anvil where it is installed.

mod anvil;
mod embedded;
mod hostile;
mod suite;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::embedded::server::EmbeddedServer;
use super::embedded::{BlockClock, EmbeddedChain, Genesis};
use super::rpc::{RpcChain, RpcOptions};
use super::transaction::{Transaction, TransactionSigner};
use super::{Address, Chain, hex};
use crate::keccak::Hash;

/// The chain id that anvil has too.
const CHAIN_ID: u64 = 31_337;

/// What the accounts of development chains have.
const TEN_THOUSAND_ETHER: u128 = 10_000 * 1_000_000_000_000_000_000;

/// When the tests' blocks are mined.
const NOW_S: u64 = 1_800_000_000;

/// ```solidity
/// contract Counter {
///     uint256 public count;
///     event Counted(address indexed by, uint256 count);
///     error TooMuch(uint256 amount);
///     function add(uint256 amount) external {
///         if (amount > 10) revert TooMuch(amount);
///         count += amount;
///         emit Counted(msg.sender, count);
///     }
/// }
/// ```
/// solc 0.8.37, optimised for 1 run, for cancun, without metadata.
const COUNTER: &str = "0x6080604052348015600e575f5ffd5b5061011b8061001c5f395ff3fe608060405234801561000f575f5ffd5b50600436\
    10610034575f3560e01c806306661abd146100385780631003e2d214610052575b5f5ffd5b6100405f5481565b60405190815260200160405180\
    910390f35b6100656100603660046100df565b610067565b005b600a8111156100905760405163383c34f360e21b815260048101829052602401\
    60405180910390fd5b805f5f8282546100a091906100f6565b90915550505f5460405190815233907f661fab7f24b9fdb6d088a46b82c477922b\
    83ae7f1de8173a4670c3802fc6f9219060200160405180910390a250565b5f602082840312156100ef575f5ffd5b5035919050565b8082018082\
    111561011557634e487b7160e01b5f52601160045260245ffd5b9291505056";

/// The first topic of `Counted`.
const COUNTED: Hash = Hash([
    0x66, 0x1f, 0xab, 0x7f, 0x24, 0xb9, 0xfd, 0xb6, 0xd0, 0x88, 0xa4, 0x6b, 0x82, 0xc4, 0x77, 0x92, 0x2b, 0x83, 0xae,
    0x7f, 0x1d, 0xe8, 0x17, 0x3a, 0x46, 0x70, 0xc3, 0x80, 0x2f, 0xc6, 0xf9, 0x21,
]);

/// The first account of every development chain.
fn signer() -> TransactionSigner {
    let secret = hex::decode_array("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    TransactionSigner::from_secret(&secret.unwrap()).unwrap()
}

fn counter_code() -> Vec<u8> {
    hex::decode(COUNTER).unwrap()
}

fn word(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

fn add(amount: u64) -> Vec<u8> {
    [&[0x10, 0x03, 0xe2, 0xd2][..], &word(amount)].concat()
}

fn count() -> Vec<u8> {
    vec![0x06, 0x66, 0x1a, 0xbd]
}

/// What `add` reverts with: the selector stands in the code shifted left by two bits.
fn too_much(amount: u64) -> Vec<u8> {
    [&(0x383c_34f3_u32 << 2).to_be_bytes()[..], &word(amount)].concat()
}

fn genesis() -> Genesis {
    Genesis { chain_id: CHAIN_ID, accounts: vec![(signer().address(), TEN_THOUSAND_ETHER)] }
}

/// A clock that stands still until it is moved.
fn clock() -> (Arc<AtomicU64>, BlockClock) {
    let seconds = Arc::new(AtomicU64::new(NOW_S));
    (Arc::clone(&seconds), BlockClock::Manual(seconds))
}

fn in_memory() -> EmbeddedChain {
    EmbeddedChain::open(None, &genesis(), clock().1).unwrap()
}

/// A transaction of the first account, with room to spare.
fn transaction(nonce: u64, to: Option<Address>, data: Vec<u8>) -> Transaction {
    Transaction {
        chain_id: CHAIN_ID,
        nonce,
        max_priority_fee_per_gas_wei: 1_000_000_000,
        max_fee_per_gas_wei: 5_000_000_000,
        gas_limit: 1_000_000,
        to,
        value_wei: 0,
        data,
        blobs: None,
    }
}

/// Signs and sends, and gives the hash.
fn send(chain: &dyn Chain, transaction: &Transaction) -> Hash {
    let signed = signer().sign(transaction);
    assert_eq!(chain.send_raw_transaction(&signed.raw).unwrap(), signed.hash);
    signed.hash
}

fn rpc(url: String) -> RpcChain {
    RpcChain::new(&RpcOptions { url, blobs_url: None, timeout: std::time::Duration::from_secs(30) }).unwrap()
}

/// A chain that is served, and what serves it.
struct Served {
    runtime: tokio::runtime::Runtime,
    server: Option<EmbeddedServer>,
    rpc: RpcChain,
}

impl Served {
    fn start(chain: EmbeddedChain) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(EmbeddedServer::start(chain, ([127, 0, 0, 1], 0).into())).unwrap();
        let rpc = rpc(server.url());
        Self { runtime, server: Some(server), rpc }
    }

    fn url(&self) -> String {
        self.server.as_ref().unwrap().url()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let server = self.server.take().unwrap();
        self.runtime.block_on(server.stop()).unwrap();
    }
}
