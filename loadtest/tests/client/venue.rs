//! A venue in a box for the client's tests: the real engine behind a loopback socket, speaking just enough of the API.
//!
//! It checks every signature, and can misbehave on purpose, so that each check of the client is seen to fail.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use futures_util::{SinkExt, StreamExt};
use lakh_engine::Engine;
use lakh_engine::command::{
    AmendOrder, CancelOrder, Command, EvidenceGrade, Operation, OrderReference, OrderType, PlaceOrder, ReplayGuard,
    Side, SignedCommand, TimeInForce,
};
use lakh_engine::event::{Event, Trade, TradeParty};
use lakh_engine::ids::{AccountId, ClientId, KeyId, OrderId, Sequence};
use lakh_engine::reject::RejectCode;
use lakh_engine::units::{Lots, Ticks, Timestamp};
use lakh_loadtest::flow::format::FlowBounds;
use lakh_loadtest::flow::judge::Depth;
use lakh_loadtest::flow::level_book::LevelBook;
use lakh_loadtest::market_text::{MarketText, parse_side, side_text};
use lakh_loadtest::setup::{FLOW_MARKET, flow_genesis};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// How the venue treats its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// As it should, the answer before the reports.
    Good,
    /// As it should, the reports before the answer.
    ReportsFirst,
    /// Reports trade 3 to the taker only.
    DropsMakerReport,
    /// Says that trade 3 was by one lot more than it was.
    WrongQuantity,
    /// Shows one lot too many at the best bid.
    WrongDepth,
    /// Refuses request 20 for load.
    Overloaded,
    /// Refuses the first read for load, as a venue does that has as much in flight as it takes.
    RefusesBarrier,
    /// Never answers request 20.
    DropsAnswer,
    /// Answers request 20 twice.
    AnswersTwice,
    /// Closes the connection at request 20.
    Closes,
    /// Sends text that is no answer at request 20.
    Babbles,
}

/// Starts a venue and gives its URL. It ends with the runtime.
pub(crate) async fn start(market: MarketText, conduct: Conduct) -> String {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One engine a connection: the client under test never needs two of them to meet.
            tokio::spawn(serve(stream, Venue::new(market.clone(), conduct)));
        }
    });
    format!("ws://{address}/ws-api/v3")
}

async fn serve(stream: TcpStream, mut venue: Venue) {
    // Else each answer waits for the acknowledgement of the one before.
    stream.set_nodelay(true).unwrap();
    let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let (mut sink, mut source) = socket.split();
    while let Some(Ok(message)) = source.next().await {
        let Message::Text(text) = message else { continue };
        let request: Value = serde_json::from_str(&text).unwrap();
        let special = request["id"] == 20;
        let mut frames = venue.request(&request);
        match venue.conduct {
            Conduct::Closes if special => break,
            Conduct::DropsAnswer if special => frames.retain(|frame| frame.get("id").is_none()),
            Conduct::AnswersTwice if special => frames.push(frames[0].clone()),
            Conduct::Babbles if special => frames.push(json!({"hello": 1})),
            _ => {}
        }
        for frame in frames {
            if sink.send(Message::text(frame.to_string())).await.is_err() {
                return;
            }
        }
    }
}

struct Venue {
    market: MarketText,
    conduct: Conduct,
    engine: Engine,
    sequence: u64,
    book: LevelBook,
    client_ids: HashMap<OrderId, ClientId>,
    reports: Reports,
}

/// Whether the client asked for its reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reports {
    NotAsked,
    Subscribed,
}

impl Venue {
    fn new(market: MarketText, conduct: Conduct) -> Self {
        let book = LevelBook::new(FLOW_MARKET);
        let (engine, client_ids) = (Engine::new(), HashMap::new());
        let mut venue = Self { market, conduct, engine, sequence: 0, book, client_ids, reports: Reports::NotAsked };
        for command in flow_genesis(&FlowBounds { commands: 0, max_price: Ticks(1 << 20), max_quantity: Lots(1 << 20) })
        {
            venue.apply(&command);
        }
        venue
    }

    fn apply(&mut self, command: &Command) -> Vec<Event> {
        self.sequence += 1;
        let mut events = Vec::new();
        self.engine.apply(Sequence(self.sequence), Timestamp(self.sequence), command, &mut events);
        for event in &events {
            self.book.apply(event).unwrap();
            if let Event::OrderAccepted(accepted) = event {
                self.client_ids.insert(accepted.order, accepted.client_id);
            }
        }
        events
    }

    /// All that the venue says to one request, in order.
    fn request(&mut self, request: &Value) -> Vec<Value> {
        let id = &request["id"];
        let params = &request["params"];
        let answer = |result: Value| vec![json!({"id": id, "status": 200, "result": result})];
        let refuse = |code: i64, msg: &str| vec![json!({"id": id, "status": 400, "error": {"code": code, "msg": msg}})];
        let method = request["method"].as_str().unwrap();
        if self.conduct == Conduct::Overloaded && *id == 20 {
            return refuse(-1008, "Server is currently overloaded; try again.");
        }
        if method == "depth" {
            if self.conduct == Conduct::RefusesBarrier {
                self.conduct = Conduct::Good;
                return refuse(-1015, "Too many requests without an answer on this connection.");
            }
            return answer(self.depth(params["limit"].as_u64().unwrap()));
        }
        if !signature_holds(params) {
            return refuse(-1022, "Signature for this request is not valid.");
        }
        let operation = match method {
            "userDataStream.subscribe.signature" => {
                self.reports = Reports::Subscribed;
                return answer(json!({"subscriptionId": 0}));
            }
            "account.status" => return answer(json!({"balances": []})),
            "openOrders.status" => return answer(json!(vec![json!({}); self.book.order_count()])),
            "order.place" => Operation::PlaceOrder(self.place(params)),
            "order.cancel" => Operation::CancelOrder(CancelOrder { market: FLOW_MARKET, target: target(params) }),
            "order.amend.keepPriority" => Operation::AmendOrder(AmendOrder::less(
                FLOW_MARKET,
                target(params),
                self.market.parse_quantity(text(params, "newQty")).unwrap(),
            )),
            other => panic!("{other}"),
        };
        let nonce = self.sequence;
        let events = self.apply(&Command::Signed(SignedCommand {
            account: AccountId(1),
            key: KeyId(1),
            grade: EvidenceGrade::Native,
            replay_guard: ReplayGuard::Nonce { nonce },
            valid_until: Timestamp(0),
            operation,
        }));
        let refused = events.iter().find_map(|event| match event {
            Event::Rejected(rejected) => Some(rejected.code),
            _ => None,
        });
        let mut frames = match refused {
            Some(RejectCode::WouldTrade) => refuse(-2010, "Order would immediately match and take."),
            Some(RejectCode::OrderUnknown) => refuse(-2011, "Unknown order sent."),
            Some(code) => refuse(-2010, code.name()),
            None => answer(json!({"executedQty": executed(&events), "fills": self.fills(&events)})),
        };
        for event in &events {
            if let Event::Trade(trade) = event
                && self.reports == Reports::Subscribed
            {
                frames.extend(self.reports(trade));
            }
        }
        if self.conduct == Conduct::ReportsFirst {
            frames.rotate_left(1);
        }
        frames
    }

    fn place(&self, params: &Value) -> PlaceOrder {
        let (order_type, time_in_force) = match (text(params, "type"), params["timeInForce"].as_str()) {
            ("LIMIT", Some("GTC")) => (OrderType::Limit, TimeInForce::GoodTillCancel),
            ("LIMIT", Some("IOC")) => (OrderType::Limit, TimeInForce::ImmediateOrCancel),
            ("LIMIT_MAKER", None) => (OrderType::LimitMaker, TimeInForce::GoodTillCancel),
            other => panic!("{other:?}"),
        };
        let side = parse_side(text(params, "side")).unwrap();
        let price = self.market.parse_price(text(params, "price")).unwrap();
        let quantity = self.market.parse_quantity(text(params, "quantity")).unwrap();
        let client_id = ClientId::new(text(params, "newClientOrderId")).unwrap();
        PlaceOrder { order_type, time_in_force, client_id, ..PlaceOrder::limit(FLOW_MARKET, side, price, quantity) }
    }

    fn depth(&self, limit: u64) -> Value {
        let Depth { mut bids, asks } = self.book.depth(usize::try_from(limit).unwrap());
        if self.conduct == Conduct::WrongDepth
            && let Some(best) = bids.first_mut()
        {
            best.1 += Lots(1);
        }
        let levels = |levels: Vec<(Ticks, Lots)>| -> Vec<Value> {
            levels.iter().map(|(price, lots)| json!([self.market.price(*price), self.market.quantity(*lots)])).collect()
        };
        json!({"lastUpdateId": 1, "bids": levels(bids), "asks": levels(asks)})
    }

    fn fills(&self, events: &[Event]) -> Vec<Value> {
        let fill = |event: &Event| match event {
            Event::Trade(trade) => {
                Some(json!({"price": self.market.price(trade.price), "qty": self.market.quantity(trade.quantity)}))
            }
            _ => None,
        };
        events.iter().filter_map(fill).collect()
    }

    fn reports(&self, trade: &Trade) -> Vec<Value> {
        let third = trade.trade.0 == 3;
        let extra = Lots(u64::from(third && self.conduct == Conduct::WrongQuantity));
        let report = |party: &TradeParty, is_maker: bool, side: Side| {
            json!({"subscriptionId": 0, "event": {
                "e": "executionReport", "s": self.market.symbol, "x": "TRADE", "t": trade.trade.0, "m": is_maker,
                "c": self.client_ids[&party.order].as_str(), "S": side_text(side),
                "L": self.market.price(trade.price), "l": self.market.quantity(trade.quantity + extra),
            }})
        };
        let mut reports = vec![
            json!({"subscriptionId": 0, "event": {"e": "executionReport", "s": self.market.symbol, "x": "NEW"}}),
            report(&trade.taker, false, trade.taker_side),
        ];
        if !(third && self.conduct == Conduct::DropsMakerReport) {
            reports.push(report(&trade.maker, true, trade.taker_side.opposite()));
        }
        reports
    }
}

fn executed(events: &[Event]) -> String {
    let lots = events.iter().map(|event| match event {
        Event::Trade(trade) => trade.quantity.raw(),
        _ => 0,
    });
    lots.sum::<u64>().to_string()
}

fn text<'a>(params: &'a Value, name: &str) -> &'a str {
    params[name].as_str().unwrap_or_else(|| panic!("{name} in {params}"))
}

fn target(params: &Value) -> OrderReference {
    OrderReference::ClientId(ClientId::new(text(params, "origClientOrderId")).unwrap())
}

/// The public rule: parameters but the signature, sorted by name, `k=v` joined by `&`, the key inside the text.
fn signature_holds(params: &Value) -> bool {
    let sorted: BTreeMap<&String, String> = params
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "signature")
        .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    let signed: Vec<String> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let api_key = text(params, "apiKey");
    let key: Vec<u8> =
        (0..32).map(|index| u8::from_str_radix(&api_key[api_key.len() - 64 + index * 2..][..2], 16).unwrap()).collect();
    let signature = STANDARD.decode(text(params, "signature")).unwrap();
    VerifyingKey::from_bytes(&key.try_into().unwrap())
        .unwrap()
        .verify_strict(signed.join("&").as_bytes(), &Signature::from_slice(&signature).unwrap())
        .is_ok()
}
