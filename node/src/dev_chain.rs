//! The demonstration's chain: an EVM in this process with the contracts on it, and everybody's money really deposited.
//!
//! What has to happen on the chain is a script of transactions for each key, the deployer's first. The n-th one has nonce
//! n, so the chain's own nonce says how far an earlier run came: a demonstration that was killed on the way goes on, and
//! contracts and accounts always come out with the same addresses and numbers. The secrets follow from public texts.
//!
//! Bounds: what [`EmbeddedChain`] and its server state; a script has a handful of transactions an account and asset.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use lakh_config::{Config, DataPlace, GenesisAccount, PosterPlace, SettlementConfig};
use lakh_engine::SUPPLY_CAP;
use lakh_engine::command::SettlementBinding;
use lakh_loadtest::random::SplitMix64;
use lakh_settlement::chain::embedded::server::EmbeddedServer;
use lakh_settlement::chain::embedded::{BlockClock, EmbeddedChain, Genesis};
use lakh_settlement::chain::transaction::{Transaction, TransactionSigner};
use lakh_settlement::chain::{Address, BlockTag, Call, Chain as _, NonceAt, TransactionStatus};
use lakh_settlement::contract::{self, answer, deploy};
use lakh_settlement::poster::PosterKeys;
use serde::{Deserialize, Serialize};

use crate::keys::hex;

/// Seed of the demonstration's secrets, which everybody may know.
const KEY_SEED: u64 = 0x6465_6d6f;
/// The id that development chains have.
const CHAIN_ID: u64 = 31_337;
/// What everybody has for gas: ten thousand ether.
const WEI: u128 = 10_000 * 1_000_000_000_000_000_000;
/// More than any transaction of the script needs.
const GAS_LIMIT: u64 = 16_000_000;
const MAX_FEE_WEI: u128 = 2_000_000_000;
/// How long a batch waits until it is final.
const WINDOW_SECONDS: u64 = 10;

/// What a visitor needs to know of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChainReady {
    /// Its JSON-RPC.
    pub(crate) url: String,
    pub(crate) chain_id: u64,
    /// The contract that takes deposits and batches.
    pub(crate) settlement: String,
    /// The contract that holds the tokens: approve it before a deposit.
    pub(crate) vault: String,
    /// The tokens by the assets' symbols.
    pub(crate) tokens: BTreeMap<String, String>,
    /// The secret of the key that owns account 1 on the chain.
    pub(crate) owner_secret: String,
}

/// The chain, served, with every contract in place.
pub(crate) struct DevChain {
    pub(crate) chain: EmbeddedChain,
    server: EmbeddedServer,
    contract: Address,
    tokens: Vec<Address>,
}

/// Whose key.
#[derive(Clone, Copy)]
enum Who {
    Operator,
    Header,
    Administrator,
    /// The owner of the account with this number.
    Owner(u64),
}

/// A secret of the demonstration, known to everybody.
fn secret(who: Who) -> [u8; 32] {
    let stream = match who {
        Who::Owner(number) => number,
        Who::Operator => 1 << 32,
        Who::Administrator => 2 << 32,
        Who::Header => 3 << 32,
    };
    SplitMix64::stream(KEY_SEED, stream).bytes_32()
}

fn signer(who: Who) -> TransactionSigner {
    TransactionSigner::from_secret(&secret(who))
        .expect("a test makes the first of them; none is above the curve's order")
}

/// Who posts the batches.
fn operator() -> TransactionSigner {
    signer(Who::Operator)
}

/// Who signs their headers.
fn header_key() -> TransactionSigner {
    signer(Who::Header)
}

/// Both of them.
pub(crate) fn keys() -> PosterKeys {
    PosterKeys { poster: operator(), header: header_key() }
}

impl DevChain {
    /// Opens the chain in `directory` or begins it, serves it, and brings the contracts onto it.
    pub(crate) async fn start(config: &Config, directory: &Path, listen: SocketAddr) -> Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("{} cannot be created", directory.display()))?;
        let owners = (1..).map(Who::Owner).take(config.accounts.len());
        let everybody = [Who::Operator, Who::Administrator].into_iter().chain(owners);
        let accounts = everybody.map(|who| (signer(who).address(), WEI)).collect();
        let genesis = Genesis { chain_id: CHAIN_ID, accounts };
        let chain = EmbeddedChain::open(Some(directory), &genesis, BlockClock::System)?;
        let server = EmbeddedServer::start(chain.clone(), listen).await.context("the chain cannot be served")?;
        let administrator = signer(Who::Administrator);
        let contract = deploy::created_address(administrator.address(), 0);
        let tokens = (1..).take(config.assets.len());
        let tokens = tokens.map(|nonce| deploy::created_address(administrator.address(), nonce)).collect();
        let dev = Self { chain, server, contract, tokens };
        dev.run(&administrator, &dev.deployment(config, administrator.address()))?;
        Ok(dev)
    }

    /// How the venue settles here.
    pub(crate) fn settlement_config(&self) -> SettlementConfig {
        SettlementConfig {
            chain_url: self.server.url(),
            binding: SettlementBinding { chain_id: CHAIN_ID, contract: self.contract.0 },
            first_block: 0,
            poster_key_file: "".into(),
            header_key_file: "".into(),
            poster: PosterPlace::Node,
            data: DataPlace::Calldata,
            confirmations: 0,
            batch_interval_ms: 10_000,
            withdrawal_interval_ms: 2_000,
            chain_interval_ms: 100,
        }
    }

    /// Gives each account its money and registers its keys, by its owner's own transactions.
    pub(crate) fn fund(&self, config: &Config, accounts: &[GenesisAccount]) -> Result<()> {
        let vault = self.vault()?;
        for (number, account) in (1..).zip(accounts) {
            let owner = signer(Who::Owner(number));
            let mut script = Vec::new();
            for (asset, atoms) in &account.balances {
                let index = usize::from(asset.0);
                let units = u128::from(atoms.raw()) * u128::from(config.assets[index].chain_units_per_atom);
                let token = Some(self.tokens[index]);
                script.push((token, contract::mint(owner.address(), units)));
                script.push((token, contract::approve(vault, units)));
                script.push((Some(self.contract), contract::deposit(*asset, units)));
            }
            let register = |key: &[u8; 32]| (Some(self.contract), contract::register_key(*key));
            script.extend(account.public_keys.iter().map(register));
            self.run(&owner, &script)?;
        }
        Ok(())
    }

    /// What to tell visitors.
    pub(crate) fn ready(&self, config: &Config) -> Result<ChainReady> {
        let tokens = config.assets.iter().zip(&self.tokens);
        Ok(ChainReady {
            url: self.server.url(),
            chain_id: CHAIN_ID,
            settlement: self.contract.to_string(),
            vault: self.vault()?.to_string(),
            tokens: tokens.map(|(asset, token)| (asset.symbol.to_string(), token.to_string())).collect(),
            owner_secret: format!("0x{}", hex(&secret(Who::Owner(1)))),
        })
    }

    /// Ends the service. The chain itself is as durable as it was.
    pub(crate) async fn stop(self) -> Result<()> {
        self.server.stop().await.context("the chain's service ended badly")
    }

    fn vault(&self) -> Result<Address> {
        let call = Call {
            from: self.contract,
            to: Some(self.contract),
            data: contract::vault(),
            value_wei: 0,
            blob_hashes: Vec::new(),
        };
        let answer = self.chain.call(&call, BlockTag::Latest)?;
        answer::address(&answer).context("the contract does not name its vault")
    }

    /// The contract, then a token for each asset, then their listing.
    fn deployment(&self, config: &Config, administrator: Address) -> Vec<(Option<Address>, Vec<u8>)> {
        let setup = deploy::Setup {
            operator: operator().address(),
            signer: header_key().address(),
            window_seconds: WINDOW_SECONDS,
            ..deploy::Setup::in_one_hand(administrator)
        };
        let mut script = vec![(None, deploy::settlement(&setup))];
        script.extend(config.assets.iter().map(|asset| {
            let symbol = asset.symbol.as_str();
            let scale_digits = u8::try_from(asset.chain_units_per_atom.ilog10()).expect("at most 19");
            (None, deploy::demo_token(&format!("Demo {symbol}"), symbol, asset.decimals + scale_digits))
        }));
        script.extend(config.assets.iter().zip(&self.tokens).map(|(asset, token)| {
            let listing = contract::list_asset(*token, asset.chain_units_per_atom, 1, SUPPLY_CAP.raw());
            (Some(self.contract), listing)
        }));
        script
    }

    /// Sends what the chain does not have yet of a key's script.
    fn run(&self, signer: &TransactionSigner, script: &[(Option<Address>, Vec<u8>)]) -> Result<()> {
        let done = self.chain.nonce(signer.address(), NonceAt::Latest)?;
        for (nonce, (to, data)) in (0..).zip(script).skip(usize::try_from(done)?) {
            let transaction = Transaction {
                chain_id: CHAIN_ID,
                nonce,
                max_priority_fee_per_gas_wei: 1,
                max_fee_per_gas_wei: MAX_FEE_WEI,
                gas_limit: GAS_LIMIT,
                to: *to,
                value_wei: 0,
                data: data.clone(),
                blobs: None,
            };
            let hash = self.chain.send_raw_transaction(&signer.sign(&transaction).raw)?;
            let receipt = self.chain.receipt(hash)?.context("the embedded chain mines at once")?;
            ensure!(receipt.status == TransactionStatus::Succeeded, "transaction {nonce} of a demo key reverted");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demonstration_killed_on_the_way_goes_on() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config = Config::dev();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let run = |accounts: usize| {
            runtime.block_on(async {
                let dev = DevChain::start(&config, directory.path(), listen).await.unwrap();
                dev.fund(&config, &config.accounts[..accounts]).unwrap();
                let ready = dev.ready(&config).unwrap();
                let block = dev.chain.block_number(BlockTag::Latest).unwrap();
                dev.stop().await.unwrap();
                (ChainReady { url: String::new(), ..ready }, block)
            })
        };
        let (first, halfway) = run(2);
        let (second, all) = run(4);
        let (third, nothing_new) = run(4);
        assert!(halfway < all && all == nothing_new, "{halfway} {all} {nothing_new}");
        assert_eq!((&first, &second), (&second, &third));
        assert_eq!(first.tokens.len(), 3);
    }
}
