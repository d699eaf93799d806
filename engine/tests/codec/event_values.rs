//! Arbitrary values of every event.

use lakh_engine::command::{AccountBlock, DisconnectMode, RestartMode};
use lakh_engine::event::{
    CancelReason, Completion, Duplicate, Event, KeyEnd, OrderAccepted, OrderCanceled, OrderReduced, OrderRested,
    QuoteSet, Rejected, Trade, TradeParty, Transferred,
};
use lakh_engine::ids::{AccountId, FeeTier, Sequence, TradeId};
use lakh_engine::reject::RejectCode;

use crate::support::random::Random;
use crate::values::{
    account, allowance, asset, asset_spec, atoms, bytes, fee_table, grade, key, limits, lots, market, market_spec,
    number, order_id, order_type, scope, self_trade_mode, side, small, state, text, ticks, time_in_force, timestamp,
};

/// Kinds of events that [`event`] makes.
pub(crate) const EVENTS: usize = 47;

fn party(random: &mut Random) -> TradeParty {
    TradeParty {
        account: account(random),
        order: order_id(random),
        report_sequence: number(random),
        remaining: lots(random),
        fee: number(random).cast_signed(),
    }
}

fn cancel_reason(random: &mut Random) -> CancelReason {
    use CancelReason::{Expired, FillOrKill, LevelsFull, MassCancel, MaxFills, NotFilled, Requested, SelfTrade};
    random.pick(&[Requested, MassCancel, NotFilled, FillOrKill, SelfTrade, MaxFills, Expired, LevelsFull])
}

/// An event of the given kind, below [`EVENTS`].
pub(crate) fn event(kind: usize, random: &mut Random) -> Event {
    match kind {
        0..8 => order_event(kind, random),
        8 => Event::AgendaProgress {
            account: account(random),
            origin: Sequence(number(random)),
            canceled: small(random, 32),
            finished: random.pick(&[Completion::Pending, Completion::Finished]),
        },
        9 => Event::BalanceChanged {
            account: account(random),
            asset: asset(random),
            available: atoms(random),
            held: atoms(random),
        },
        10 => Event::MarketStateChanged {
            market: market(random),
            state: state(random),
            reason: text(random),
            feed_sequence: number(random),
        },
        11 => Event::FeesChanged { market: market(random), fees: fee_table(random) },
        12 => Event::AssetListed(asset_spec(random)),
        13 => Event::MarketListed(market_spec(random)),
        14 => Event::AccountOpened { account: account(random), owner: bytes(random) },
        15 => Event::DepositCredited {
            account: account(random),
            asset: asset(random),
            amount: atoms(random),
            report_sequence: number(random),
        },
        16 => Event::Withdrawn {
            account: account(random),
            asset: asset(random),
            amount: atoms(random),
            report_sequence: number(random),
        },
        17 => Event::KeyRegistered {
            key: key(random),
            account: account(random),
            public_key: bytes(random),
            expires_at: timestamp(random),
        },
        18 => Event::KeyActivated { key: key(random) },
        19 => Event::KeyEnded { key: key(random), cause: random.pick(&[KeyEnd::Revoked, KeyEnd::Expired]) },
        20 => Event::LoggedOn { account: account(random), key: key(random) },
        21 => Event::AccountPolicyChanged { account: account(random), minimum_grade: grade(random) },
        22 => Event::EpochStarted { epoch: small(random, 32) },
        23 => Event::DepositReturned {
            queue_id: number(random),
            account: account(random),
            asset: asset(random),
            amount: atoms(random),
            code: random.pick(RejectCode::ALL),
        },
        24 => Event::ChainEntryConsumed {
            queue_id: number(random),
            refused: random.pick(&[None, Some(RejectCode::AssetUnknown), Some(RejectCode::InsufficientBalance)]),
        },
        26.. => newer_event(kind, random),
        _ => Event::BatchSealed {
            batch_id: number(random),
            first_sequence: Sequence(number(random)),
            last_sequence: Sequence(number(random)),
            new_root: bytes(random),
        },
    }
}

fn refusal(random: &mut Random) -> Option<RejectCode> {
    random.pick(&[None, Some(RejectCode::OrderUnknown), Some(RejectCode::InsufficientBalance)])
}

/// The events that came after the first ones.
fn newer_event(kind: usize, random: &mut Random) -> Event {
    let (account, market, order) = (account(random), market(random), order_id(random));
    let report_sequence = number(random);
    match kind {
        26 => Event::SelfTradeGroupChanged { account, group: AccountId(small(random, 32)) },
        27 => Event::SelfTradeGroupInvited { account, invited: AccountId(small(random, 32)) },
        36 => Event::RestartModeChanged { market, mode: random.pick(&[RestartMode::Stay, RestartMode::Guarded]) },
        37 => Event::KeyNarrowed { key: key(random), scope: scope(random) },
        35 => Event::PriceBandChanged { market, band: small(random, 32) },
        32 => Event::CancelAllTimerSet { account, report_sequence, at: timestamp(random) },
        33 => Event::AccountBlockChanged { account, block: random.pick(&[AccountBlock::None, AccountBlock::Blocked]) },
        34 => Event::DisconnectModeChanged {
            account,
            mode: random.pick(&[DisconnectMode::Keep, DisconnectMode::CancelAll]),
        },
        30 => Event::FrameAccepted { account, report_sequence, operations: small(random, 8) },
        31 => Event::OperationDone {
            account,
            report_sequence,
            origin: Sequence(number(random)),
            index: small(random, 8),
            refused: refusal(random),
            order,
        },
        29 => Event::ReplaceAnswered {
            account,
            report_sequence,
            market,
            cancel_refused: refusal(random),
            order_refused: refusal(random),
        },
        38 => Event::FeesAnnounced { market, fees: fee_table(random), from: timestamp(random) },
        39 => Event::FeeTierChanged { account, tier: FeeTier(small(random, 8)) },
        40 => Event::FeeTierAnnounced { account, tier: FeeTier(small(random, 8)), from: timestamp(random) },
        41 => Event::SubAccountOpened { account, parent: AccountId(small(random, 32)) },
        42 => Event::Transferred(Transferred {
            from: account,
            to: AccountId(small(random, 32)),
            asset: asset(random),
            amount: atoms(random),
            from_report_sequence: report_sequence,
            to_report_sequence: number(random),
        }),
        43 => Event::KeyLimited { key: key(random), limits: limits(random) },
        44 => Event::QuoteSet(QuoteSet {
            account,
            report_sequence,
            market,
            slot: small(random, 8),
            bid: order,
            ask: order_id(random),
            bid_refused: refusal(random),
            ask_refused: refusal(random),
        }),
        46 => Event::EvidenceAllowed { account, allowance: allowance(random) },
        45 => Event::Quarantined { sequence: Sequence(number(random)) },
        _ => Event::OrderTriggered { account, report_sequence, market, order, last_price: ticks(random) },
    }
}

/// The events of orders.
fn order_event(kind: usize, random: &mut Random) -> Event {
    let (account, market, order) = (account(random), market(random), order_id(random));
    let (report_sequence, feed_sequence) = (number(random), number(random));
    let (side, price, remaining, quantity) = (side(random), ticks(random), lots(random), lots(random));
    match kind {
        0 => Event::Rejected(Rejected {
            account,
            report_sequence,
            code: random.pick(RejectCode::ALL),
            market: random.pick(&[None, Some(market)]),
            client_id: text(random),
            order,
        }),
        1 => Event::Duplicate(Duplicate {
            account,
            original: Sequence(number(random)),
            rejected: random.pick(&[None, Some(RejectCode::BookFull), Some(RejectCode::KeyUnknown)]),
        }),
        2 => Event::OrderAccepted(accepted(random)),
        3 => Event::Trade(Trade {
            market,
            trade: TradeId(number(random)),
            feed_sequence,
            taker_side: side,
            price,
            quantity,
            maker_displayed: lots(random),
            maker: party(random),
            taker: party(random),
        }),
        4 => Event::OrderRested(OrderRested { account, market, order, side, price, remaining, feed_sequence }),
        5 => {
            let reason = cancel_reason(random);
            let canceled = OrderCanceled {
                account,
                report_sequence,
                market,
                order,
                side,
                price,
                remaining,
                displayed: lots(random),
                reason,
                feed_sequence,
            };
            Event::OrderCanceled(canceled)
        }
        6 => Event::OrderReduced(OrderReduced {
            account,
            report_sequence,
            market,
            order,
            side,
            price,
            quantity,
            remaining,
            reduced_by: lots(random),
            feed_sequence,
        }),
        _ => Event::CancelAllAccepted { account, market: random.pick(&[None, Some(market)]), report_sequence },
    }
}

fn accepted(random: &mut Random) -> OrderAccepted {
    OrderAccepted {
        account: account(random),
        report_sequence: number(random),
        market: market(random),
        order: order_id(random),
        client_id: text(random),
        side: side(random),
        order_type: order_type(random),
        time_in_force: time_in_force(random),
        self_trade_mode: self_trade_mode(random),
        price: ticks(random),
        trigger_price: ticks(random),
        quantity: lots(random),
        display_quantity: lots(random),
        quote_budget: atoms(random),
        expires_at: timestamp(random),
    }
}
