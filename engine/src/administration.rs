//! Operators' decisions and money from and to the outside.
//!
//! Genesis authority ends with the first epoch; a role proves itself by a signature that the node has checked and by a
//! nonce that counts up; the node itself may only close markets. Every decision is in the journal with its reason.

use crate::accounts::{Account, Key, KeyStatus};
use crate::balances::{SUPPLY_CAP, Totals};
use crate::command::{
    AdminAction, AdminAuthority, AdminCommand, Deposit, FundsSource, Genesis, MarketState, RegisterKey, Withdraw,
};
use crate::engine::{GenesisPhase, Moment, Shard};
use crate::event::Event;
use crate::ids::{AssetId, MarketId};
use crate::market::Market;
use crate::market_spec::{AssetSpec, MarketSpec};
use crate::nonces::NonceWindow;
use crate::reject::RejectCode;
use crate::trading::VENUE;
use crate::units::Atoms;

impl Shard {
    /// Carries out an operator's decision.
    pub(crate) fn administer(
        &mut self,
        moment: Moment,
        admin: &AdminCommand,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectCode> {
        self.authorise(moment, admin)?;
        match &admin.action {
            AdminAction::ListAsset(spec) => self.list_asset(spec, events),
            AdminAction::ListMarket(spec) => self.list_market(spec, events),
            AdminAction::SetMarketState { market, state } => {
                let entry = self.market_mut(*market)?;
                entry.state = *state;
                let feed_sequence = entry.next_feed();
                let (market, state, reason) = (*market, *state, admin.reason);
                events.push(Event::MarketStateChanged { market, state, reason, feed_sequence });
                Ok(())
            }
            AdminAction::SetFees { market, maker_fee, taker_fee } => {
                let spec = MarketSpec { maker_fee: *maker_fee, taker_fee: *taker_fee, ..self.market(*market)?.spec };
                self.validate_market(&spec)?;
                self.market_mut(*market)?.spec = spec;
                events.push(Event::FeesChanged { market: *market, maker_fee: *maker_fee, taker_fee: *taker_fee });
                Ok(())
            }
            AdminAction::RegisterKey(registration) => self.register_key(moment, registration, events),
            AdminAction::RevokeKey { key } => {
                let known = self.accounts.key(*key).ok_or(RejectCode::KeyUnknown)?;
                match known.status {
                    KeyStatus::Revoked => return Err(RejectCode::KeyRevoked),
                    KeyStatus::Expired => return Err(RejectCode::KeyExpired),
                    KeyStatus::Pending | KeyStatus::Live => {}
                }
                let cause = self.accounts.revoke(*key);
                events.push(Event::KeyEnded { key: *key, cause });
                Ok(())
            }
            AdminAction::SetAccountPolicy { account, minimum_grade } => {
                self.accounts.account(*account).ok_or(RejectCode::AccountUnknown)?;
                self.accounts.account_mut(*account).minimum_grade = *minimum_grade;
                events.push(Event::AccountPolicyChanged { account: *account, minimum_grade: *minimum_grade });
                Ok(())
            }
        }
    }

    /// Whether the authority may take this decision; uses up a role's nonce.
    fn authorise(&mut self, moment: Moment, admin: &AdminCommand) -> Result<(), RejectCode> {
        match admin.authority {
            AdminAuthority::Genesis if moment.genesis_phase == GenesisPhase::Open => Ok(()),
            AdminAuthority::Genesis => Err(RejectCode::GenesisOver),
            AdminAuthority::Node => match admin.action {
                AdminAction::SetMarketState { state: MarketState::CancelOnly | MarketState::Halt, .. } => Ok(()),
                _ => Err(RejectCode::NotAuthorised),
            },
            AdminAuthority::Role { role, nonce } => {
                let index = usize::from(role);
                if index >= Genesis::ROLES || self.genesis.role_keys[index] == [0; 32] {
                    return Err(RejectCode::NotAuthorised);
                }
                if nonce != self.role_nonces[index] + 1 {
                    return Err(RejectCode::WrongAdminNonce);
                }
                self.role_nonces[index] = nonce;
                Ok(())
            }
        }
    }

    fn market_mut(&mut self, market: MarketId) -> Result<&mut Market, RejectCode> {
        self.markets.get_mut(usize::from(market.0)).ok_or(RejectCode::MarketUnknown)
    }

    fn list_asset(&mut self, spec: &AssetSpec, events: &mut Vec<Event>) -> Result<(), RejectCode> {
        let symbol_taken = self.assets.iter().any(|known| known.symbol == spec.symbol);
        if usize::from(spec.asset.0) != self.assets.len() || symbol_taken {
            return Err(RejectCode::AlreadyListed);
        }
        spec.validate().map_err(|_| RejectCode::BadSpecification)?;
        if self.assets.len() == usize::from(self.genesis.capacities.assets) {
            return Err(RejectCode::TableFull);
        }
        self.assets.push(*spec);
        events.push(Event::AssetListed(*spec));
        Ok(())
    }

    fn list_market(&mut self, spec: &MarketSpec, events: &mut Vec<Event>) -> Result<(), RejectCode> {
        let symbol_taken = self.markets.iter().any(|known| known.spec.symbol == spec.symbol);
        if usize::from(spec.market.0) != self.markets.len() || symbol_taken {
            return Err(RejectCode::AlreadyListed);
        }
        self.validate_market(spec)?;
        if self.markets.len() == usize::from(self.genesis.capacities.markets) {
            return Err(RejectCode::TableFull);
        }
        self.markets.push(Market::new(*spec, self.genesis.capacities.accounts, self.genesis.hash_seed));
        events.push(Event::MarketListed(*spec));
        Ok(())
    }

    /// Whether the specification fits its assets.
    pub(crate) fn validate_market(&self, spec: &MarketSpec) -> Result<(), RejectCode> {
        let asset = |asset: AssetId| self.assets.get(usize::from(asset.0)).ok_or(RejectCode::AssetUnknown);
        let (base, quote) = (asset(spec.base)?, asset(spec.quote)?);
        let bounded = spec.max_orders <= 1 << 26 && spec.max_levels <= 1 << 24 && !spec.symbol.is_empty();
        match spec.validate(base, quote) {
            Ok(()) if bounded => Ok(()),
            _ => Err(RejectCode::BadSpecification),
        }
    }

    fn register_key(
        &mut self,
        moment: Moment,
        registration: &RegisterKey,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectCode> {
        let digests_reserved = self.digests_reserved.checked_add(registration.digest_capacity);
        let digests_reserved = digests_reserved.filter(|all| *all <= self.digests.capacity());
        let digests_reserved = digests_reserved.ok_or(RejectCode::TableFull);
        match (self.accounts.check_registration(registration), digests_reserved) {
            (Err(code), Err(no_room)) => return Err(code.min(no_room)),
            (Err(code), Ok(_)) | (Ok(()), Err(code)) => return Err(code),
            (Ok(()), Ok(all)) => self.digests_reserved = all,
        }
        let RegisterKey { account, public_key, expires_at, digest_capacity, epoch } = *registration;
        let status = match moment.genesis_phase {
            GenesisPhase::Open => KeyStatus::Live,
            GenesisPhase::Over => KeyStatus::Pending,
        };
        self.accounts.account_mut(account).key_epoch = epoch;
        let nonces = NonceWindow::EMPTY;
        let key =
            self.accounts.add_key(Key { public_key, account, status, expires_at, digest_capacity, digests: 0, nonces });
        events.push(Event::KeyRegistered { key, account, public_key, expires_at });
        if status == KeyStatus::Live {
            events.push(Event::KeyActivated { key });
        }
        Ok(())
    }

    /// Credits money that arrived; the next unused account number opens an account.
    pub(crate) fn deposit(
        &mut self,
        moment: Moment,
        deposit: &Deposit,
        events: &mut Vec<Event>,
    ) -> Result<(), RejectCode> {
        if deposit.source == FundsSource::Genesis && moment.genesis_phase == GenesisPhase::Over {
            return Err(RejectCode::GenesisOver);
        }
        self.assets.get(usize::from(deposit.asset.0)).ok_or(RejectCode::AssetUnknown)?;
        let opens = self.accounts.opens(deposit.account, deposit.owner)?;
        let queue_id = self.next_queue_id(deposit.source)?;
        let Totals { deposited, withdrawn } = self.balances.totals(deposit.asset);
        let fits = deposited.checked_add(deposit.amount).is_some_and(|all| all - withdrawn <= SUPPLY_CAP);
        if deposit.amount == Atoms::ZERO || !fits {
            return Err(RejectCode::AmountOutOfRange);
        }
        self.last_queue_id = queue_id;
        if opens {
            self.accounts.open(Account { owner: deposit.owner, ..Account::default() });
            events.push(Event::AccountOpened { account: deposit.account, owner: deposit.owner });
        }
        self.balances.deposit(deposit.account, deposit.asset, deposit.amount);
        events.push(Event::DepositCredited {
            account: deposit.account,
            asset: deposit.asset,
            amount: deposit.amount,
            report_sequence: self.accounts.next_report(deposit.account),
        });
        Ok(())
    }

    /// Debits money that leaves.
    pub(crate) fn withdraw(&mut self, withdraw: &Withdraw, events: &mut Vec<Event>) -> Result<(), RejectCode> {
        if withdraw.source == FundsSource::Genesis {
            return Err(RejectCode::NotAuthorised);
        }
        self.assets.get(usize::from(withdraw.asset.0)).ok_or(RejectCode::AssetUnknown)?;
        if withdraw.account == VENUE || self.accounts.account(withdraw.account).is_none() {
            return Err(RejectCode::WrongAccount);
        }
        let queue_id = self.next_queue_id(withdraw.source)?;
        if withdraw.amount == Atoms::ZERO {
            return Err(RejectCode::AmountOutOfRange);
        }
        // The entry is used up even where there is too little: the owner may ask again with another one.
        self.last_queue_id = queue_id;
        if self.balances.balance(withdraw.account, withdraw.asset).available < withdraw.amount {
            return Err(RejectCode::InsufficientBalance);
        }
        self.balances.withdraw(withdraw.account, withdraw.asset, withdraw.amount);
        events.push(Event::Withdrawn {
            account: withdraw.account,
            asset: withdraw.asset,
            amount: withdraw.amount,
            report_sequence: self.accounts.next_report(withdraw.account),
        });
        Ok(())
    }

    /// The queue's last id once this movement is done.
    fn next_queue_id(&self, source: FundsSource) -> Result<u64, RejectCode> {
        match source {
            FundsSource::Genesis => Ok(self.last_queue_id),
            FundsSource::ChainQueue { queue_id } if queue_id == self.last_queue_id + 1 => Ok(queue_id),
            FundsSource::ChainQueue { .. } => Err(RejectCode::WrongQueueId),
        }
    }
}
