//! Keys and money that the venue starts with, until deposits come from the chain.

use lakh_engine::command::{Capacities, EvidenceGrade, Genesis, Mode};
use lakh_engine::ids::{AccountId, AssetId};
use lakh_engine::market_spec::AssetSpec;
use lakh_engine::units::Atoms;

use crate::error::Fault;
use crate::listings::units;
use crate::sections::check_range;
use crate::text::{AccountText, OperatorKeyText};
use crate::{hex, well_known};

/// An account of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Its number: from 1 as they stand in the file.
    pub account: AccountId,
    /// Its Ed25519 keys, at least one; each stands once in the whole file.
    pub public_keys: Vec<[u8; 32]>,
    /// Its money by ascending asset, none of it zero; at least one entry, since a deposit is what opens an account.
    pub balances: Vec<(AssetId, Atoms)>,
    /// The weakest evidence that its requests need.
    pub minimum_evidence: EvidenceGrade,
    /// Requests that each of its keys may have remembered at once.
    pub digest_capacity: u32,
}

/// A key that may take operators' decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorKey {
    /// For logs.
    pub name: String,
    /// The Ed25519 public key.
    pub public_key: [u8; 32],
    /// Index into the genesis' role keys: below [`Genesis::ROLES`].
    pub role: u8,
}

/// Collects keys and refuses the second use of one, and well-known ones on a real venue.
pub(crate) struct KeyRing {
    mode: Mode,
    keys: Vec<[u8; 32]>,
}

impl KeyRing {
    pub(crate) const fn new(mode: Mode) -> Self {
        Self { mode, keys: Vec::new() }
    }

    pub(crate) fn add(&mut self, key: &str, text: &str) -> Result<[u8; 32], Fault> {
        let public_key = hex::parse(text).map_err(|reason| Fault::new(key, reason))?;
        if public_key == [0; 32] {
            return Err(Fault::new(key, "is all zeroes"));
        }
        if let (Mode::Run, Some(known)) = (self.mode, well_known::find(&public_key)) {
            return Err(Fault::new(key, format!("is the key of {}, whose secret everybody has", known.name)));
        }
        if self.keys.contains(&public_key) {
            return Err(Fault::new(key, "stands twice; a key once bound is never bound again"));
        }
        self.keys.push(public_key);
        Ok(public_key)
    }
}

/// Resolves `[[genesis.account]]`.
pub(crate) fn resolve_accounts(
    texts: &[AccountText],
    assets: &[AssetSpec],
    capacities: &Capacities,
    ring: &mut KeyRing,
) -> Result<Vec<GenesisAccount>, Fault> {
    let mut accounts = Vec::with_capacity(texts.len());
    for (index, text) in (0_u32..).zip(texts) {
        let account = resolve_account(text, AccountId(index + 1), assets, ring)
            .map_err(|fault| fault.inside(&format!("genesis.account[{index}]")))?;
        accounts.push(account);
    }
    check_totals(&accounts, assets, capacities)?;
    Ok(accounts)
}

/// Refuses a real venue whose operator says for an owner what only that owner may: that less than a signature will do.
pub(crate) fn check_evidence(mode: Mode, accounts: &[GenesisAccount]) -> Result<(), Fault> {
    let weak = accounts.iter().position(|account| account.minimum_evidence < EvidenceGrade::Signed);
    match weak.filter(|_| mode == Mode::Run) {
        Some(index) => Err(Fault::new(
            format!("genesis.account[{index}].minimum_evidence"),
            "is below signed, which only the account's owner may allow (account.allowEvidence)",
        )),
        None => Ok(()),
    }
}

fn resolve_account(
    text: &AccountText,
    account: AccountId,
    assets: &[AssetSpec],
    ring: &mut KeyRing,
) -> Result<GenesisAccount, Fault> {
    if text.public_keys.is_empty() {
        return Err(Fault::new("public_keys", "is empty: nobody could trade or withdraw"));
    }
    let mut public_keys = Vec::with_capacity(text.public_keys.len());
    for (index, key) in text.public_keys.iter().enumerate() {
        public_keys.push(ring.add(&format!("public_keys[{index}]"), key)?);
    }
    if text.balances.is_empty() {
        return Err(Fault::new("balances", "is empty, and only a deposit opens an account"));
    }
    let mut balances = Vec::with_capacity(text.balances.len());
    for (symbol, amount) in &text.balances {
        let key = format!("balances.{symbol}");
        let asset = assets.iter().find(|asset| asset.symbol.as_str() == symbol);
        let asset = asset.ok_or_else(|| Fault::new(&key, "is no listed [[asset]]"))?;
        let atoms = units(&key, amount, asset.decimals)?;
        if atoms == 0 {
            return Err(Fault::new(key, "is zero: leave it out"));
        }
        balances.push((asset.asset, Atoms(atoms)));
    }
    balances.sort_unstable();
    check_range("digest_capacity", text.digest_capacity, 1..=1 << 26)?;
    Ok(GenesisAccount {
        account,
        public_keys,
        balances,
        minimum_evidence: text.minimum_evidence,
        digest_capacity: text.digest_capacity,
    })
}

/// Refuses what fits each account but not all of them.
fn check_totals(accounts: &[GenesisAccount], assets: &[AssetSpec], capacities: &Capacities) -> Result<(), Fault> {
    let keys = |account: &GenesisAccount| account.public_keys.len() as u128;
    let rows = [
        // The venue's own account stands in the table too.
        ("accounts", accounts.len() as u128 + 1, capacities.accounts),
        ("keys", accounts.iter().map(keys).sum(), capacities.keys),
        // Each key reserves its digests, so that no key can fill the store for another.
        ("digests", accounts.iter().map(|a| keys(a) * u128::from(a.digest_capacity)).sum(), capacities.digests),
    ];
    for (capacity, needed, room) in rows {
        if needed > u128::from(room) {
            let reason = format!("needs {needed} {capacity} in all, and capacities.{capacity} is {room}");
            return Err(Fault::new("genesis.account", reason));
        }
    }
    for asset in assets {
        let held = accounts.iter().flat_map(|account| &account.balances).filter(|(id, _)| *id == asset.asset);
        if held.map(|(_, atoms)| u128::from(atoms.0)).sum::<u128>() > u128::from(lakh_engine::SUPPLY_CAP.raw()) {
            let reason = format!("holds more {} in all than the engine's supply cap of 2^62 atoms", asset.symbol);
            return Err(Fault::new("genesis.account", reason));
        }
    }
    Ok(())
}

/// Resolves `[[operator_key]]`.
pub(crate) fn resolve_operator_keys(texts: &[OperatorKeyText], ring: &mut KeyRing) -> Result<Vec<OperatorKey>, Fault> {
    let mut keys = Vec::<OperatorKey>::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let key = resolve_operator_key(text, ring).map_err(|fault| fault.inside(&format!("operator_key[{index}]")))?;
        if keys.iter().any(|known| known.role == key.role) {
            return Err(Fault::new(format!("operator_key[{index}].role"), format!("{} has a key already", key.role)));
        }
        keys.push(key);
    }
    Ok(keys)
}

/// Refuses what is no name for logs.
pub(crate) fn check_name(name: &str) -> Result<(), Fault> {
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if printable && (1..=32).contains(&name.len()) {
        return Ok(());
    }
    Err(Fault::new("name", format!("{name:?} is not 1 to 32 printable ASCII characters")))
}

fn resolve_operator_key(text: &OperatorKeyText, ring: &mut KeyRing) -> Result<OperatorKey, Fault> {
    check_name(&text.name)?;
    let public_key = ring.add("public_key", &text.public_key)?;
    let last_role = u8::try_from(Genesis::ROLES - 1).expect("there are four roles");
    check_range("role", text.role, 0..=last_role)?;
    Ok(OperatorKey { name: text.name.clone(), public_key, role: text.role })
}
