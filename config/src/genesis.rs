//! The first records of a new journal: what the configuration says, as commands.
//!
//! Afterwards the journal is the authority: a change of the file changes nothing that these commands decided.

use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, Command, Deposit, Genesis, MarketState, RegisterKey, SettlementBinding,
};
use lakh_engine::ids::Reason;
use lakh_engine::market_spec::FeeTable;
use lakh_engine::units::Timestamp;

use crate::accounts::GenesisAccount;
use crate::error::{ConfigError, Fault};
use crate::listings::ListedMarket;
use crate::venue::Config;

/// What a new journal draws at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenesisSeed {
    /// Identity of the exchange, not zero; `exchange.id` where the configuration names one.
    pub exchange_id: [u8; 16],
    /// Seed of the engine's hash tables.
    pub hash_seed: u64,
}

impl Config {
    /// The commands that make an empty engine into this venue, in the order in which they are to be journaled: the
    /// genesis, assets, markets, their tiers of fees and states, deposits, keys, account policies. The epoch that ends the genesis phase
    /// is the caller's.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when the seed's identity is zero or not the configured one.
    pub fn genesis_commands(&self, seed: GenesisSeed) -> Result<Vec<Command>, ConfigError> {
        self.check_identity(seed.exchange_id).map_err(|fault| fault.in_file(&self.file))?;
        let mut commands = vec![self.genesis(seed)];
        commands.extend(self.assets.iter().map(|asset| admin(AdminAction::ListAsset(*asset))));
        commands.extend(self.markets.iter().map(|market| admin(AdminAction::ListMarket(market.spec))));
        // Listing gives every tier the same fees.
        let tiered =
            |market: &&ListedMarket| market.fees != FeeTable::flat(market.spec.maker_fee, market.spec.taker_fee);
        commands.extend(
            self.markets
                .iter()
                .filter(tiered)
                .map(|market| admin(AdminAction::SetFees { market: market.spec.market, fees: market.fees })),
        );
        // Listing leaves a market before its opening, so that state needs no record.
        commands.extend(
            self.markets
                .iter()
                .filter(|market| market.state != MarketState::PreOpen)
                .map(|market| admin(AdminAction::SetMarketState { market: market.spec.market, state: market.state })),
        );
        commands.extend(self.accounts.iter().flat_map(deposits));
        commands.extend(self.accounts.iter().flat_map(registrations));
        commands.extend(self.accounts.iter().map(|account| {
            admin(AdminAction::SetAccountPolicy { account: account.account, minimum_grade: account.minimum_evidence })
        }));
        Ok(commands)
    }

    fn check_identity(&self, exchange_id: [u8; 16]) -> Result<(), Fault> {
        match self.exchange.id {
            _ if exchange_id == [0; 16] => Err(Fault::new("exchange.id", "is all zeroes")),
            Some(id) if id != exchange_id => Err(Fault::new("exchange.id", "is not the identity of this journal")),
            _ => Ok(()),
        }
    }

    fn genesis(&self, seed: GenesisSeed) -> Command {
        let mut role_keys = [[0; 32]; Genesis::ROLES];
        for key in &self.operator_keys {
            role_keys[usize::from(key.role)] = key.public_key;
        }
        Command::Genesis(Genesis {
            exchange_id: seed.exchange_id,
            venue_tag: self.exchange.venue_tag,
            mode: self.exchange.mode,
            hash_seed: seed.hash_seed,
            capacities: self.capacities,
            role_keys,
            fee_notice_s: self.exchange.fee_notice_s,
            share_parts: self.share_parts,
            settlement: self.settlement.as_ref().map_or(SettlementBinding::NONE, |settlement| settlement.binding),
        })
    }
}

fn admin(action: AdminAction) -> Command {
    let reason = Reason::new("configuration at genesis").expect("a short constant of printable ASCII");
    Command::Admin(AdminCommand { authority: AdminAuthority::Genesis, action, reason })
}

fn deposits(account: &GenesisAccount) -> impl Iterator<Item = Command> + '_ {
    account.balances.iter().map(|(asset, amount)| {
        Command::Deposit(Deposit {
            account: account.account,
            // Nobody on the chain owns the account: its money never came from there.
            owner: [0; 20],
            asset: *asset,
            amount: *amount,
        })
    })
}

fn registrations(account: &GenesisAccount) -> impl Iterator<Item = Command> + '_ {
    (1_u32..).zip(&account.public_keys).map(|(epoch, public_key)| {
        admin(AdminAction::RegisterKey(RegisterKey {
            account: account.account,
            public_key: *public_key,
            epoch,
            expires_at: Timestamp::ZERO,
            digest_capacity: account.digest_capacity,
        }))
    })
}
