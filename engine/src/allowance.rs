//! What an owner lets be asked for him on weaker evidence than his account demands: until when, and for how much at most.
//!
//! A session that was opened once, and a header that names the key, let others than the key's owner make up or move requests.
//! Whoever wants that all the same (most public clients work so) says it with a signature of full strength, for a time and
//! up to a sum, so that what can go wrong is bounded by his own word. The sum counts orders when they are accepted, whether
//! they trade or not: an order does not know on what evidence it came.

use crate::command::{EvidenceAllowance, EvidenceGrade, PlaceOrder};
use crate::emitter::Emitter;
use crate::engine::{Moment, Reject, Shard};
use crate::event::Event;
use crate::ids::AccountId;
use crate::key_limits::notional;
use crate::reject::RejectCode;
use crate::units::{Atoms, Timestamp};
use crate::validate::{NewOrder, Terms};

/// The longest time that an allowance may be given for: 366 days.
const MAX_ALLOWANCE_NS: u64 = 366 * 86_400_000_000_000;

/// On what right a request stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Footing {
    /// Its evidence is as good as the account demands, or the engine asks itself.
    #[default]
    Own,
    /// It is weaker, and the owner has allowed that.
    Allowed,
}

impl Shard {
    /// What is still allowed on such evidence for the account; `None` where nothing is.
    fn allowance(&self, account: AccountId, grade: EvidenceGrade, now: Timestamp) -> Option<&EvidenceAllowance> {
        let allowance = self.accounts.allowance(self.accounts.owner_of(account));
        Some(allowance).filter(|allowance| allowance.grade <= grade && now < allowance.until)
    }

    /// Whether a request may stand on evidence that is weaker than its account demands.
    #[cold]
    pub(crate) fn check_allowance(
        &self,
        account: AccountId,
        grade: EvidenceGrade,
        now: Timestamp,
    ) -> Result<Footing, RejectCode> {
        self.allowance(account, grade, now).map(|_| Footing::Allowed).ok_or(RejectCode::EvidenceTooWeak)
    }

    /// Whether an order on weaker evidence is within what the owner has allowed.
    #[inline(always)]
    pub(crate) fn check_allowed_notional(&self, new: NewOrder<'_>, terms: Terms) -> Result<(), RejectCode> {
        if new.footing == Footing::Own { Ok(()) } else { self.check_notional_of(new, terms) }
    }

    #[cold]
    fn check_notional_of(&self, new: NewOrder<'_>, terms: Terms) -> Result<(), RejectCode> {
        let spec = &self.market(new.request.market)?.spec;
        let allowance = self.accounts.allowance(self.accounts.owner_of(new.account));
        let fits = spec.quote == allowance.quote && notional(spec, new.request, terms) <= allowance.notional;
        if fits { Ok(()) } else { Err(RejectCode::KeyLimitReached) }
    }

    /// An order on weaker evidence is accepted: so much less is allowed from here on.
    #[cold]
    pub(crate) fn use_allowance(&mut self, account: AccountId, request: &PlaceOrder, terms: Terms) {
        let used = notional(&self.markets[usize::from(request.market.0)].spec, request, terms);
        let owner = self.accounts.owner_of(account);
        self.accounts.allowance_mut(owner).notional -= used;
    }

    /// Sets what may be asked for on weaker evidence, or takes it back.
    #[inline(never)]
    pub(crate) fn allow_evidence(
        &mut self,
        moment: Moment,
        (account, grade): (AccountId, EvidenceGrade),
        allowance: EvidenceAllowance,
        events: &mut Emitter<'_>,
    ) -> Result<(), Reject> {
        if grade < EvidenceGrade::Signed {
            return Err(RejectCode::EvidenceTooWeak.into());
        }
        if self.accounts.owner_account(account).is_none() {
            return Err(RejectCode::OtherOwner.into());
        }
        if allowance != EvidenceAllowance::NONE {
            self.check_new_allowance(moment.now, &allowance)?;
        }
        *self.accounts.allowance_mut(account) = allowance;
        events.push(Event::EvidenceAllowed { account, allowance });
        Ok(())
    }

    fn check_new_allowance(&self, now: Timestamp, allowance: &EvidenceAllowance) -> Result<(), RejectCode> {
        let EvidenceAllowance { grade, until, quote, notional } = *allowance;
        if until <= now {
            return Err(RejectCode::ExpiryPassed);
        }
        self.assets.get(usize::from(quote.0)).ok_or(RejectCode::AssetUnknown)?;
        if grade >= EvidenceGrade::Signed || until.0 - now.0 > MAX_ALLOWANCE_NS {
            return Err(RejectCode::BadSpecification);
        }
        if notional == Atoms::ZERO { Err(RejectCode::AmountOutOfRange) } else { Ok(()) }
    }
}
