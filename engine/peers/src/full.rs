//! Our full engine: admission by nonce, accounts, holds, fees, client ids, the self-trade check, all events, their digest.
//!
//! Making the commands is left out of the time, and so is fetching them from memory: a venue applies a command that it
//! has just decoded, so each chunk is copied to where it is near before the clock starts.

use lakh_engine::Engine;
use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, CancelOrder, Capacities, Command, Deposit, EvidenceGrade, Genesis,
    MarketState, Mode, Operation, OrderReference, OrderType, PlaceOrder, RegisterKey, ReplayGuard, SelfTradeMode,
    SettlementBinding, SignedCommand, TimeInForce,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, ClientId, KeyId, MarketId, OrderId, Reason, Sequence, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

use crate::TRADERS;
use crate::bare::side_of;
use crate::flow::{Fills, Flow, Kind, Step};
use crate::measure::{Cost, measure};

/// Commands that are near at once: 120 KiB.
const CHUNK: usize = 512;

/// More fills than any command of the flow has.
const MAX_FILLS: usize = 64;

/// What the engine knows of commands before they come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing.
    Nothing,
    /// As in the sequencer: the next ones, as many as it looks at.
    Ahead,
}

/// The flow as commands.
pub(crate) struct Commands {
    pub(crate) set_up: Vec<Command>,
    pub(crate) trading: Vec<Command>,
}

impl Commands {
    /// For a book with room for `max_orders`.
    pub(crate) fn new(flow: &Flow, max_orders: u32) -> Self {
        let set_up = set_up_commands(max_orders);
        let trading = trading_commands(flow, set_up.len() as u64 + 1);
        Self { set_up, trading }
    }

    /// Plays the flow once on a new engine.
    pub(crate) fn play(&self, flow: &Flow, shown: Shown) -> (Fills, Cost) {
        let mut engine = Engine::new();
        let mut events = Vec::with_capacity(Engine::MAX_EVENTS);
        for (command, sequence) in self.set_up.iter().zip(1..) {
            engine.apply(Sequence(sequence), Timestamp(1), command, &mut events);
            assert!(!events.iter().any(|event| matches!(event, Event::Rejected(_))), "{command:?}: {events:?}");
        }
        let first = self.set_up.len() as u64 + 1;
        let mut fills = Fills::default();
        let mut total = Cost::default();
        let mut near = Vec::with_capacity(CHUNK);
        let mut trades = Vec::with_capacity(CHUNK * MAX_FILLS);
        let flow_id =
            |order: OrderId| u64::from(flow.steps[usize::try_from(order.sequence().0 - first).expect("an index")].id);
        for (chunk, sequence) in self.trading.chunks(CHUNK).zip((first..).step_by(CHUNK)) {
            near.clear();
            near.extend_from_slice(chunk);
            trades.clear();
            let ((), cost) = measure(|| {
                for (index, (command, sequence)) in near.iter().zip(sequence..).enumerate() {
                    if shown == Shown::Ahead && index % Engine::PREFETCH_MAX == 0 {
                        engine.prefetch(near[index..].iter());
                    }
                    engine.apply(Sequence(sequence), Timestamp(1), command, &mut events);
                    for event in &events {
                        if let Event::Trade(trade) = event {
                            trades.push((trade.maker.order, trade.taker.order, trade.price, trade.quantity));
                        }
                    }
                }
            });
            total.nanoseconds += cost.nanoseconds;
            total.allocations += cost.allocations;
            for (maker, taker, price, quantity) in &trades {
                fills.add((flow_id(*maker), flow_id(*taker)), price.0, quantity.0);
            }
        }
        (fills, total)
    }
}

/// What the state's hash costs beside the commands that it is taken of.
pub(crate) struct HashCost {
    /// Of all commands.
    pub(crate) commands_ns: u64,
    /// Of each hash, ascending.
    pub(crate) hashes_ns: Vec<u64>,
    /// Of the last snapshot that was hashed.
    pub(crate) snapshot_bytes: usize,
}

impl Commands {
    /// Plays the flow once and hashes the state every `interval` commands, as a follower does.
    pub(crate) fn hash(&self, interval: usize) -> HashCost {
        let mut engine = Engine::new();
        let mut events = Vec::with_capacity(Engine::MAX_EVENTS);
        let mut sequence = 0;
        let mut apply = |engine: &mut Engine, command: &Command| {
            sequence += 1;
            engine.apply(Sequence(sequence), Timestamp(1), command, &mut events);
        };
        self.set_up.iter().for_each(|command| apply(&mut engine, command));
        let (mut commands_ns, mut hashes_ns) = (0, Vec::new());
        for chunk in self.trading.chunks(interval) {
            let ((), cost) = measure(|| chunk.iter().for_each(|command| apply(&mut engine, command)));
            commands_ns += cost.nanoseconds;
            hashes_ns.push(measure(|| engine.state_hash()).1.nanoseconds);
        }
        hashes_ns.sort_unstable();
        HashCost { commands_ns, hashes_ns, snapshot_bytes: engine.snapshot().len() }
    }
}

fn admin(action: AdminAction) -> Command {
    Command::Admin(AdminCommand { authority: AdminAuthority::Genesis, action, reason: Reason::EMPTY })
}

/// Genesis, two assets, one open market, rich traders with a key each.
fn set_up_commands(max_orders: u32) -> Vec<Command> {
    let capacities =
        Capacities { accounts: 128, assets: 2, markets: 1, keys: 128, digests: 1, agenda: 1, digests_per_key: 1 };
    let (exchange_id, venue_tag, role_keys) = ([0; 16], [0; 16], [[0; 32]; Genesis::ROLES]);
    let (mode, hash_seed, settlement) = (Mode::Dev, 42, SettlementBinding::NONE);
    let (fee_notice_s, share_parts) = (0, 64);
    let genesis = Genesis {
        exchange_id,
        venue_tag,
        mode,
        hash_seed,
        capacities,
        role_keys,
        fee_notice_s,
        share_parts,
        settlement,
    };
    let mut commands = vec![Command::Genesis(genesis)];
    for (asset, symbol) in [(0, "BTC"), (1, "USD")] {
        let symbol = Symbol::new(symbol).expect("short");
        let spec = AssetSpec { asset: AssetId(asset), symbol, decimals: 2, chain_units_per_atom: 1 };
        commands.push(admin(AdminAction::ListAsset(spec)));
    }
    commands.push(admin(AdminAction::ListMarket(MarketSpec {
        market: MarketId(0),
        symbol: Symbol::new("BTCUSD").expect("short"),
        base: AssetId(0),
        quote: AssetId(1),
        tick_size_e8: 100_000_000,
        base_atoms_per_lot: 1,
        quote_atoms_per_tick_lot: 1,
        max_price: Ticks(1 << 24),
        min_quantity: Lots(1),
        max_quantity: Lots(1 << 20),
        min_notional: Atoms(1),
        market_order_band: 50_000,
        maker_fee: FeeRate(-100),
        taker_fee: FeeRate(400),
        max_orders,
        max_levels: 1 << 16,
    })));
    commands.push(admin(AdminAction::SetMarketState { market: MarketId(0), state: MarketState::Open }));
    for trader in 1..=TRADERS {
        let account = AccountId(trader);
        for asset in [AssetId(0), AssetId(1)] {
            let (owner, amount) = ([1; 20], Atoms(1 << 50));
            commands.push(Command::Deposit(Deposit { account, owner, asset, amount }));
        }
        let mut public_key = [0; 32];
        public_key[..4].copy_from_slice(&trader.to_le_bytes());
        let (expires_at, digest_capacity) = (Timestamp::ZERO, 0);
        let key = RegisterKey { account, public_key, epoch: 1, expires_at, digest_capacity };
        commands.push(admin(AdminAction::RegisterKey(key)));
    }
    commands
}

/// The flow as requests, the first of which stands at the sequence `first`.
fn trading_commands(flow: &Flow, first: u64) -> Vec<Command> {
    let mut order_ids = vec![OrderId(0); flow.orders as usize + 1];
    let mut nonces = [0; TRADERS as usize + 1];
    let market = MarketId(0);
    let command = |(step, sequence): (&Step, u64)| {
        let trader = 1 + step.id % TRADERS;
        let nonce = &mut nonces[trader as usize];
        *nonce += 1;
        let operation = if step.kind == Kind::Cancel {
            let target = OrderReference::OrderId(order_ids[step.id as usize]);
            Operation::CancelOrder(CancelOrder { market, target })
        } else {
            order_ids[step.id as usize] = OrderId::new(Sequence(sequence), 0);
            Operation::PlaceOrder(PlaceOrder {
                market,
                side: side_of(step.side),
                order_type: OrderType::Limit,
                time_in_force: TimeInForce::GoodTillCancel,
                price: Ticks(u64::from(step.price)),
                quantity: Lots(u64::from(step.quantity)),
                quote_budget: Atoms::ZERO,
                display_quantity: Lots::ZERO,
                trigger_price: Ticks::ZERO,
                expires_at: Timestamp::ZERO,
                self_trade_mode: SelfTradeMode::None,
                client_id: ClientId::new(&format!("bench-{}", step.id)).expect("short"),
            })
        };
        Command::Signed(SignedCommand {
            account: AccountId(trader),
            key: KeyId(trader),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce: *nonce },
            valid_until: Timestamp::ZERO,
            operation,
        })
    };
    flow.steps.iter().zip(first..).map(command).collect()
}
