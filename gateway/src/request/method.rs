//! The methods of the WebSocket API, by name, and what each needs in order to be asked.

/// Declares the methods once: enum, name, access, and the way back from a name.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $access:ident;)*) => {
        /// A method of the WebSocket API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* $variant,)*
        }

        impl Method {
            /// Every method.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, without the version in front.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it needs in order to be asked.
            pub const fn access(self) -> Access {
                match self {
                    $(Self::$variant => Access::$access,)*
                }
            }

            /// The method with this name; `v3/` in front of it changes nothing.
            pub fn from_name(name: &str) -> Option<Self> {
                match name.strip_prefix("v3/").unwrap_or(name) {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

impl Method {
    /// True for what only takes orders off: limited last, since it lowers the load that follows.
    pub const fn is_cancel(self) -> bool {
        matches!(self, Self::OrderCancel | Self::OpenOrdersCancelAll)
    }

    /// True for what is asked of the owner's account alone, whatever sub-accounts it has.
    pub const fn is_the_owners(self) -> bool {
        matches!(
            self,
            Self::KeyActivate
                | Self::KeyNarrow
                | Self::KeyLimit
                | Self::SubAccountCreate
                | Self::SubAccountList
                | Self::AccountAllowEvidence
                | Self::AccountProof
        )
    }
}

/// What a method needs in order to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Public,
    /// A signature, or a session that is logged on.
    SignedOrSession,
    /// A signature of its own.
    Signed,
    /// A session that is logged on.
    Session,
    /// Only the connection: what it asks concerns nothing else.
    Connection,
}

methods! {
    /// A new order.
    OrderPlace = "order.place", SignedOrSession;
    /// Takes one order off.
    OrderCancel = "order.cancel", SignedOrSession;
    /// Takes one order off and places another.
    OrderCancelReplace = "order.cancelReplace", SignedOrSession;
    /// Makes one order smaller.
    OrderAmendKeepPriority = "order.amend.keepPriority", SignedOrSession;
    /// One order.
    OrderStatus = "order.status", SignedOrSession;
    /// Takes all orders off.
    OpenOrdersCancelAll = "openOrders.cancelAll", SignedOrSession;
    /// Takes all orders off in a while, unless it is asked again.
    OpenOrdersCancelAllAfter = "openOrders.cancelAllAfter", SignedOrSession;
    /// All live orders.
    OpenOrdersStatus = "openOrders.status", SignedOrSession;
    /// The balances.
    AccountStatus = "account.status", SignedOrSession;
    /// All orders that are remembered.
    AllOrders = "allOrders", SignedOrSession;
    /// All trades that are remembered.
    MyTrades = "myTrades", SignedOrSession;
    /// What of the budget for new orders is used.
    AccountRateLimitsOrders = "account.rateLimits.orders", SignedOrSession;
    /// The fees of markets.
    AccountTradeFees = "account.tradeFees", SignedOrSession;
    /// What the account has in the last final batch, with proofs.
    AccountProof = "account.proof", SignedOrSession;
    /// The venue's signed promise that a record stands at its place.
    Receipt = "receipt", SignedOrSession;
    /// Lets requests of the account stand on weaker evidence, for a time and up to a sum.
    AccountAllowEvidence = "account.allowEvidence", Signed;
    /// Puts the account into a self-trade group.
    AccountSelfTradeGroup = "account.selfTradeGroup", Signed;
    /// Lets another account into this account's self-trade group.
    AccountInviteToSelfTradeGroup = "account.inviteToSelfTradeGroup", Signed;
    /// Opens another account of the owner.
    SubAccountCreate = "subAccount.create", Signed;
    /// Moves money between an owner's accounts.
    SubAccountTransfer = "subAccount.transfer", Signed;
    /// The owner's sub-accounts with what is in them.
    SubAccountList = "subAccount.list", SignedOrSession;
    /// Opens the session for unsigned requests.
    SessionLogon = "session.logon", Signed;
    /// Who is logged on.
    SessionStatus = "session.status", Connection;
    /// Forgets who is logged on.
    SessionLogout = "session.logout", Connection;
    /// Private events of who is logged on.
    UserDataStreamSubscribe = "userDataStream.subscribe", Session;
    /// Private events of who signs.
    UserDataStreamSubscribeSignature = "userDataStream.subscribe.signature", Signed;
    /// Private events behind one that was seen, and then all that follow.
    UserDataStreamResume = "userDataStream.resume", SignedOrSession;
    /// Ends private events.
    UserDataStreamUnsubscribe = "userDataStream.unsubscribe", Connection;
    /// What becomes of the account's orders when it is not connected any more.
    SessionCancelOnDisconnect = "session.cancelOnDisconnect", SignedOrSession;
    /// The subscriptions to private events.
    SessionSubscriptions = "session.subscriptions", Connection;
    /// A registered key says itself that it trades for an account.
    KeyActivate = "key.activate", Signed;
    /// A key may do less from here on.
    KeyNarrow = "key.narrow", Signed;
    /// A key may trade only so much a day, and only so badly, from here on.
    KeyLimit = "key.limit", Signed;
    /// A key ends itself for ever.
    KeyRevoke = "key.revoke", Signed;
    /// Whether anybody is there.
    Ping = "ping", Public;
    /// What time it is.
    Time = "time", Public;
    /// What can be traded how.
    ExchangeInfo = "exchangeInfo", Public;
    /// The public book.
    Depth = "depth", Public;
    /// The latest trades.
    TradesRecent = "trades.recent", Public;
    /// The latest trades, put together by taker and price.
    TradesAggregate = "trades.aggregate", Public;
    /// Candles.
    Klines = "klines", Public;
    /// The best prices.
    TickerBook = "ticker.book", Public;
    /// The last prices.
    TickerPrice = "ticker.price", Public;
    /// What traded within a day.
    TickerDay = "ticker.24hr", Public;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for &method in Method::ALL {
            assert_eq!(Method::from_name(method.name()), Some(method));
            assert_eq!(Method::from_name(&format!("v3/{}", method.name())), Some(method));
        }
        for unknown in ["", "v3/", "v3/v3/ping", "order.Place", "order.test"] {
            assert_eq!(Method::from_name(unknown), None, "{unknown}");
        }
    }
}
