//! The whole engine on a neutral order flow: million commands a second by thread CPU time, and proof that it did the
//! same trades as the flow's own book.
//!
//! `LAKH_FLOW=PREFIX cargo bench -p lakh-engine --bench flow` reads `PREFIX.bin` and `PREFIX.expect` as the flow
//! generator writes them; without the variable there is nothing to measure and it says so. The book's capacity is the
//! power of two behind what rests, doubled; `LAKH_MAX_ORDERS` sets another one, since the id tables' size follows from it. Left out of the measured time:
//! reading the flow and making the commands. In it: admission by nonce, accounts, holds, fees, client ids, the self-trade
//! check, all events and their digest. Every fill is checked against the flow's checksum after each run.

use lakh_engine::Engine;
use lakh_engine::command::{
    AdminAction, AdminAuthority, AdminCommand, CancelOrder, Capacities, Command, Deposit, EvidenceGrade, Genesis,
    MarketState, Mode, Operation, OrderReference, PlaceOrder, RegisterKey, ReplayGuard, SettlementBinding, Side,
    SignedCommand,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, ClientId, KeyId, MarketId, OrderId, Reason, Sequence, Symbol};
use lakh_engine::market_spec::{AssetSpec, MarketSpec};
use lakh_engine::units::{Atoms, FeeRate, Lots, Ticks, Timestamp};

/// Traders among whom the flow's orders are dealt out.
const TRADERS: u32 = 64;
/// Runs; the median is told.
const RUNS: usize = 5;

/// One record of the flow.
#[derive(Clone, Copy)]
struct Step {
    id: u32,
    price: u32,
    quantity: u32,
    is_cancel: bool,
    side: Side,
}

/// What the flow's own book did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fills {
    count: u64,
    quantity: u64,
    checksum: u64,
}

fn main() {
    let Ok(prefix) = std::env::var("LAKH_FLOW") else {
        println!("set LAKH_FLOW to the prefix of a flow (see this file's head); nothing measured");
        return;
    };
    let steps = read_flow(&std::fs::read(format!("{prefix}.bin")).expect("LAKH_FLOW names a flow"));
    let expectation = std::fs::read_to_string(format!("{prefix}.expect")).expect("its expected fills");
    let expected = read_expected(&expectation);
    let max_orders = std::env::var("LAKH_MAX_ORDERS").ok().map(|text| text.parse().expect("a whole number"));
    let max_orders = max_orders.unwrap_or_else(|| read_resting(&expectation).next_power_of_two() * 2);
    let set_up = set_up_commands(max_orders);
    let commands = trading_commands(&steps, set_up.len() as u64 + 1);
    let mut nanoseconds: Vec<u64> = (0..RUNS).map(|_| run(&set_up, &commands, &steps, expected)).collect();
    nanoseconds.sort_unstable();
    let median = nanoseconds[RUNS / 2];
    let count = commands.len() as u64;
    let rate = |nanoseconds: u64| {
        let hundredths = count * 100_000 / nanoseconds;
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    };
    println!(
        "{count} commands, room for {max_orders} orders: median {} M/s ({} ns each), best {}, worst {}; {} fills as expected",
        rate(median),
        median / count,
        rate(nanoseconds[0]),
        rate(nanoseconds[RUNS - 1]),
        expected.count
    );
}

/// Applies all and tells the thread's CPU time; the fills must be the flow's.
fn run(set_up: &[Command], commands: &[Command], steps: &[Step], expected: Fills) -> u64 {
    let mut engine = Engine::new();
    let mut events = Vec::with_capacity(Engine::MAX_EVENTS);
    let mut sequence = 0;
    for command in set_up {
        sequence += 1;
        engine.apply(Sequence(sequence), Timestamp(1), command, &mut events);
        assert!(!events.iter().any(|event| matches!(event, Event::Rejected(_))), "{command:?}: {events:?}");
    }
    let first = sequence + 1;
    let mut fills = Fills::default();
    let begin = thread_cpu_time();
    for command in commands {
        sequence += 1;
        engine.apply(Sequence(sequence), Timestamp(1), command, &mut events);
        for event in &events {
            if let Event::Trade(trade) = event {
                let flow_id = |order: OrderId| {
                    let index = usize::try_from(order.sequence().0 - first).expect("an index");
                    u64::from(steps[index].id)
                };
                fills.add((flow_id(trade.maker.order), flow_id(trade.taker.order)), trade.price.0, trade.quantity.0);
            }
        }
    }
    let end = thread_cpu_time();
    assert_eq!(fills, expected, "the engine trades as the flow's own book does");
    end - begin
}

impl Fills {
    fn add(&mut self, (maker, taker): (u64, u64), price: u64, quantity: u64) {
        self.count += 1;
        self.quantity += quantity;
        self.checksum = self
            .checksum
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add((maker << 32) | taker)
            .wrapping_add(price.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .wrapping_add(quantity);
    }
}

/// Nanoseconds that this thread has run, from Linux' scheduler.
fn thread_cpu_time() -> u64 {
    // The scheduler's figure is as of its last look; yielding makes it look now.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells a thread's CPU time");
    text.split(' ').next().and_then(|figure| figure.parse().ok()).expect("the first figure is the time")
}

fn read_flow(bytes: &[u8]) -> Vec<Step> {
    assert_eq!(&bytes[..8], b"OBFLOW01");
    let word = |record: &[u8], at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("4 bytes"));
    let steps = bytes[16..].chunks_exact(16).map(|record| Step {
        id: word(record, 0),
        price: word(record, 4),
        quantity: word(record, 8),
        is_cancel: record[12] == 1,
        side: if record[13] == 0 { Side::Bid } else { Side::Ask },
    });
    steps.collect()
}

/// The value of a `name=value` field of the expected fills.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.split_whitespace().find_map(|field| field.strip_prefix(name)).expect("the expected fills name it")
}

/// Orders that rest at the flow's end, about as many as rest all the time.
fn read_resting(text: &str) -> u32 {
    field(text, "resting=").parse().expect("a number")
}

fn read_expected(text: &str) -> Fills {
    Fills {
        count: field(text, "fills=").parse().expect("a number"),
        quantity: field(text, "qty=").parse().expect("a number"),
        checksum: u64::from_str_radix(field(text, "checksum="), 16).expect("a hexadecimal number"),
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
    let genesis = Genesis { exchange_id, venue_tag, mode, hash_seed, capacities, role_keys, settlement };
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
fn trading_commands(steps: &[Step], first: u64) -> Vec<Command> {
    let ids = steps.iter().map(|step| step.id).max().map_or(0, |id| id as usize + 1);
    let mut order_ids = vec![OrderId(0); ids];
    let mut nonces = [0; TRADERS as usize + 1];
    let market = MarketId(0);
    let command = |(step, sequence): (&Step, u64)| {
        let trader = 1 + step.id % TRADERS;
        let nonce = &mut nonces[trader as usize];
        *nonce += 1;
        let operation = if step.is_cancel {
            let target = OrderReference::OrderId(order_ids[step.id as usize]);
            Operation::CancelOrder(CancelOrder { market, target })
        } else {
            order_ids[step.id as usize] = OrderId::new(Sequence(sequence), 0);
            Operation::PlaceOrder(PlaceOrder {
                client_id: ClientId::new(&format!("bench-{}", step.id)).expect("short"),
                ..PlaceOrder::limit(market, step.side, Ticks(u64::from(step.price)), Lots(u64::from(step.quantity)))
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
    steps.iter().zip(first..).map(command).collect()
}
