//! Why a command is refused: stable numbers, in the order in which the reasons are looked for.
//!
//! When a command breaks several rules it is answered with the lowest number, with three exceptions. Who may ask is
//! looked at before what is asked: an operator's authority ([`RejectCode::NotAuthorised`],
//! [`RejectCode::WrongAdminNonce`], [`RejectCode::SecondRoleNeeded`]), and a queue entry's place ([`RejectCode::WrongQueueId`],
//! [`RejectCode::WrongQueuePrefix`]). And a withdrawal's or a transfer's [`RejectCode::InsufficientBalance`] comes last.
//!
//! A rejected command changes no balance, order or book; it does use up its digest or nonce from
//! [`RejectCode::AccountUnknown`] on, and a role's nonce behind [`RejectCode::WrongAdminNonce`]. A queue entry that is in
//! its place is used up whatever comes of it, and is no rejected command: its code stands in
//! [`ChainEntryConsumed`](crate::event::Event::ChainEntryConsumed).

/// Declares the codes once: enum, number, name, and the way back from a number.
macro_rules! reject_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why a command is refused. The number is part of the journal and of the API and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum RejectCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl RejectCode {
            /// Every code, lowest first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its name, as logs and documents spell it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

reject_codes! {
    /// The shard still works off its agenda; only `Continue` may come.
    AgendaPending = 1,
    /// There is no genesis yet.
    NotConfigured = 2,
    /// There is a genesis already, or the genesis phase is over.
    GenesisOver = 3,
    /// An epoch's number is not the last one + 1.
    WrongEpoch = 4,
    /// The shard has nothing to continue.
    NothingToContinue = 5,

    /// No such key.
    KeyUnknown = 10,
    /// The key was revoked.
    KeyRevoked = 11,
    /// The key's time is over.
    KeyExpired = 12,
    /// The key has not signed for itself yet.
    KeyPending = 13,
    /// The key belongs to another account.
    KeyOfOtherAccount = 14,
    /// The request's time is ahead of the engine's, or its window has passed.
    TimestampOutsideWindow = 15,
    /// The nonce is more than 2^20 above the key's highest.
    NonceTooHigh = 16,
    /// The nonce is below the key's window.
    NonceTooLow = 17,
    /// The same signed bytes were used before; the answer names the first use.
    Duplicate = 18,
    /// The key has as many requests outstanding as it may.
    DigestTableFull = 19,

    /// No such account.
    AccountUnknown = 20,
    /// The account asks for better evidence.
    EvidenceTooWeak = 21,
    /// `valid_until` has come.
    ValidUntilPassed = 22,
    /// The key is live already.
    KeyAlreadyLive = 23,
    /// A frame without an operation, or with more than 64.
    BadFrame = 24,
    /// The account may only take orders off.
    AccountBlocked = 25,
    /// The key may not do this, or another key would be given more than it has.
    OutOfScope = 26,

    /// No such market.
    MarketUnknown = 30,
    /// The market's state does not allow it.
    MarketClosed = 31,
    /// The order's own end has come already.
    ExpiryPassed = 32,
    /// The price is further from the market's than the price band allows.
    PriceOutsideBand = 33,

    /// Type, time in force, price, quantity and budget do not go together.
    BadCombination = 40,
    /// The price is zero, or it or the trigger price is above the market's maximum.
    PriceOutOfRange = 41,
    /// The quantity, or the part of it that is to be shown, is out of range.
    QuantityOutOfRange = 42,
    /// Price × quantity, or the quote budget, is below the market's minimum, or the budget above its dearest order.
    NotionalTooSmall = 43,
    /// A live order has this client id and the same content.
    ClientOrderLive = 44,
    /// A live order has this client id and other content.
    ClientIdInUse = 45,
    /// No such live order of this account.
    OrderUnknown = 46,
    /// The new quantity is not above what has traded; or it is not below what the order has, and the order is to keep its
    /// priority or nothing would change.
    AmendNotSmaller = 47,
    /// The account has as many open orders in this market as it may.
    TooManyOpenOrders = 48,
    /// The book has no room for another order.
    BookFull = 49,
    /// The book side has no room for another price level.
    LevelsFull = 50,
    /// A market order finds nothing to trade with.
    NoLiquidity = 51,
    /// A post-only order would trade.
    WouldTrade = 52,
    /// The account has not enough available.
    InsufficientBalance = 53,
    /// The agenda has no room for another operation.
    AgendaFull = 54,
    /// The last price has reached the trigger price already.
    WouldTrigger = 55,
    /// As many orders wait for their trigger price in this market as may.
    TriggersFull = 56,
    /// The order that is to go is not in the state that the request asks for.
    RestrictionNotMet = 57,
    /// The group is not named after an account of its own, or neither of the same owner nor with an invitation.
    GroupNotConsented = 58,
    /// The owner has as much of a table that all share as may be anybody's, or a fair share of a crowded one already.
    TableShareTaken = 59,
    /// The key's own limit: the day's notional, the quote asset it is counted in, or how bad a price may be.
    KeyLimitReached = 60,
    /// The other account is not the asking one's owner's, or is the asking one itself.
    OtherOwner = 61,
    /// The owner has as many sub-accounts as one may.
    TooManySubAccounts = 62,

    /// The authority may not do this.
    NotAuthorised = 70,
    /// The role's nonce is not its last one + 1.
    WrongAdminNonce = 71,
    /// The asset or market is listed already, or its number is not the next one.
    AlreadyListed = 72,
    /// No such asset.
    AssetUnknown = 73,
    /// The specification breaks a rule of `market_spec`.
    BadSpecification = 74,
    /// The table has no room.
    TableFull = 75,
    /// The key was bound before.
    KeyBoundBefore = 76,
    /// The key's epoch is not the account's last one + 1.
    WrongKeyEpoch = 77,
    /// The account's number is not the next one, or its owner is another.
    WrongAccount = 78,
    /// A queue entry's number is not the last one + 1.
    WrongQueueId = 79,
    /// The amount is zero or would not fit.
    AmountOutOfRange = 80,
    /// A queue entry is not what the contract hashed, or follows on other ones.
    WrongQueuePrefix = 81,
    /// A batch's number or first record does not follow on the last batch, or its records are not all there yet.
    WrongBatch = 82,
    /// The decision touches money, and one role's word is not enough.
    SecondRoleNeeded = 83,
    /// The record in front of this one was applied: there is nothing to quarantine.
    NotQuarantined = 84,
}

/// Two checks of one command: the lower code of both where both fail.
pub(crate) fn both<T>(first: Result<T, RejectCode>, second: Result<(), RejectCode>) -> Result<T, RejectCode> {
    match (first, second) {
        (Err(code), Err(other)) => Err(code.min(other)),
        (Err(code), Ok(())) | (Ok(_), Err(code)) => Err(code),
        (Ok(value), Ok(())) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_lead_back() {
        assert!(RejectCode::ALL.windows(2).all(|pair| (pair[0] as u16) < pair[1] as u16));
        for code in RejectCode::ALL {
            assert_eq!(RejectCode::from_number(*code as u16), Some(*code));
        }
        assert_eq!(RejectCode::from_number(0), None);
    }
}
