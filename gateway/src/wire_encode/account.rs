//! What an account has, traded and pays.

use lakh_engine::command::Side;
use lakh_engine::ids::{AccountId, FeeTier, Sequence};
use lakh_engine::market_spec::AssetSpec;
use lakh_engine::units::FeeRate;

use crate::account_state::AccountBalances;
use crate::account_trades::{OwnTrade, TradeRole};
use crate::decimal;
use crate::directory::MarketEntry;
use crate::finality::Finality;
use crate::wire_encode::json::JsonWriter;

/// Which assets an answer lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceFilter {
    /// All that the exchange knows.
    All,
    /// Those of which there is something.
    NonZero,
}

/// The dearest fees of any market: fees are the markets', and the account's answer has room for one rate only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountFees {
    /// Of the resting side.
    pub maker: FeeRate,
    /// Of the incoming side.
    pub taker: FeeRate,
}

/// Encodes the answer; `makerCommission` and `takerCommission` are hundredths of a percent, rounded away from zero.
pub fn account_status(
    account: AccountId,
    balances: &AccountBalances,
    assets: &[AssetSpec],
    filter: BalanceFilter,
    fees: AccountFees,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + assets.len() * 96);
    let mut json = JsonWriter::new(&mut out);
    json.begin_object();
    json.key("makerCommission").signed(basis_points(fees.maker));
    json.key("takerCommission").signed(basis_points(fees.taker));
    json.key("buyerCommission").number(0).key("sellerCommission").number(0);
    json.key("commissionRates").begin_object();
    for (name, rate) in
        [("maker", fees.maker), ("taker", fees.taker), ("buyer", FeeRate::default()), ("seller", FeeRate::default())]
    {
        json.key(name);
        write_rate(&mut json, rate);
    }
    json.end_object();
    json.key("canTrade").yes().key("canWithdraw").yes().key("canDeposit").yes();
    json.key("brokered").no().key("requireSelfTradePrevention").no().key("preventSor").no();
    json.key("updateTime").number(balances.updated_at().milliseconds());
    json.key("accountType").text("SPOT").key("balances").begin_array();
    write_balances(balances, assets, filter, &mut json);
    json.end_array().key("permissions").begin_array().text("SPOT").end_array();
    json.key("uid").number(u64::from(account.0)).end_object();
    out
}

/// One element of `subAccount.list`: the account, how many orders are open in it, and what it has.
pub fn sub_account(
    account: AccountId,
    (balances, open_orders): (&AccountBalances, usize),
    assets: &[AssetSpec],
    json: &mut JsonWriter<'_>,
) {
    json.begin_object().key("subAccount").number(u64::from(account.0));
    json.key("openOrders").number(open_orders as u64);
    json.key("updateTime").number(balances.updated_at().milliseconds()).key("balances").begin_array();
    write_balances(balances, assets, BalanceFilter::NonZero, json);
    json.end_array().end_object();
}

/// `subAccount.create`: the number that the account has, and where in the journal it was opened.
pub fn sub_account_opened(account: AccountId, sequence: Sequence, out: &mut Vec<u8>) {
    let mut json = JsonWriter::new(out);
    json.begin_object().key("subAccount").number(u64::from(account.0)).key("seq").number(sequence.0).end_object();
}

fn write_balances(balances: &AccountBalances, assets: &[AssetSpec], filter: BalanceFilter, json: &mut JsonWriter<'_>) {
    for asset in assets {
        let balance = balances.balance(asset.asset);
        if filter == BalanceFilter::All || !balance.is_zero() {
            json.begin_object().key("asset").text(asset.symbol.as_str());
            json.key("free").amount(asset, balance.available).key("locked").amount(asset, balance.held).end_object();
        }
    }
}

/// One element of `myTrades`.
pub fn own_trade(market: &MarketEntry, trade: &OwnTrade, finality: Finality, json: &mut JsonWriter<'_>) {
    json.begin_object().key("symbol").text(market.spec.symbol.as_str()).key("id").number(trade.trade.0);
    json.key("orderId").number(trade.order.0).key("orderListId").signed(-1);
    json.key("price").price(market, trade.price).key("qty").quantity(market, trade.quantity);
    json.key("quoteQty").amount(&market.quote, trade.quote).key("commission").fee(&market.quote, trade.fee);
    json.key("commissionAsset").text(market.quote.symbol.as_str()).key("time").number(trade.timestamp.milliseconds());
    json.key("isBuyer").truth(trade.side == Side::Bid).key("isMaker").truth(trade.role == TradeRole::Maker);
    json.key("isBestMatch").yes().key("seq").number(trade.sequence.0).key("finality").text(finality.name());
    json.end_object();
}

/// One element of `tradeFee`: what a tier pays in a market, as fractions.
pub fn trade_fee(market: &MarketEntry, tier: FeeTier, json: &mut JsonWriter<'_>) {
    let rates = market.fees.of(tier);
    json.begin_object().key("symbol").text(market.spec.symbol.as_str());
    write_rate(json.key("makerCommission"), rates.maker);
    write_rate(json.key("takerCommission"), rates.taker);
    json.end_object();
}

/// A rate in millionths as hundredths of a percent.
fn basis_points(rate: FeeRate) -> i64 {
    let points = i64::from(rate.0.unsigned_abs().div_ceil(100));
    if rate.0 < 0 { -points } else { points }
}

fn write_rate(json: &mut JsonWriter<'_>, rate: FeeRate) {
    json.quoted(|out| {
        if rate.0 < 0 {
            out.push(b'-');
        }
        decimal::write(u128::from(rate.0.unsigned_abs()) * 100, 8, out);
    });
}
