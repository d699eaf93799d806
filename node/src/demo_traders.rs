//! The demonstration's makers and takers: ordinary clients on the public socket, with keys and signatures of their own.
//!
//! A maker quotes five prices on both sides around a middle that wanders and is drawn back to its reference; takers
//! trade against it a few times a second. Everything follows from a seed, except the clock.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lakh_config::{Config, GenesisAccount};
use lakh_engine::command::EvidenceGrade;
use lakh_engine::ids::AccountId;
use lakh_engine::market_spec::AssetSpec;
use lakh_engine::units::Atoms;
use lakh_loadtest::client::{self, Incoming, Outgoing, Trader, Value};
use lakh_loadtest::random::SplitMix64;
use serde_json::Value as Json;

/// Seed of the traders' keys, which everybody may know.
const KEY_SEED: u64 = 0x6c61_6b68;
/// Whole units of each asset that each trader starts with.
const UNITS: u64 = 1_000_000;
const REQUOTE: Duration = Duration::from_millis(500);
const TAKE: Duration = Duration::from_millis(150);
const ANSWER: Duration = Duration::from_secs(5);
/// Prices that a maker quotes on each side.
const DEPTH: u64 = 5;

/// A market of the demonstration: its middle and the step between quotes, in hundredths of the quote unit.
struct Demo {
    symbol: &'static str,
    reference: u64,
    step: u64,
    /// Quantity texts that are quoted and taken.
    quantities: [&'static str; 4],
}

const DEMOS: [Demo; 2] = [
    Demo { symbol: "BTCUSDT", reference: 6_000_000, step: 150, quantities: ["0.015", "0.024", "0.05", "0.12"] },
    Demo { symbol: "ETHUSDT", reference: 300_000, step: 20, quantities: ["0.15", "0.4", "0.8", "2.5"] },
];

impl Demo {
    /// A step of up to three quotes either way, drawn back by a hundredth of the distance from the reference: so it is
    /// never farther from it than three hundred quotes.
    fn next_middle(&self, middle: u64, random: &mut SplitMix64) -> u64 {
        let middle = middle + random.below(6 * self.step + 1) - 3 * self.step;
        if middle > self.reference {
            middle - (middle - self.reference) / 100
        } else {
            middle + (self.reference - middle) / 100
        }
    }
}

/// The traders' keys: a maker and a taker for each market.
pub(crate) fn traders(venue_tag: [u8; 16]) -> Vec<Trader> {
    Trader::from_seed(KEY_SEED, 2 * DEMOS.len() as u32, Some(venue_tag))
}

/// Gives each trader an account with money.
pub(crate) fn add_accounts(config: &mut Config) {
    let first = config.accounts.len();
    for (index, trader) in traders(config.exchange.venue_tag).iter().enumerate() {
        let number = u32::try_from(first + index + 1).expect("a handful of accounts");
        let balance = |asset: &AssetSpec| (asset.asset, Atoms(UNITS * asset.atoms_per_unit()));
        config.accounts.push(GenesisAccount {
            account: AccountId(number),
            public_keys: vec![trader.public_key()],
            balances: config.assets.iter().map(balance).collect(),
            minimum_evidence: EvidenceGrade::Signed,
            digest_capacity: 4_096,
        });
    }
}

/// Starts them all against a venue; they trade until the tasks are aborted.
pub(crate) fn start(url: &str, venue_tag: [u8; 16]) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for (index, pair) in traders(venue_tag).chunks(2).enumerate() {
        let [maker, taker] = pair else { unreachable!("two for each market") };
        let (url, maker, taker) = (url.to_owned(), maker.clone(), taker.clone());
        let seed = u64::try_from(index).unwrap_or_default();
        let taker_url = url.clone();
        tasks.spawn(async move { report(DEMOS[index].symbol, make(&url, maker, &DEMOS[index], seed).await) });
        tasks.spawn(async move { report(DEMOS[index].symbol, take(&taker_url, taker, &DEMOS[index], seed).await) });
    }
    tasks
}

fn report(symbol: &str, result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!("a demo trader of {symbol} stopped: {error:#}");
    }
}

/// Quotes both sides, again and again.
async fn make(url: &str, trader: Trader, demo: &Demo, seed: u64) -> Result<()> {
    let mut session = Session::open(url, trader).await?;
    let mut random = SplitMix64::stream(seed, 1);
    let mut middle = demo.reference;
    loop {
        middle = demo.next_middle(middle, &mut random);
        let symbol = ("symbol", Value::Text(demo.symbol));
        session.call("openOrders.cancelAll", &[symbol]).await?;
        for level in 1..=DEPTH {
            let distance = demo.step * level - demo.step / 2;
            let index = usize::try_from(random.below(4)).unwrap_or_default();
            let quantity = demo.quantities[index];
            for (side, price) in [("BUY", middle - distance), ("SELL", middle + distance)] {
                session.place(demo, DemoOrder { side, order_type: "LIMIT_MAKER", price, quantity }).await?;
            }
        }
        tokio::time::sleep(REQUOTE).await;
    }
}

/// Trades against what is quoted, a little at a time.
async fn take(url: &str, trader: Trader, demo: &Demo, seed: u64) -> Result<()> {
    let mut session = Session::open(url, trader).await?;
    let mut random = SplitMix64::stream(seed, 2);
    loop {
        tokio::time::sleep(TAKE).await;
        let (side, price) = match random.below(2) {
            0 => ("BUY", demo.reference + demo.reference / 10),
            _ => ("SELL", demo.reference - demo.reference / 10),
        };
        let quantity = demo.quantities[0];
        session.place(demo, DemoOrder { side, order_type: "LIMIT", price, quantity }).await?;
    }
}

/// An order of the demonstration; its price in hundredths.
struct DemoOrder {
    side: &'static str,
    order_type: &'static str,
    price: u64,
    quantity: &'static str,
}

/// One connection that asks and waits.
pub(crate) struct Session {
    outgoing: Outgoing,
    incoming: Incoming,
    trader: Trader,
    last_id: u64,
}

impl Session {
    /// Connects with a trader's key.
    pub(crate) async fn open(url: &str, trader: Trader) -> Result<Self> {
        let (outgoing, incoming) = client::connect(url).await?;
        Ok(Self { outgoing, incoming, trader, last_id: 0 })
    }

    /// Places an order. A refusal of the order is part of the game.
    async fn place(&mut self, demo: &Demo, order: DemoOrder) -> Result<()> {
        let DemoOrder { side, order_type, price, quantity } = order;
        let price = format!("{}.{:02}", price / 100, price % 100);
        let mut params = vec![
            ("symbol", Value::Text(demo.symbol)),
            ("side", Value::Text(side)),
            ("type", Value::Text(order_type)),
            ("price", Value::Text(&price)),
            ("quantity", Value::Text(quantity)),
            ("newOrderRespType", Value::Text("ACK")),
        ];
        if order_type == "LIMIT" {
            params.push(("timeInForce", Value::Text("IOC")));
        }
        self.call("order.place", &params).await
    }

    /// Sends a signed request and waits for its answer.
    pub(crate) async fn call(&mut self, method: &str, params: &[(&str, Value<'_>)]) -> Result<()> {
        self.last_id += 1;
        let mut params = params.to_vec();
        params.push(("timestamp", Value::Number(client::now_us() / 1_000)));
        let request = client::signed_request(self.last_id, method, &self.trader, &params);
        self.outgoing.feed(request.into()).await?;
        self.outgoing.flush().await?;
        loop {
            let answer = self.incoming.next_within(ANSWER).await?;
            let answer: Json = serde_json::from_str(&answer).context("an answer is no JSON")?;
            if answer["id"].as_u64() == Some(self.last_id) {
                return Self::judge(method, &answer);
            }
        }
    }

    fn judge(method: &str, answer: &Json) -> Result<()> {
        match answer["error"]["code"].as_i64() {
            // The order itself was refused, or there was none to cancel.
            None | Some(-2010 | -2011) => Ok(()),
            Some(code) => bail!("{method} was refused: {code} {}", answer["error"]["msg"]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public clients' scripts bid 50,000.50 and ask 70,000.10 for BTC and more, and must find both to rest.
    #[test]
    fn the_demonstration_never_trades_where_visitors_quote() {
        let [bitcoin, ether] = DEMOS;
        for demo in [&bitcoin, &ether] {
            let farthest = 300 * demo.step + demo.step * DEPTH;
            for seed in 0..4 {
                let mut random = SplitMix64::stream(seed, 1);
                let mut middle = demo.reference;
                for _ in 0..250_000 {
                    middle = demo.next_middle(middle, &mut random);
                    assert!(middle.abs_diff(demo.reference) <= 300 * demo.step, "seed {seed}: {middle}");
                }
            }
            assert!(farthest < demo.reference / 10, "takers stop at a tenth from the reference");
        }
        assert!(bitcoin.reference - bitcoin.reference / 10 > 5_000_050);
        assert!(bitcoin.reference + bitcoin.reference / 10 < 7_000_010);
    }
}
