//! Operators' decisions, and the money and keys that they and the chain bring in.
//!
//! Genesis authority ends with the first epoch; a role proves itself by a signature that the node has checked and by a
//! nonce that counts up, and where money is touched two of them have to; the node itself may only close markets further than they are, and take those that its own start
//! has closed back to where they were, one step at a time. Every decision is in the journal
//! with its reason.

use crate::accounts::{Account, Key, KeyStatus};
use crate::balances::{SUPPLY_CAP, Totals};
use crate::command::{
    AdminAction, AdminAuthority, AdminCommand, Deposit, EvidenceGrade, Genesis, KeyLimits, KeyScope, MarketState, Mode,
    RegisterKey,
};
use crate::emitter::Emitter;
use crate::engine::{GenesisPhase, Moment, Shard};
use crate::event::Event;
use crate::ids::{AccountId, AssetId, KeyId, MarketId};
use crate::market::Market;
use crate::market_spec::{AssetSpec, MarketSpec};
use crate::nonces::NonceWindow;
use crate::reject::{RejectCode, both};
use crate::shares::SharedTable;
use crate::units::Atoms;

impl Shard {
    /// Carries out an operator's decision.
    #[inline(never)]
    pub(crate) fn administer(
        &mut self,
        moment: Moment,
        admin: &AdminCommand,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        self.authorise(moment, admin)?;
        match &admin.action {
            AdminAction::ListAsset(spec) => self.list_asset(spec, events),
            AdminAction::ListMarket(spec) => self.list_market(spec, events),
            AdminAction::SetMarketState { market, state } => {
                let entry = self.market_mut(*market)?;
                entry.set_state(*state);
                let feed_sequence = entry.next_feed();
                let (market, state, reason) = (*market, *state, admin.reason);
                events.push(Event::MarketStateChanged { market, state, reason, feed_sequence });
                Ok(())
            }
            AdminAction::SetFees { market, fees } => self.set_fees(moment, *market, fees, events),
            AdminAction::SetFeeTier { account, tier } => self.set_fee_tier(moment, *account, *tier, events),
            AdminAction::Quarantine { sequence } => self.note_quarantine(moment, *sequence, events),
            AdminAction::RegisterKey(registration) => self.register_key(moment, registration, events),
            AdminAction::RevokeKey { key } => {
                self.check_not_ended(*key)?;
                self.end_key(*key, events);
                Ok(())
            }
            AdminAction::SetRestartMode { market, mode } => {
                self.market_mut(*market)?.restart_mode = *mode;
                events.push(Event::RestartModeChanged { market: *market, mode: *mode });
                Ok(())
            }
            AdminAction::SetPriceBand { market, band } => {
                let entry = self.market_mut(*market)?;
                if *band > MarketSpec::MAX_BAND {
                    return Err(RejectCode::BadSpecification);
                }
                entry.price_band = *band;
                events.push(Event::PriceBandChanged { market: *market, band: *band });
                Ok(())
            }
            AdminAction::BlockAccount { account, block } => {
                self.block_account(moment.sequence, *account, *block, events)
            }
            AdminAction::SetAccountPolicy { account, minimum_grade } => {
                // What a sub-account asks for is its owner's word.
                self.accounts.owner_account(*account).ok_or(RejectCode::AccountUnknown)?;
                // Less than a signature an operator could make up himself: only the owner can allow that.
                let lowers = *minimum_grade < EvidenceGrade::Signed;
                if lowers && self.genesis.mode == Mode::Run && moment.genesis_phase == GenesisPhase::Over {
                    return Err(RejectCode::NotAuthorised);
                }
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
                AdminAction::SetMarketState { market, state } => {
                    let entry = self.market(market)?;
                    let may = closes(entry.state, state) || entry.next_reopening() == Some(state);
                    if may { Ok(()) } else { Err(RejectCode::NotAuthorised) }
                }
                _ => Err(RejectCode::NotAuthorised),
            },
            AdminAuthority::Role { .. } | AdminAuthority::TwoRoles { .. } => {
                self.check_roles(admin)?;
                for (role, nonce) in roles_of(&admin.authority) {
                    self.role_nonces[usize::from(role)] = nonce;
                }
                self.check_enough_roles(admin)
            }
        }
    }

    /// Whether these are roles, each another, with their next nonces.
    pub(crate) fn check_roles(&self, admin: &AdminCommand) -> Result<(), RejectCode> {
        for (role, nonce) in roles_of(&admin.authority) {
            let index = usize::from(role);
            if index >= Genesis::ROLES || self.genesis.role_keys[index] == [0; 32] {
                return Err(RejectCode::NotAuthorised);
            }
            if nonce != self.role_nonces[index] + 1 {
                return Err(RejectCode::WrongAdminNonce);
            }
        }
        match admin.authority {
            AdminAuthority::TwoRoles { role, second_role, .. } if role == second_role => Err(RejectCode::NotAuthorised),
            _ => Ok(()),
        }
    }

    /// Whether as many roles have signed as the decision needs.
    pub(crate) fn check_enough_roles(&self, admin: &AdminCommand) -> Result<(), RejectCode> {
        let needed = if admin.action.touches_money() { self.roles_for_money() } else { 1 };
        match roles_of(&admin.authority).count() < needed {
            true => Err(RejectCode::SecondRoleNeeded),
            false => Ok(()),
        }
    }

    /// Roles whose word a decision needs that touches money: two, but in a demonstration whose genesis names only one.
    fn roles_for_money(&self) -> usize {
        let named = self.genesis.role_keys.iter().filter(|key| **key != [0; 32]).count();
        if self.genesis.mode == Mode::Dev && named < 2 { 1 } else { 2 }
    }

    fn market_mut(&mut self, market: MarketId) -> Result<&mut Market, RejectCode> {
        self.markets.get_mut(usize::from(market.0)).ok_or(RejectCode::MarketUnknown)
    }

    fn list_asset(&mut self, spec: &AssetSpec, events: &mut Emitter<'_>) -> Result<(), RejectCode> {
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

    fn list_market(&mut self, spec: &MarketSpec, events: &mut Emitter<'_>) -> Result<(), RejectCode> {
        let symbol_taken = self.markets.iter().any(|known| known.spec.symbol == spec.symbol);
        if usize::from(spec.market.0) != self.markets.len() || symbol_taken {
            return Err(RejectCode::AlreadyListed);
        }
        self.validate_market(spec)?;
        if self.markets.len() == usize::from(self.genesis.capacities.markets) {
            return Err(RejectCode::TableFull);
        }
        self.markets.push(Market::new(*spec, &self.genesis));
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
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        let digests_reserved = match moment.genesis_phase {
            // What the exchange starts with is its operator's to say.
            GenesisPhase::Open => self.check_key_room(registration)?,
            GenesisPhase::Over => both(self.check_key_room(registration), self.check_key_share(registration))?,
        };
        let status = match moment.genesis_phase {
            GenesisPhase::Open => KeyStatus::Live,
            GenesisPhase::Over => KeyStatus::Pending,
        };
        self.bind_key(registration, digests_reserved, status, events);
        Ok(())
    }

    /// Whether the key may be bound; tells the digests that are reserved once it is.
    pub(crate) fn check_key_room(&self, registration: &RegisterKey) -> Result<u32, RejectCode> {
        let digests_reserved = self.digests_reserved.checked_add(registration.digest_capacity);
        let digests_reserved = digests_reserved.filter(|all| *all <= self.digests.capacity());
        both(digests_reserved.ok_or(RejectCode::TableFull), self.accounts.check_registration(registration))
    }

    /// Whether the key's owner may have it.
    pub(crate) fn check_key_share(&self, registration: &RegisterKey) -> Result<(), RejectCode> {
        let (capacity, used) = (self.digests.capacity(), self.digests_reserved);
        let digests = SharedTable { capacity, used, parts: self.genesis.share_parts };
        self.accounts.check_key_share(registration, digests)
    }

    /// Binds a key that [`Self::check_key_room`] has passed.
    pub(crate) fn bind_key(
        &mut self,
        registration: &RegisterKey,
        digests_reserved: u32,
        status: KeyStatus,
        events: &mut Emitter<'_>,
    ) {
        self.digests_reserved = digests_reserved;
        let RegisterKey { account, public_key, expires_at, digest_capacity, epoch } = *registration;
        self.accounts.note_key_epoch(account, epoch);
        let (scope, limits, nonces) = (KeyScope::EVERYTHING, KeyLimits::NONE, NonceWindow::EMPTY);
        let key = self.accounts.add_key(Key {
            public_key,
            account,
            status,
            expires_at,
            digest_capacity,
            digests: 0,
            scope,
            limits,
            day: 0,
            spent: Atoms::ZERO,
            nonces,
        });
        events.push(Event::KeyRegistered { key, account, public_key, expires_at });
        if status == KeyStatus::Live {
            events.push(Event::KeyActivated { key });
        }
    }

    /// Whether the key can still be ended.
    pub(crate) fn check_not_ended(&self, key: KeyId) -> Result<(), RejectCode> {
        match self.accounts.key(key).ok_or(RejectCode::KeyUnknown)?.status {
            KeyStatus::Revoked => Err(RejectCode::KeyRevoked),
            KeyStatus::Expired => Err(RejectCode::KeyExpired),
            KeyStatus::Pending | KeyStatus::Live => Ok(()),
        }
    }

    /// Ends a key for ever.
    pub(crate) fn end_key(&mut self, key: KeyId, events: &mut Emitter<'_>) {
        let cause = self.accounts.revoke(key);
        events.push(Event::KeyEnded { key, cause });
    }

    /// Credits what an account starts with; the next unused account number opens an account.
    #[inline(never)]
    pub(crate) fn deposit(
        &mut self,
        moment: Moment,
        deposit: &Deposit,
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        if moment.genesis_phase == GenesisPhase::Over {
            return Err(RejectCode::GenesisOver);
        }
        let Deposit { account, owner, asset, amount } = *deposit;
        both(self.accounts.opens(account, owner).map(drop), self.check_credit(asset, amount))?;
        self.open_if_next(account, owner, events)?;
        self.credit(account, asset, amount, events);
        Ok(())
    }

    /// Opens the account if it is the next one. Refused where there can be no such account of this owner.
    pub(crate) fn open_if_next(
        &mut self,
        account: AccountId,
        owner: [u8; 20],
        events: &mut Emitter<'_>,
    ) -> Result<(), RejectCode> {
        if self.accounts.opens(account, owner)? {
            self.accounts.open(Account { owner, ..Account::default() });
            events.push(Event::AccountOpened { account, owner });
        }
        Ok(())
    }

    /// Whether so much of the asset can come in.
    pub(crate) fn check_credit(&self, asset: AssetId, amount: Atoms) -> Result<(), RejectCode> {
        self.assets.get(usize::from(asset.0)).ok_or(RejectCode::AssetUnknown)?;
        let Totals { deposited, withdrawn } = self.balances.totals(asset);
        let fits = deposited.checked_add(amount).is_some_and(|all| all - withdrawn <= SUPPLY_CAP);
        if amount == Atoms::ZERO || !fits { Err(RejectCode::AmountOutOfRange) } else { Ok(()) }
    }

    /// Credits money that [`Self::check_credit`] has passed to an account that there is.
    pub(crate) fn credit(&mut self, account: AccountId, asset: AssetId, amount: Atoms, events: &mut Emitter<'_>) {
        self.balances.deposit(account, asset, amount);
        let report_sequence = self.accounts.next_report(account);
        events.push(Event::DepositCredited { account, asset, amount, report_sequence });
    }
}

impl AdminAction {
    /// Whether it decides what becomes of anybody's money: what is charged, what money is worth, who may trade with it,
    /// and whether a command that was journaled counts. What only stops or bounds trading has to be quick, and one role
    /// is enough for it.
    pub const fn touches_money(&self) -> bool {
        match self {
            Self::ListAsset(_)
            | Self::ListMarket(_)
            | Self::SetFees { .. }
            | Self::SetFeeTier { .. }
            | Self::RegisterKey(_)
            | Self::Quarantine { .. } => true,
            Self::SetMarketState { .. }
            | Self::RevokeKey { .. }
            | Self::SetAccountPolicy { .. }
            | Self::SetPriceBand { .. }
            | Self::SetRestartMode { .. }
            | Self::BlockAccount { .. } => false,
        }
    }
}

/// The roles that an authority names, each with its nonce.
fn roles_of(authority: &AdminAuthority) -> impl Iterator<Item = (u8, u64)> + use<> {
    let roles = match *authority {
        AdminAuthority::Genesis | AdminAuthority::Node => [None, None],
        AdminAuthority::Role { role, nonce } => [Some((role, nonce)), None],
        AdminAuthority::TwoRoles { role, nonce, second_role, second_nonce } => {
            [Some((role, nonce)), Some((second_role, second_nonce))]
        }
    };
    roles.into_iter().flatten()
}

/// Whether a market in state `from` is more closed in state `to`: all that the node may do by itself. A market that
/// somebody halted is not for the node to open for cancels.
const fn closes(from: MarketState, to: MarketState) -> bool {
    match from {
        MarketState::PreOpen | MarketState::PostOnly | MarketState::Open => {
            matches!(to, MarketState::CancelOnly | MarketState::Halt)
        }
        MarketState::CancelOnly => matches!(to, MarketState::Halt),
        MarketState::Halt => false,
    }
}
