//! The adapter's venue: one engine with several markets, in the tester's symbols, decimals and order ids.
//!
//! Prices are rounded to the tick, half to even; quantities are counted in 1e-10. A bound that the tester does not
//! know (a price or quantity above the market's) is a rejected order; a request that the engine refuses though it should
//! not is an error and ends the session, so that it cannot pass for a result.

use std::collections::{BTreeMap, HashMap};

use lakh_engine::OrderView;
use lakh_engine::command::{
    AdminAction, AdminCommand, AmendOrder, CancelAll, Command, Operation, OrderReference, OrderType, Side, TimeInForce,
};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, MarketId, OrderId, Symbol};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks};

use crate::flow::adapter::decimal::Decimal;
use crate::flow::engine_session::{EngineSession, NewOrder, account_of, client_id, rejected};
use crate::flow::format::FlowBounds;
use crate::setup::{FLOW_ACCOUNTS, flow_genesis};

/// Symbols that a session may name.
const MAX_SYMBOLS: u16 = 8;
/// Orders and levels of each market.
const MAX_ORDERS: u32 = 4_096;
/// Highest price.
const MAX_PRICE: Ticks = Ticks(100_000);
/// Largest quantity: four hundred. Times the highest price it fits an engine's market.
const MAX_QUANTITY: Lots = Lots(4_000_000_000_000);
/// Places of a quantity.
const QUANTITY_PLACES: u32 = 10;

/// What the tester asks for, its numbers still as decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which market.
    pub symbol: String,
    /// What.
    pub request: Request,
}

/// What the tester asks for in a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new order.
    New {
        /// The tester's id.
        id: u64,
        /// Side.
        side: Side,
        /// Type and time in force.
        instruction: Instruction,
        /// Limit price; of no meaning for a market order.
        price: Option<Decimal>,
        /// Quantity.
        quantity: Decimal,
        /// Only given back.
        owner: i64,
    },
    /// The order goes.
    Cancel {
        /// The tester's id.
        id: u64,
    },
    /// The order becomes smaller by this and keeps its place.
    Reduce {
        /// The tester's id.
        id: u64,
        /// By how much.
        quantity: Decimal,
    },
    /// The order goes and comes back, behind all others of its price.
    Replace {
        /// The tester's id.
        id: u64,
        /// Its new price, or the old one.
        price: Option<Decimal>,
        /// Its new quantity, or what is left of it.
        quantity: Option<Decimal>,
    },
    /// All orders of the market go.
    Clear,
}

/// A new order's type and time in force, as the tester knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Rests.
    Limit,
    /// Trades at whatever price.
    Market,
    /// Its rest goes.
    ImmediateOrCancel,
    /// All or nothing.
    FillOrKill,
}

/// A reject in the tester's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The tester's code.
    pub code: &'static str,
    /// Why, in words.
    pub message: &'static str,
}

const NOT_ACTIVE: Refusal = Refusal { code: "ORDER_NOT_ACTIVE", message: "no such order is active" };
const DUPLICATE: Refusal = Refusal { code: "DUPLICATE_ORDER_ID", message: "an order with this id is active" };
const INVALID_ORDER: Refusal = Refusal { code: "INVALID_ORDER", message: "price or quantity is out of range" };
const INVALID_REPLACEMENT: Refusal =
    Refusal { code: "INVALID_REPLACEMENT", message: "price or quantity is out of range" };

/// A trade in the tester's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The bid.
    pub buy: u64,
    /// The ask.
    pub sell: u64,
    /// Price.
    pub price: Ticks,
    /// Quantity.
    pub quantity: Lots,
}

/// A resting order in the tester's ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resting {
    /// Its id.
    pub id: u64,
    /// As it was given.
    pub owner: i64,
    /// Price.
    pub price: Ticks,
    /// What is left.
    pub remaining: Lots,
}

/// What came of a request: trades, or a refusal; the error is the venue's own failure.
pub type Answer = Result<Result<Vec<Fill>, Refusal>, String>;

/// See the module.
#[derive(Debug)]
pub struct AdapterVenue {
    session: EngineSession,
    tick: Decimal,
    symbols: BTreeMap<String, Listed>,
    events: Vec<Event>,
}

/// A symbol with its market and its resting orders.
#[derive(Debug)]
struct Listed {
    market: MarketId,
    owners: HashMap<u64, i64>,
    ids: HashMap<OrderId, u64>,
}

impl AdapterVenue {
    /// A venue whose prices are multiples of `tick`.
    ///
    /// # Errors
    /// When the engine does not take the set-up.
    pub fn new(tick: Decimal) -> Result<Self, String> {
        let session = EngineSession::new(&genesis()).map_err(|error| error.to_string())?;
        Ok(Self { session, tick, symbols: BTreeMap::new(), events: Vec::new() })
    }

    /// A price as text.
    pub fn price_text(&self, price: Ticks) -> String {
        self.tick.times(price.raw())
    }

    /// A quantity as text.
    pub fn quantity_text(quantity: Lots) -> String {
        Decimal::step(QUANTITY_PLACES).times(quantity.raw())
    }

    /// Symbols that were named by a new order or a clear, in their order.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.symbols.keys().map(String::as_str)
    }

    /// A side's resting orders in price-time priority; empty where the symbol is not known.
    pub fn resting(&self, symbol: &str, side: Side) -> Vec<Resting> {
        let Some(listed) = self.symbols.get(symbol) else { return Vec::new() };
        let resting = |order: OrderView| {
            let id = listed.ids.get(&order.order).copied().unwrap_or_default();
            let owner = listed.owners.get(&id).copied().unwrap_or_default();
            Resting { id, owner, price: order.price, remaining: order.remaining }
        };
        self.session.book(listed.market).orders(side).map(resting).collect()
    }

    /// Carries out one request.
    ///
    /// # Errors
    /// When the engine does what it should not, or there are too many symbols.
    pub fn apply(&mut self, ask: &Ask) -> Answer {
        self.events.clear();
        match &ask.request {
            Request::New { id, side, instruction, price, quantity, owner } => {
                let market = self.list(&ask.symbol)?;
                let limit = if *instruction == Instruction::Market { worst_price(*side) } else { self.ticks(*price) };
                let Some((price, quantity)) = limit.zip(lots(*quantity)) else { return Ok(Err(INVALID_ORDER)) };
                if self.symbols[&ask.symbol].owners.contains_key(id) {
                    return Ok(Err(DUPLICATE));
                }
                let (order_type, time_in_force) = kind(*instruction);
                let order = NewOrder { id: *id, market, side: *side, order_type, time_in_force, price, quantity };
                self.session.place_order(&order, &mut self.events);
                self.absorb(&ask.symbol, *id, *owner)
            }
            Request::Cancel { id } => self.with_live(&ask.symbol, *id, Self::cancel),
            Request::Reduce { id, quantity } => {
                let quantity = *quantity;
                self.with_live(&ask.symbol, *id, |venue, live| venue.reduce(live, quantity))
            }
            Request::Replace { id, price, quantity } => {
                let (price, quantity) = (*price, *quantity);
                self.with_live(&ask.symbol, *id, |venue, live| venue.replace(live, price, quantity))
            }
            Request::Clear => self.clear(&ask.symbol),
        }
    }

    /// The symbol's market; the first time that it is named it gets the next one.
    fn list(&mut self, symbol: &str) -> Result<MarketId, String> {
        if let Some(listed) = self.symbols.get(symbol) {
            return Ok(listed.market);
        }
        let market = u16::try_from(self.symbols.len()).expect("bounded by the number of markets");
        if market == MAX_SYMBOLS {
            return Err(format!("more than {MAX_SYMBOLS} symbols"));
        }
        let listed = Listed { market: MarketId(market), owners: HashMap::new(), ids: HashMap::new() };
        self.symbols.insert(symbol.to_owned(), listed);
        Ok(MarketId(market))
    }

    fn with_live(&mut self, symbol: &str, id: u64, change: impl FnOnce(&mut Self, &Live) -> Answer) -> Answer {
        let Some(live) = self.live(symbol, id) else { return Ok(Err(NOT_ACTIVE)) };
        change(self, &live)
    }

    fn live(&self, symbol: &str, id: u64) -> Option<Live> {
        let listed = self.symbols.get(symbol)?;
        let owner = *listed.owners.get(&id)?;
        let book = self.session.book(listed.market);
        let name = client_id(id);
        [Side::Bid, Side::Ask].into_iter().find_map(|side| {
            let order = book.orders(side).find(|order| order.client_id == name)?;
            Some(Live { symbol: symbol.to_owned(), market: listed.market, id, owner, side, order })
        })
    }

    fn cancel(&mut self, live: &Live) -> Answer {
        self.session.cancel_order(live.market, live.id, &mut self.events);
        self.absorb(&live.symbol, live.id, live.owner)
    }

    fn reduce(&mut self, live: &Live, quantity: Decimal) -> Answer {
        let Some(by) = lots(quantity).filter(|&by| by <= live.order.remaining) else {
            return Ok(Err(INVALID_ORDER));
        };
        if by == live.order.remaining {
            return self.cancel(live);
        }
        let target = OrderReference::ClientId(client_id(live.id));
        let new_quantity = live.order.quantity - by;
        let amend = Operation::AmendOrder(AmendOrder::less(live.market, target, new_quantity));
        self.session.operate(account_of(live.id), amend, &mut self.events);
        self.absorb(&live.symbol, live.id, live.owner)
    }

    fn replace(&mut self, live: &Live, price: Option<Decimal>, quantity: Option<Decimal>) -> Answer {
        let price = price.map_or(Some(live.order.price), |price| self.ticks(Some(price)));
        let quantity = quantity.map_or(Some(live.order.remaining), lots);
        let Some((price, quantity)) = price.zip(quantity) else { return Ok(Err(INVALID_REPLACEMENT)) };
        let (order_type, time_in_force) = kind(Instruction::Limit);
        let Live { id, market, side, .. } = *live;
        let order = NewOrder { id, market, side, order_type, time_in_force, price, quantity };
        self.session.replace_order(&order, &mut self.events);
        self.absorb(&live.symbol, live.id, live.owner)
    }

    fn clear(&mut self, symbol: &str) -> Answer {
        let market = self.list(symbol)?;
        let all = Operation::CancelAll(CancelAll { market: Some(market), side: None });
        for account in 1..=FLOW_ACCOUNTS {
            self.session.operate(AccountId(account), all, &mut self.events);
        }
        let answer = self.absorb(symbol, 0, 0);
        let left = self.session.book(market).order_count();
        if left == 0 { answer } else { Err(format!("{left} orders are left behind a clear")) }
    }

    /// Takes in what the engine said about the order `id`: trades, and who rests.
    fn absorb(&mut self, symbol: &str, id: u64, owner: i64) -> Answer {
        match rejected(&self.events) {
            None => {}
            // A market order with nobody to trade with is taken here, and comes to nothing.
            Some(RejectCode::NoLiquidity) => return Ok(Ok(Vec::new())),
            Some(code) => return Err(format!("the engine refused order {id} of {symbol}: {}", code.name())),
        }
        let listed = self.symbols.get_mut(symbol).ok_or("a symbol without a market")?;
        let mut fills = Vec::new();
        for event in &self.events {
            match event {
                Event::Trade(trade) => {
                    let maker =
                        *listed.ids.get(&trade.maker.order).ok_or("a trade with an order that does not rest")?;
                    let (buy, sell) = if trade.taker_side == Side::Bid { (id, maker) } else { (maker, id) };
                    fills.push(Fill { buy, sell, price: trade.price, quantity: trade.quantity });
                    if trade.maker.remaining.is_zero() {
                        listed.forget(trade.maker.order);
                    }
                }
                Event::OrderRested(rested) => {
                    listed.ids.insert(rested.order, id);
                    listed.owners.insert(id, owner);
                }
                Event::OrderCanceled(canceled) => listed.forget(canceled.order),
                _ => {}
            }
        }
        Ok(Ok(fills))
    }

    fn ticks(&self, price: Option<Decimal>) -> Option<Ticks> {
        price?.nearest_steps(self.tick).map(Ticks).filter(|&price| price <= MAX_PRICE)
    }
}

impl Listed {
    fn forget(&mut self, order: OrderId) {
        if let Some(id) = self.ids.remove(&order) {
            self.owners.remove(&id);
        }
    }
}

/// A live order that a request is about.
struct Live {
    symbol: String,
    market: MarketId,
    id: u64,
    owner: i64,
    side: Side,
    order: OrderView,
}

fn lots(quantity: Decimal) -> Option<Lots> {
    quantity.whole_steps(Decimal::step(QUANTITY_PLACES)).map(Lots).filter(|&lots| lots <= MAX_QUANTITY)
}

/// What bounds an order at whatever price.
const fn worst_price(side: Side) -> Option<Ticks> {
    match side {
        Side::Bid => Some(MAX_PRICE),
        Side::Ask => Some(Ticks(1)),
    }
}

const fn kind(instruction: Instruction) -> (OrderType, TimeInForce) {
    match instruction {
        Instruction::Limit => (OrderType::Limit, TimeInForce::GoodTillCancel),
        Instruction::Market => (OrderType::Market, TimeInForce::ImmediateOrCancel),
        Instruction::ImmediateOrCancel => (OrderType::Limit, TimeInForce::ImmediateOrCancel),
        Instruction::FillOrKill => (OrderType::Limit, TimeInForce::FillOrKill),
    }
}

/// A flow's set-up with [`MAX_SYMBOLS`] markets of one kind instead of one.
fn genesis() -> Vec<Command> {
    let bounds = FlowBounds { commands: 0, max_price: MAX_PRICE, max_quantity: MAX_QUANTITY };
    let mut commands = Vec::new();
    for command in flow_genesis(&bounds) {
        match command {
            Command::Genesis(mut genesis) => {
                genesis.capacities.markets = MAX_SYMBOLS;
                commands.push(Command::Genesis(genesis));
            }
            Command::Admin(admin) => {
                let copies = if is_about_market(&admin) { MAX_SYMBOLS } else { 1 };
                commands.extend((0..copies).map(|market| Command::Admin(for_market(admin, market))));
            }
            other => commands.push(other),
        }
    }
    commands
}

const fn is_about_market(admin: &AdminCommand) -> bool {
    matches!(admin.action, AdminAction::ListMarket(_) | AdminAction::SetMarketState { .. })
}

fn for_market(mut admin: AdminCommand, number: u16) -> AdminCommand {
    match &mut admin.action {
        AdminAction::ListMarket(spec) => {
            spec.market = MarketId(number);
            spec.symbol = Symbol::new(&format!("MARKET{number}")).expect("a short constant");
            (spec.max_orders, spec.max_levels) = (MAX_ORDERS, MAX_ORDERS);
        }
        AdminAction::SetMarketState { market, .. } => *market = MarketId(number),
        _ => {}
    }
    admin
}
