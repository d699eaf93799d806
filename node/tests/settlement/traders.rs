//! A trader who insists: it sends the same signed bytes until somebody answers, however often the venue dies.
//!
//! That is safe, since the venue remembers what it was sent: the same bytes a second time are answered as a duplicate, or
//! as too old by a venue that has started since. Then the trader asks what became of its order, and only places it anew
//! when the venue never had it.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use lakh_engine::codec::split_payload;
use lakh_engine::command::{Command, Operation, SignedCommand};
use lakh_journal::JournalReader;
use lakh_loadtest::client::{Incoming, Outgoing, Trader, Value, connect, now_us, signed_request};
use serde_json::Value as Json;

use crate::venue::{SharedUrl, Venue};
use crate::wait_for;

/// How long an answer may take until the venue counts as dead.
const ANSWER: Duration = Duration::from_secs(5);
/// Of what was signed before the venue started.
const BEFORE_START: i64 = -1021;
/// Of bytes that were sent before, and of a key that is active already, among others.
const DUPLICATE: i64 = -2010;
const NO_SUCH_ORDER: i64 = -2013;

/// How long a signature is good, in milliseconds: longer than the venue is ever down.
const WINDOW_MS: u64 = 60_000;

/// See the module.
pub(crate) struct Client {
    url: SharedUrl,
    account: u32,
    trader: Trader,
    runtime: tokio::runtime::Runtime,
    connection: Option<(Outgoing, Incoming)>,
    next: u64,
    /// Client ids of the orders that were acknowledged.
    acknowledged: HashSet<String>,
    last_sequence: u64,
}

impl Client {
    pub(crate) fn new(venue: &Venue, account: u32, trader: Trader) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self {
            url: venue.shared_url(),
            account,
            trader,
            runtime,
            connection: None,
            next: 0,
            acknowledged: HashSet::new(),
            last_sequence: 0,
        }
    }

    /// Activates the key once the chain's registration has reached the venue.
    pub(crate) fn activate(&mut self) {
        let account = self.account.to_string();
        wait_for("the key's registration", || {
            let named = [("method", Value::Text("key.activate")), ("account", Value::Text(&account))];
            let answer = self.insist("key.activate", &named);
            match answer["error"]["code"].as_i64() {
                None => Some(()),
                // The key is not known yet, or the venue has started since the request was signed.
                Some(-2015 | BEFORE_START) => None,
                // It is active: the venue died before it could say so.
                Some(DUPLICATE) => Some(()),
                Some(_) => panic!("{answer}"),
            }
        });
    }

    /// Places a limit order that must be taken.
    pub(crate) fn place(&mut self, side: &str, price: u64, quantity: u64) {
        let client_id = format!("a{}-{}", self.account, self.next);
        let order = loop {
            let answer = self.try_place(side, price, quantity, &client_id);
            match answer["error"]["code"].as_i64() {
                None => break answer,
                Some(BEFORE_START) => {}
                Some(DUPLICATE) if answer["error"]["msg"] == "Duplicate order sent." => {}
                Some(_) => panic!("{answer}"),
            }
            // The venue died before it could answer. Did it have the order?
            let status = self.status(&client_id);
            match status["error"]["code"].as_i64() {
                None => break status,
                Some(NO_SUCH_ORDER) => {}
                Some(_) => panic!("{status}"),
            }
        };
        self.last_sequence = order["result"]["orderId"].as_u64().unwrap() / 64;
        self.acknowledged.insert(client_id);
    }

    fn status(&mut self, client_id: &str) -> Json {
        loop {
            let params = [("symbol", Value::Text("UNITCASH")), ("origClientOrderId", Value::Text(client_id))];
            let answer = self.insist("order.status", &params);
            if answer["error"]["code"] != BEFORE_START {
                return answer;
            }
        }
    }

    /// Places a limit order and gives what the venue says.
    pub(crate) fn try_place(&mut self, side: &str, price: u64, quantity: u64, client_id: &str) -> Json {
        let (price, quantity) = (format!("{price}.00"), quantity.to_string());
        let params = [
            ("symbol", Value::Text("UNITCASH")),
            ("side", Value::Text(side)),
            ("type", Value::Text("LIMIT")),
            ("timeInForce", Value::Text("GTC")),
            ("price", Value::Text(&price)),
            ("quantity", Value::Text(&quantity)),
            ("newClientOrderId", Value::Text(client_id)),
        ];
        self.insist("order.place", &params)
    }

    /// Cancels an order by its client id and gives what the venue says.
    pub(crate) fn cancel(&mut self, client_id: &str) -> Json {
        let params = [("symbol", Value::Text("UNITCASH")), ("origClientOrderId", Value::Text(client_id))];
        self.insist("order.cancel", &params)
    }

    /// The journal's record of the last order that was acknowledged.
    pub(crate) const fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Every acknowledged order is in the journal.
    pub(crate) fn assert_journaled(&self, journal: &Path) {
        let mut missing = self.acknowledged.clone();
        let mut reader = JournalReader::open(journal).unwrap();
        while let Some(record) = reader.next().unwrap() {
            let (command, _) = split_payload(record.payload).unwrap();
            if let Command::Signed(SignedCommand { operation: Operation::PlaceOrder(order), .. }) = command {
                missing.remove(order.client_id.as_str());
            }
        }
        assert!(missing.is_empty(), "acknowledged and not in the journal: {missing:?}");
    }

    /// Asks, as often as it takes, and gives the answer.
    pub(crate) fn insist(&mut self, method: &str, params: &[(&str, Value<'_>)]) -> Json {
        self.next += 1;
        let mut params = params.to_vec();
        params.push(("timestamp", Value::Number(now_us() / 1_000)));
        params.push(("recvWindow", Value::Number(WINDOW_MS)));
        let request = signed_request(self.next, method, &self.trader, &params);
        wait_for("an answer", || self.ask(&request))
    }

    /// Asks over HTTP and gives the answer.
    pub(crate) fn get(&self, path: &str, query: &str) -> Json {
        let between = if query.is_empty() { "" } else { "&" };
        let text = format!("{query}{between}timestamp={}&recvWindow={WINDOW_MS}", now_us() / 1_000);
        let signature = self.trader.sign(&text).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let url = self.url.now().replace("ws://", "http://").replace("/ws-api/v3", path);
        let request =
            ureq::get(format!("{url}?{text}&signature={signature}")).header("x-mbx-apikey", self.trader.api_key());
        serde_json::from_str(&request.call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
    }

    /// Asks once; nothing where the venue dies on the way.
    fn ask(&mut self, request: &str) -> Option<Json> {
        let (url, connection, next) = (&self.url, &mut self.connection, self.next);
        let answer = self.runtime.block_on(async {
            let (mut outgoing, mut incoming) = match connection.take() {
                Some(connection) => connection,
                None => connect(&url.now()).await.ok()?,
            };
            outgoing.feed(request.to_owned().into()).await.ok()?;
            outgoing.flush().await.ok()?;
            let answer = loop {
                let message: Json = serde_json::from_str(&incoming.next_within(ANSWER).await.ok()?).unwrap();
                // Others are events, such as that the venue is about to stop.
                if !message["id"].is_null() {
                    break message;
                }
            };
            *connection = Some((outgoing, incoming));
            Some(answer)
        })?;
        assert_eq!(answer["id"], next, "{answer}");
        // Stopping or overloaded: nothing of it is in the journal.
        let refused = matches!(answer["error"]["code"].as_i64(), Some(-1001 | -1008));
        (!refused).then_some(answer)
    }
}
