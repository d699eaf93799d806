//! Traders who remember every request and every answer, and complain.
//!
//! They speak the public API in frames of their own making, signed with their keys, and share no code with the venue's
//! decoder. Now and then one sends the same signed bytes again, sends garbage, or goes away in the middle.

use std::collections::{BTreeMap, HashMap};

use lakh_engine::command::{Command, Operation};
use lakh_gateway::hand_over::{SessionHandle, ToSession};
use lakh_gateway::session::{Action, NOBODY, Session};
use lakh_gateway::verifier::Job;
use lakh_loadtest::client::{Trader, Value, signed_request};
use lakh_loadtest::random::SplitMix64;
use lakh_loadtest::scratch_venue::VenueOptions;
use serde_json::Value as Json;
use tokio::sync::mpsc::Receiver;

use super::now;
use super::venue::Venue;
use super::witness::Witness;

/// What is said without an outcome that a second answer could be held to: not taken, or not known to have been; and
/// -2022, where a duplicate names the half that failed.
const WITHOUT_OUTCOME: [i64; 8] = [-1000, -1001, -1003, -1007, -1008, -1015, -1021, -2022];
/// What an accepted command is answered that had nothing to do, or of which one half was refused: a mass cancel without
/// orders, a replacement whose cancel or new order failed. To the engine both are done.
const DONE_IN_PART: [(Kind, i64); 2] = [(Kind::CancelAll, -2011), (Kind::Replace, -2021)];

/// All of them.
pub(super) struct Clients {
    clients: Vec<Client>,
    random: SplitMix64,
    /// What somebody was told that it stands in the journal, by sequence.
    places: BTreeMap<u64, Place>,
    heard: blake3::Hasher,
    refused: u64,
    resent: u64,
}

/// What stands at a place of the journal, by an answer's word.
struct Place {
    account: u32,
    /// Of an order that was placed.
    client_id: Option<String>,
}

struct Client {
    trader: Trader,
    account: u32,
    connection: Option<Connection>,
    sent: Vec<Sent>,
    /// Requests of this connection without an answer, by id; where they stand in `sent`.
    open: HashMap<u64, usize>,
}

struct Connection {
    session: Session,
    handle: SessionHandle,
    outbox: Receiver<ToSession>,
}

/// What a request is, as far as its answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Order,
    Command,
    CancelAll,
    Replace,
    Read,
}

struct Sent {
    frame: String,
    kind: Kind,
    client_id: String,
    outcome: Option<Outcome>,
}

/// What became of signed bytes, once and for all.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// Done, at this sequence where the answer names one.
    Done(Option<u64>),
    /// Refused by the engine with this code.
    Rejected(i64),
}

impl Clients {
    pub(super) fn new(seed: u64, options: &VenueOptions) -> Self {
        let clients = options.traders().into_iter().zip(1..).map(|(trader, account)| Client {
            trader,
            account,
            connection: None,
            sent: Vec::new(),
            open: HashMap::new(),
        });
        Self {
            clients: clients.collect(),
            random: SplitMix64::stream(seed, 2),
            places: BTreeMap::new(),
            heard: blake3::Hasher::new(),
            refused: 0,
            resent: 0,
        }
    }

    /// Commands that somebody was told of.
    pub(super) fn told(&self) -> u64 {
        self.places.len() as u64
    }

    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) const fn resent(&self) -> u64 {
        self.resent
    }

    /// The most requests that wait for an answer on one connection.
    pub(super) fn most_open(&self) -> usize {
        self.clients.iter().map(|client| client.open.len()).max().unwrap_or_default()
    }

    /// Of everything heard, and of the engine's last state.
    pub(super) fn digest(&self, witness: &Witness) -> String {
        self.heard.clone().update(&witness.last_state()).finalize().to_hex().to_string()
    }

    /// One of them does something.
    pub(super) fn act(&mut self, venue: &mut Venue) {
        let index = self.below(self.clients.len() as u64);
        if self.clients[index].connection.is_none() {
            let (session, handle, outbox) = venue.connect();
            self.clients[index].connection = Some(Connection { session, handle, outbox });
            let subscribe = self.request(index, "userDataStream.subscribe.signature", Kind::Read, &[]);
            return self.send(index, subscribe, venue);
        }
        match self.random.below(100) {
            0..=87 => {
                let request = self.new_request(index);
                self.send(index, request, venue);
            }
            88..=95 => self.send_again(index, venue),
            96..=97 => {
                let garbage = ["{", r#"{"id":"x"}"#, "[]", "\u{0}", r#"{"id":"x","method":"no.such","params":{}}"#];
                let frame = garbage[self.below(garbage.len() as u64)];
                let actions = self.frame(index, frame);
                self.perform(index, actions, venue);
            }
            98 => self.disconnect(index),
            _ => {}
        }
    }

    /// Everybody looks into the outbox.
    pub(super) fn receive(&mut self, venue: &mut Venue) {
        for index in 0..self.clients.len() {
            while let Some(connection) = &mut self.clients[index].connection {
                if connection.handle.overflowed() {
                    self.disconnect(index);
                    break;
                }
                let Ok(message) = connection.outbox.try_recv() else { break };
                let mut actions = Vec::new();
                connection.session.handle_answer(message, now(), &mut actions);
                self.perform(index, actions, venue);
            }
        }
    }

    /// A second or so passes for each session.
    pub(super) fn let_time_pass(&mut self, venue: &mut Venue) {
        for index in 0..self.clients.len() {
            if let Some(connection) = &mut self.clients[index].connection {
                let mut actions = Vec::new();
                connection.session.handle_timeout(now(), &mut actions);
                self.perform(index, actions, venue);
            }
        }
    }

    pub(super) fn disconnect_all(&mut self) {
        (0..self.clients.len()).for_each(|index| self.disconnect(index));
    }

    /// Every request on a connection that is still there has its answer.
    pub(super) fn assert_all_answered(&self) {
        for client in &self.clients {
            assert!(client.open.is_empty(), "without an answer: {:?}", client.open);
        }
    }

    /// What somebody was told stands in the journal, where it was told to stand.
    pub(super) fn assert_nothing_is_missing(&self, journal: &[(u64, Command)]) {
        let found: HashMap<u64, &Command> = journal.iter().map(|(sequence, command)| (*sequence, command)).collect();
        for (sequence, place) in &self.places {
            let Some(Command::Signed(signed)) = found.get(sequence) else {
                panic!("account {} was told of record {sequence}, and it is not there", place.account);
            };
            assert_eq!(signed.account.0, place.account, "record {sequence} is somebody else's");
            if let (Some(client_id), Operation::PlaceOrder(order)) = (&place.client_id, &signed.operation) {
                assert_eq!(order.client_id.as_str(), client_id, "record {sequence} is another order");
            }
        }
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.random.below(bound)).unwrap()
    }

    fn disconnect(&mut self, index: usize) {
        self.clients[index].connection = None;
        self.clients[index].open.clear();
    }

    fn request(&mut self, index: usize, method: &str, kind: Kind, params: &[(&str, Value<'_>)]) -> usize {
        let client = &mut self.clients[index];
        let number = client.sent.len();
        let client_id = format!("c{index}-{number}");
        let mut params = params.to_vec();
        if kind == Kind::Order {
            params.push(("newClientOrderId", Value::Text(&client_id)));
        }
        params.push(("timestamp", Value::Number(now().0 / 1_000)));
        let frame = signed_request(number as u64, method, &client.trader, &params);
        client.sent.push(Sent { frame, kind, client_id, outcome: None });
        number
    }

    fn new_request(&mut self, index: usize) -> usize {
        let symbol = ("symbol", Value::Text("UNITCASH"));
        let side = ("side", Value::Text(if self.random.below(2) == 0 { "BUY" } else { "SELL" }));
        let price = format!("{}.{:02}", 98 + self.random.below(4), self.random.below(4) * 25);
        let quantity = (1 + self.random.below(5)).to_string();
        let (price, quantity) = (("price", Value::Text(&price)), ("quantity", Value::Text(&quantity)));
        let kind = ["GTC", "GTC", "GTC", "IOC", "FOK"][self.below(5)];
        let limit = [symbol, side, ("type", Value::Text("LIMIT")), ("timeInForce", Value::Text(kind)), price, quantity];
        let earlier = self.earlier_order(index);
        match self.random.below(20) {
            0..=9 => self.request(index, "order.place", Kind::Order, &limit),
            10 => self.request(
                index,
                "order.place",
                Kind::Order,
                &[symbol, side, ("type", Value::Text("MARKET")), quantity],
            ),
            11 => {
                let maker = [symbol, side, ("type", Value::Text("LIMIT_MAKER")), price, quantity];
                self.request(index, "order.place", Kind::Order, &maker)
            }
            12..=14 => {
                let which = ("origClientOrderId", Value::Text(&earlier));
                self.request(index, "order.cancel", Kind::Command, &[symbol, which])
            }
            15 => {
                let which = ("origClientOrderId", Value::Text(&earlier));
                let smaller = [symbol, which, ("newQty", Value::Text("1"))];
                self.request(index, "order.amend.keepPriority", Kind::Command, &smaller)
            }
            16 => {
                let which = ("cancelOrigClientOrderId", Value::Text(&earlier));
                let mode = ("cancelReplaceMode", Value::Text("ALLOW_FAILURE"));
                let replace = [&limit[..], &[which, mode]].concat();
                self.request(index, "order.cancelReplace", Kind::Replace, &replace)
            }
            17 if self.random.below(4) == 0 => self.request(index, "openOrders.cancelAll", Kind::CancelAll, &[symbol]),
            17 | 18 => self.request(index, "openOrders.status", Kind::Read, &[symbol]),
            _ => self.request(index, "account.status", Kind::Read, &[]),
        }
    }

    /// The client id of some order that the client has sent lately.
    fn earlier_order(&mut self, index: usize) -> String {
        let back = self.below(30);
        let sent = &self.clients[index].sent;
        let orders = sent.iter().rev().filter(|sent| sent.kind == Kind::Order);
        orders.skip(back).map(|sent| sent.client_id.clone()).next().unwrap_or_else(|| "none".to_owned())
    }

    /// The same signed bytes once more, unless they are still without an answer.
    fn send_again(&mut self, index: usize, venue: &mut Venue) {
        let back = 1 + self.below(20);
        let Some(number) = self.clients[index].sent.len().checked_sub(back) else { return };
        if !self.clients[index].open.contains_key(&(number as u64)) {
            self.resent += 1;
            self.send(index, number, venue);
        }
    }

    fn send(&mut self, index: usize, number: usize, venue: &mut Venue) {
        let frame = self.clients[index].sent[number].frame.clone();
        self.clients[index].open.insert(number as u64, number);
        let actions = self.frame(index, &frame);
        self.perform(index, actions, venue);
    }

    fn frame(&mut self, index: usize, frame: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(connection) = &mut self.clients[index].connection {
            connection.session.handle_frame(frame, now(), &mut actions);
        }
        actions
    }

    /// Does what a session wants, as the shell around a socket does.
    fn perform(&mut self, index: usize, mut actions: Vec<Action>, venue: &mut Venue) {
        while !actions.is_empty() {
            let mut refused = Vec::new();
            for action in actions.drain(..) {
                let Some(connection) = &mut self.clients[index].connection else { return };
                match action {
                    Action::Send(text) => self.hear(index, &text, venue.durable_sequence()),
                    Action::Submit(submission) => {
                        let request = submission.request;
                        let job = Job { submission, session: connection.handle.clone() };
                        if let Err(error) = venue.queue().submit(job)
                            && request != NOBODY
                        {
                            let answer = ToSession::Answer { request, outcome: Err(error) };
                            connection.session.handle_answer(answer, now(), &mut refused);
                        }
                    }
                    Action::Ping => connection.session.handle_heard(now()),
                    Action::Close(reason) => {
                        println!("the venue ends a connection: {reason:?}");
                        self.disconnect(index);
                    }
                }
            }
            actions = refused;
        }
    }

    /// A message has come to a client: the moment of truth.
    fn hear(&mut self, index: usize, text: &[u8], durable: u64) {
        self.heard.update(text);
        let message: Json = serde_json::from_slice(text).expect("the venue sends JSON");
        if message.get("status").is_none() {
            // A private event. Of an order: it must be durable.
            if let Some(order) = message["event"]["i"].as_u64() {
                assert!(order / 64 <= durable, "an event of record {}, durable is {durable}: {message}", order / 64);
            }
            return;
        }
        // Garbage has no id that anybody knows.
        let Some(id) = message["id"].as_u64() else { return };
        let client = &mut self.clients[index];
        let waiting = client.open.remove(&id);
        let number = waiting.unwrap_or_else(|| panic!("an answer that nobody waits for, or a second one: {message}"));
        let sent = &mut client.sent[number];
        let code = message["error"]["code"].as_i64();
        self.refused += u64::from(code.is_some_and(|code| WITHOUT_OUTCOME.contains(&code)));
        if sent.kind == Kind::Read {
            return;
        }
        let Some((outcome, repeated)) = outcome(sent.kind, &message) else { return };
        match &sent.outcome {
            Some(earlier) => {
                assert!(repeated, "the same signed bytes have {earlier:?} and again {message}: {}", sent.frame);
                assert!(agree(earlier, &outcome), "first {earlier:?}, then {outcome:?}: {message}");
            }
            None => sent.outcome = Some(outcome.clone()),
        }
        if let Outcome::Done(Some(sequence)) = outcome {
            assert!(sequence <= durable, "told of record {sequence}, durable is {durable}: {message}");
            let client_id = (sent.kind == Kind::Order).then(|| sent.client_id.clone());
            self.places.insert(sequence, Place { account: client.account, client_id });
        }
    }
}

/// What a response says became of the request, and whether it says that it had been there before; `None` where it does
/// not say what became of it.
fn outcome(kind: Kind, message: &Json) -> Option<(Outcome, bool)> {
    if message["status"] == 200 {
        let result = &message["result"];
        return Some((Outcome::Done(place_of(result)), false));
    }
    let error = &message["error"];
    let code = error["code"].as_i64().expect("an error has a code");
    if WITHOUT_OUTCOME.contains(&code) {
        return None;
    }
    if DONE_IN_PART.contains(&(kind, code)) {
        return Some((Outcome::Done(None), false));
    }
    let data = &error["data"];
    match (place_of(data), data["error"]["code"].as_i64()) {
        (Some(_), Some(rejected)) => Some((Outcome::Rejected(rejected), true)),
        (Some(sequence), None) if error["msg"] == "Duplicate order sent." => {
            Some((Outcome::Done(Some(sequence)), true))
        }
        // The bytes are those of a question that was asked at the same instant: whatever it is, it was not taken.
        (None, None) if error["msg"] == "Duplicate order sent." => None,
        _ => Some((Outcome::Rejected(code), false)),
    }
}

/// The place in the journal that a result or a duplicate names.
fn place_of(value: &Json) -> Option<u64> {
    value["seq"].as_u64()
}

fn agree(left: &Outcome, right: &Outcome) -> bool {
    match (left, right) {
        (Outcome::Done(Some(left)), Outcome::Done(Some(right))) => left == right,
        (Outcome::Done(_), Outcome::Done(_)) => true,
        (left, right) => left == right,
    }
}
