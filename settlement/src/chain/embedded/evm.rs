//! The EVM and the accounts it works on: osaka's rules, mainnet's checks of nonce, balance and fees.
//!
//! What mainnet does around transactions is left out: no withdrawals, no system contracts (EIP-2935, EIP-4788), no blobs.
//! The base fee stands still at [`BASE_FEE_WEI`], so that what a transaction costs can be said beforehand.
//!
//! Invariants: executing changes nothing until [`Evm::commit`]; the same transactions at the same places give the same
//! accounts and the same digests on any machine.

use alloy_consensus::Transaction as _;
use alloy_consensus::constants::EIP4844_TX_TYPE_ID;
use alloy_eips::Typed2718 as _;
use alloy_primitives::{B256, Bytes, TxKind, U256};
use revm::context::result::{EVMError, ExecutionResult, InvalidTransaction};
use revm::context::{BlockEnv, CfgEnv, Context, TxEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::database::{CacheDB, EmptyDB};
use revm::database_interface::WrapDatabaseRef;
use revm::primitives::hardfork::SpecId;
use revm::state::{Account, AccountInfo, EvmState};
use revm::{DatabaseCommit as _, DatabaseRef as _, ExecuteEvm as _, MainBuilder as _, MainContext as _};

use super::super::transaction::Decoded;
use super::super::{Address, Call, ChainError};
use super::{
    BASE_FEE_WEI, BLOB_BASE_FEE_WEI, BLOCK_GAS_LIMIT, CALL_GAS_LIMIT, Genesis, INTERNAL_ERROR, TRANSACTION_REFUSED,
};
use crate::keccak::{Hash, keccak256};

/// How many blocks back a contract can ask for a hash.
const REACHABLE_BLOCK_HASHES: u64 = 256;

/// Where in the chain something is executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) timestamp_s: u64,
    pub(super) parent_hash: Hash,
}

/// All accounts.
#[derive(Debug)]
pub(super) struct Evm {
    chain_id: u64,
    accounts: CacheDB<EmptyDB>,
}

/// What executing a transaction led to.
pub(super) struct Executed {
    pub(super) result: ExecutionResult,
    pub(super) changes: EvmState,
}

impl Evm {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let mut accounts = CacheDB::new(EmptyDB::default());
        for (address, balance_wei) in &genesis.accounts {
            let info = AccountInfo::default().with_balance(U256::from(*balance_wei));
            accounts.insert_account_info(address.0.into(), info);
        }
        Self { chain_id: genesis.chain_id, accounts }
    }

    /// Executes a transaction as the next block would; refuses what no block can contain.
    pub(super) fn execute(&self, transaction: &Decoded, place: Place) -> Result<Executed, ChainError> {
        let inner = &transaction.envelope;
        let environment = TxEnv {
            tx_type: inner.ty(),
            caller: transaction.sender.0.into(),
            gas_limit: inner.gas_limit(),
            gas_price: inner.max_fee_per_gas(),
            kind: inner.kind(),
            value: inner.value(),
            data: inner.input().clone(),
            nonce: inner.nonce(),
            chain_id: inner.chain_id(),
            access_list: inner.access_list().cloned().unwrap_or_default(),
            gas_priority_fee: inner.max_priority_fee_per_gas(),
            blob_hashes: inner.blob_versioned_hashes().unwrap_or_default().to_vec(),
            max_fee_per_blob_gas: inner.max_fee_per_blob_gas().unwrap_or_default(),
            ..TxEnv::default()
        };
        // Before EIP-155 a transaction was good on every chain: what is signed for another one must not run here.
        if environment.chain_id.is_none() {
            return Err(ChainError::refused(TRANSACTION_REFUSED, "only replay-protected (EIP-155) transactions"));
        }
        self.run(environment, place, self.rules())
    }

    /// Tries a call with so much gas, at no price and whatever its sender's nonce.
    pub(super) fn try_call(&self, call: &Call, gas_limit: u64, place: Place) -> Result<ExecutionResult, ChainError> {
        let environment = TxEnv {
            caller: call.from.0.into(),
            gas_limit: gas_limit.min(CALL_GAS_LIMIT),
            gas_price: 0,
            kind: call.to.map_or(TxKind::Create, |to| TxKind::Call(to.0.into())),
            value: U256::from(call.value_wei),
            data: Bytes::copy_from_slice(&call.data),
            chain_id: Some(self.chain_id),
            tx_type: if call.blob_hashes.is_empty() { 0 } else { EIP4844_TX_TYPE_ID },
            blob_hashes: call.blob_hashes.iter().map(|hash| hash.0.into()).collect(),
            max_fee_per_blob_gas: if call.blob_hashes.is_empty() { 0 } else { BLOB_BASE_FEE_WEI },
            ..TxEnv::default()
        };
        let mut rules = self.rules();
        rules.disable_nonce_check = true;
        rules.disable_base_fee = true;
        // A contract may be asked what it would do when called by another contract.
        rules.disable_eip3607 = true;
        Ok(self.run(environment, place, rules)?.result)
    }

    fn rules(&self) -> CfgEnv {
        CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(self.chain_id)
    }

    fn run(&self, environment: TxEnv, place: Place, rules: CfgEnv) -> Result<Executed, ChainError> {
        let block = BlockEnv {
            number: U256::from(place.number),
            timestamp: U256::from(place.timestamp_s),
            gas_limit: BLOCK_GAS_LIMIT,
            basefee: BASE_FEE_WEI,
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: BLOB_BASE_FEE_WEI,
            }),
            prevrandao: Some(B256::from(place.parent_hash.0)),
            ..BlockEnv::default()
        };
        let context = Context::mainnet().with_db(WrapDatabaseRef(&self.accounts)).with_block(block).with_cfg(rules);
        let executed = context.build_mainnet().transact(environment).map_err(|error| refusal(&error))?;
        Ok(Executed { result: executed.result, changes: executed.state })
    }

    /// Makes a block's changes and its hash known.
    pub(super) fn commit(&mut self, changes: EvmState, number: u64, hash: Hash) {
        self.accounts.commit(changes);
        self.note_block(number, hash);
    }

    /// Makes a block's hash known to contracts, and forgets the one that they can no longer ask for.
    pub(super) fn note_block(&mut self, number: u64, hash: Hash) {
        let hashes = &mut self.accounts.cache.block_hashes;
        hashes.insert(U256::from(number), hash.0.into());
        if let Some(old) = number.checked_sub(REACHABLE_BLOCK_HASHES + 1) {
            hashes.remove(&U256::from(old));
        }
    }

    pub(super) fn balance(&self, address: Address) -> U256 {
        self.info(address).balance
    }

    pub(super) fn nonce(&self, address: Address) -> u64 {
        self.info(address).nonce
    }

    pub(super) fn code(&self, address: Address) -> Vec<u8> {
        let hash = self.info(address).code_hash;
        if hash.is_zero() {
            return Vec::new();
        }
        self.accounts.code_by_hash_ref(hash).map_or_else(|never| match never {}, |code| code.original_bytes().to_vec())
    }

    fn info(&self, address: Address) -> AccountInfo {
        let info = self.accounts.basic_ref(address.0.into()).unwrap_or_else(|never| match never {});
        info.unwrap_or_default()
    }
}

/// A hash over what changed: each account with its balance, nonce, code and changed slots, in the order of addresses.
pub(super) fn changes_hash(changes: &EvmState) -> Hash {
    let mut accounts: Vec<_> = changes.iter().filter(|(_, account)| account.is_touched()).collect();
    accounts.sort_unstable_by_key(|(address, _)| **address);
    let mut bytes = Vec::new();
    for (address, account) in accounts {
        append_account(&mut bytes, address.as_slice(), account);
    }
    keccak256(&bytes)
}

fn append_account(bytes: &mut Vec<u8>, address: &[u8], account: &Account) {
    let mut slots: Vec<_> = account.changed_storage_slots().collect();
    slots.sort_unstable_by_key(|(slot, _)| **slot);
    bytes.extend(address);
    bytes.push(u8::from(account.is_selfdestructed()));
    bytes.extend(account.info.balance.to_be_bytes::<32>());
    bytes.extend(account.info.nonce.to_be_bytes());
    bytes.extend(account.info.code_hash.0);
    bytes.extend((slots.len() as u64).to_be_bytes());
    for (slot, value) in slots {
        bytes.extend(slot.to_be_bytes::<32>());
        bytes.extend(value.present_value.to_be_bytes::<32>());
    }
}

/// What mainnet's nodes say, so that one reading of their words fits here too.
fn refusal(error: &EVMError<core::convert::Infallible, InvalidTransaction>) -> ChainError {
    let EVMError::Transaction(invalid) = error else {
        return ChainError::refused(INTERNAL_ERROR, &error.to_string());
    };
    let words = match invalid {
        InvalidTransaction::NonceTooLow { tx, state } => format!("nonce too low: next nonce {state}, tx nonce {tx}"),
        InvalidTransaction::NonceTooHigh { tx, state } => format!("nonce too high: next nonce {state}, tx nonce {tx}"),
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: have {balance} want {fee}")
        }
        InvalidTransaction::GasPriceLessThanBasefee => "max fee per gas less than block base fee".to_owned(),
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. } => "intrinsic gas too low".to_owned(),
        InvalidTransaction::CallerGasLimitMoreThanBlock => "exceeds block gas limit".to_owned(),
        InvalidTransaction::InvalidChainId => "invalid chain id for signer".to_owned(),
        other => other.to_string(),
    };
    ChainError::refused(TRANSACTION_REFUSED, &words)
}
