//! What load `lakh load` makes: a scenario, read from TOML and checked completely, as a venue's configuration is.
//!
//! Why here: only this crate reads configuration files. The scenarios beside this crate, `config/scenarios/*.toml`, are
//! part of the program and are called by their names; any other file of the same shape works by its path.
//!
//! Rates count operations: an order, a cancel, a replace or one quote, whether alone under a signature or with others.
//! Invariants: a scenario that is accepted can be carried out as it stands: its shares of keys, signatures and open orders
//! fit the venue's bounds. No float anywhere; shares are whole percent or weights.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, Fault};
use crate::sections::{Durability, check_range};
use crate::venue::{parse_toml, read_file};

/// The scenarios that the program has by name.
const BUILT_IN: [(&str, &str); 9] = [
    ("headline", include_str!("../scenarios/headline.toml")),
    ("frames", include_str!("../scenarios/frames.toml")),
    ("makers", include_str!("../scenarios/makers.toml")),
    ("burst", include_str!("../scenarios/burst.toml")),
    ("deep", include_str!("../scenarios/deep.toml")),
    ("soak", include_str!("../scenarios/soak.toml")),
    ("hostile", include_str!("../scenarios/hostile.toml")),
    ("aapl", include_str!("../scenarios/aapl.toml")),
    ("amzn", include_str!("../scenarios/amzn.toml")),
];

/// Open orders that the engine lets one account have.
const OPEN_ORDERS_MAX: u64 = 4_096;
/// Requests of one run at most: a day at 100,000 a second would not fit a disk.
const OPERATIONS_MAX: u64 = 1_000_000_000;
/// Connections that the venue takes at most, some left for checks.
const CONNECTIONS_MAX: u32 = 16_000;
/// Longest pause of a session: half of the time after which the venue asks whether it is still there.
const SILENCE_MAX_S: u64 = 30;

/// What load to make.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in one sentence.
    pub about: String,
    /// Keys, each with an account of its own: 1 ..= 1,000,000.
    pub keys: u32,
    /// Markets: 1 ..= 64.
    pub markets: u16,
    /// WebSocket connections that the keys are dealt out to: 1 ..= keys. Over binary each key has a session of its own.
    pub connections: u32,
    /// Requests of one connection in a row before the next one's turn: 1 ..= 64. Default 1.
    #[serde(default = "one")]
    pub consecutive: u32,
    /// Operations a second in all: 1 ..= 10,000,000.
    pub rate: u64,
    /// For so many seconds: 1 ..= 86,400.
    pub seconds: u64,
    /// Level of the venue's journal.
    #[serde(with = "DurabilityText")]
    pub durability: Durability,
    /// Seed of everything random. Default 1.
    #[serde(default = "seed")]
    pub seed: u64,
    /// Microseconds between two looks at what is due and what came: 20 ..= 10,000. Part of each latency. Default 250.
    #[serde(default = "pacing")]
    pub pacing_us: u64,
    /// Operations under one signature, over binary only: 1 ..= 64. Default 1.
    #[serde(default = "one")]
    pub operations_per_frame: u32,
    /// Quotes in one message, over binary only: 0 ..= 32; 0 for none, else everything is quotes. Default 0.
    #[serde(default)]
    pub quotes_per_message: u32,
    /// Orders that rest before the clock starts, away from where the load trades: 0 ..= 4,000,000. Default 0.
    #[serde(default)]
    pub resting_orders: u64,
    /// Requests with a bad signature, in percent of all, from connections of their own: 0 ..= 90. Default 0.
    #[serde(default)]
    pub bad_signature_percent: u64,
    /// What the requests are.
    #[serde(default)]
    pub mix: Mix,
    /// Where they stand.
    #[serde(default)]
    pub prices: Prices,
    /// Bunches of messages beside the even flow.
    pub burst: Option<Burst>,
    /// Recorded flow instead of the mix.
    pub flow: Option<RecordedFlow>,
}

/// Weights of the kinds of requests. Default: as an engine's benchmarks have it with replaces and refused post-only orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Orders that rest; at least 1.
    pub add: u32,
    /// Cancels of the key's own orders.
    pub cancel: u32,
    /// Cancel-replaces of the key's own orders.
    pub replace: u32,
    /// Immediate-or-cancel orders that reach across.
    pub take: u32,
    /// Post-only orders that would trade, and so are refused.
    pub post_only_reject: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { add: 44, cancel: 40, replace: 8, take: 5, post_only_reject: 3 }
    }
}

/// Where orders stand and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// The middle, in ticks: above twice `depth_ticks`. Default 100,000.
    pub mid_ticks: u64,
    /// How far from the middle orders rest at most, in ticks: 1 ..= 10,000. Default 64.
    pub depth_ticks: u64,
    /// Largest quantity in lots: 1 ..= 10,000. Default 100.
    pub max_quantity_lots: u64,
    /// Orders that one key leaves open at most, as far as it knows: 1 ..= 4,000. Default 64.
    pub max_open_orders: u32,
}

impl Default for Prices {
    fn default() -> Self {
        Self { mid_ticks: 100_000, depth_ticks: 64, max_quantity_lots: 100, max_open_orders: 64 }
    }
}

/// Bunches of messages beside the even flow; the rate is that of both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Requests in one bunch: 1 ..= 100,000.
    pub messages: u64,
    /// They are due within so many microseconds: 1 ..= 1,000,000.
    pub within_us: u64,
    /// One bunch in so many milliseconds: 1 ..= 60,000, above `within_us`.
    pub every_ms: u64,
}

/// A recorded flow, sent by one key at a multiple of the speed at which it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFlow {
    /// The file, `.l3c` or `.l3c.gz`. A relative path starts at the working directory.
    pub file: PathBuf,
    /// How long the recording took, in seconds: the format has no times, so that its commands are spread evenly.
    pub recorded_seconds: u64,
}

/// `durability` in its two words.
#[derive(Deserialize, Serialize)]
#[serde(remote = "Durability", rename_all = "snake_case")]
enum DurabilityText {
    Sync,
    Async,
}

const fn one() -> u32 {
    1
}

const fn seed() -> u64 {
    1
}

const fn pacing() -> u64 {
    250
}

impl Scenario {
    /// The names of those that the program has.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// One of the program's own by its name, or any other by its path.
    ///
    /// # Errors
    /// [`ConfigError`]: no such file, not of this shape, or not possible.
    pub fn load(name: &str) -> Result<Self, ConfigError> {
        match BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            Some((_, text)) => Self::from_toml(text, &format!("config/scenarios/{name}.toml")),
            None => Self::from_toml(&read_file(Path::new(name))?, name),
        }
    }

    /// From a file's text; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`Scenario::load`].
    pub fn from_toml(text: &str, name: &str) -> Result<Self, ConfigError> {
        let scenario: Self = parse_toml(text, name)?;
        scenario.check(name)?;
        Ok(scenario)
    }

    /// Whether it can be carried out; for those who changed it after reading. `name` is what errors call it.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub fn check(&self, name: &str) -> Result<(), ConfigError> {
        self.check_ranges().and_then(|()| self.check_together()).map_err(|fault| fault.in_file(name))
    }

    /// Operations under one signature.
    pub fn operations_per_request(&self) -> u32 {
        self.operations_per_frame.max(self.quotes_per_message)
    }

    fn check_ranges(&self) -> Result<(), Fault> {
        check_range("keys", self.keys, 1..=1_000_000)?;
        check_range("markets", self.markets, 1..=64)?;
        check_range("connections", self.connections, 1..=self.keys.min(CONNECTIONS_MAX))?;
        check_range("consecutive", self.consecutive, 1..=64)?;
        check_range("rate", self.rate, 1..=10_000_000)?;
        check_range("seconds", self.seconds, 1..=86_400)?;
        check_range("pacing_us", self.pacing_us, 20..=10_000)?;
        check_range("operations_per_frame", self.operations_per_frame, 1..=64)?;
        check_range("quotes_per_message", self.quotes_per_message, 0..=32)?;
        check_range("resting_orders", self.resting_orders, 0..=4_000_000)?;
        check_range("bad_signature_percent", self.bad_signature_percent, 0..=90)?;
        check_range("mix.add", self.mix.add, 1..=1_000_000)?;
        for (key, weight) in [
            ("mix.cancel", self.mix.cancel),
            ("mix.replace", self.mix.replace),
            ("mix.take", self.mix.take),
            ("mix.post_only_reject", self.mix.post_only_reject),
        ] {
            check_range(key, weight, 0..=1_000_000)?;
        }
        check_range("prices.depth_ticks", self.prices.depth_ticks, 1..=10_000)?;
        check_range("prices.mid_ticks", self.prices.mid_ticks, 2 * self.prices.depth_ticks + 4_096..=1_000_000_000)?;
        check_range("prices.max_quantity_lots", self.prices.max_quantity_lots, 1..=10_000)?;
        check_range("prices.max_open_orders", self.prices.max_open_orders, 1..=4_000)
    }

    fn check_together(&self) -> Result<(), Fault> {
        if self.rate.saturating_mul(self.seconds) > OPERATIONS_MAX {
            return Err(Fault::new("seconds", format!("times rate is more than {OPERATIONS_MAX} operations")));
        }
        if self.operations_per_frame > 1 && self.quotes_per_message > 0 {
            return Err(Fault::new(
                "quotes_per_message",
                "stands beside operations_per_frame: a message is one or the other",
            ));
        }
        let preloaded = self.resting_orders.div_ceil(u64::from(self.keys)) + u64::from(self.markets) * 2;
        let open = preloaded + u64::from(self.prices.max_open_orders) + 2 * u64::from(self.quotes_per_message);
        if open > OPEN_ORDERS_MAX {
            let reason = format!("makes {open} open orders of one key, and the engine lets it have {OPEN_ORDERS_MAX}");
            return Err(Fault::new("resting_orders", reason));
        }
        if let Some(burst) = &self.burst {
            self.check_burst(burst)?;
        }
        if let Some(flow) = &self.flow {
            check_range("flow.recorded_seconds", flow.recorded_seconds, 1..=86_400)?;
            let single = (self.keys, self.connections, self.markets, self.operations_per_request()) == (1, 1, 1, 1);
            if !single || self.bad_signature_percent > 0 || self.burst.is_some() {
                return Err(Fault::new("flow", "is of one key in one market, one order a message and nothing beside"));
            }
        }
        Ok(())
    }

    fn check_burst(&self, burst: &Burst) -> Result<(), Fault> {
        check_range("burst.messages", burst.messages, 1..=100_000)?;
        check_range("burst.within_us", burst.within_us, 1..=1_000_000)?;
        check_range("burst.every_ms", burst.every_ms, 1..=60_000)?;
        if burst.within_us >= burst.every_ms * 1_000 {
            return Err(Fault::new("burst.within_us", "is not below burst.every_ms"));
        }
        let requests = self.rate * burst.every_ms / (1_000 * u64::from(self.operations_per_request()));
        if requests < burst.messages {
            let reason = format!("is more than the {requests} requests that the rate has in burst.every_ms");
            return Err(Fault::new("burst.messages", reason));
        }
        Ok(())
    }

    /// Over binary, where each key has a session, none may be silent for so long that the venue ends it.
    ///
    /// # Errors
    /// [`ConfigError::Value`]; `name` is what it calls the scenario.
    pub fn check_binary(&self, name: &str) -> Result<(), ConfigError> {
        let fault = if self.keys > CONNECTIONS_MAX {
            Some(Fault::new("keys", format!("is more than the {CONNECTIONS_MAX} sessions that the venue takes")))
        } else {
            let turn = u64::from(self.keys) * u64::from(self.consecutive) * u64::from(self.operations_per_request());
            let silence_s = turn / self.rate;
            (silence_s > SILENCE_MAX_S).then(|| {
                let reason =
                    format!("leaves each session silent for {silence_s} s, and the venue ends one after a while");
                Fault::new("rate", reason)
            })
        };
        fault.map_or(Ok(()), |fault| Err(fault.in_file(name)))
    }

    /// Over WebSocket there are neither frames nor quotes.
    ///
    /// # Errors
    /// [`ConfigError::Value`]; `name` is what it calls the scenario.
    pub fn check_websocket(&self, name: &str) -> Result<(), ConfigError> {
        let (key, count) = match self.quotes_per_message {
            0 => ("operations_per_frame", self.operations_per_frame),
            quotes => ("quotes_per_message", quotes + 1),
        };
        if count > 1 {
            let reason = "is of the binary protocol: the WebSocket API has one order a request";
            return Err(Fault::new(key, reason).in_file(name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "about = \"a test\"\nkeys = 4\nmarkets = 2\nconnections = 2\nrate = 1000\nseconds = 2\n\
                         durability = \"async\"\n";

    fn refusal(more: &str) -> String {
        match Scenario::from_toml(&format!("{LEAST}{more}"), "test.toml") {
            Err(error) => error.to_string(),
            Ok(scenario) => panic!("{scenario:?} is accepted"),
        }
    }

    #[test]
    fn the_scenarios_of_the_program_can_be_carried_out() {
        for name in Scenario::names() {
            let scenario = Scenario::load(name).expect("a scenario of the program");
            scenario.check_binary(name).expect("the binary protocol has everything");
            let is_binary_only = ["frames", "makers"].contains(&name);
            assert_eq!(scenario.check_websocket(name).is_err(), is_binary_only, "{name}");
        }
        let headline = Scenario::load("headline").expect("a scenario of the program");
        assert_eq!((headline.keys, headline.markets, headline.operations_per_frame), (1_000, 8, 1));
        assert_eq!(Scenario::load("frames").expect("one of the program").operations_per_frame, 64);
        assert_eq!(Scenario::load("deep").expect("one of the program").resting_orders, 1_000_000);
        assert_eq!(Scenario::load("hostile").expect("one of the program").bad_signature_percent, 10);
        let burst = Scenario::load("burst").expect("one of the program").burst.expect("bursts are what it is about");
        assert_eq!((burst.messages, burst.within_us), (175, 1_000));
    }

    #[test]
    fn what_is_not_said_has_its_documented_value() {
        let scenario = Scenario::from_toml(LEAST, "test.toml").expect("the least that is possible");
        assert_eq!((scenario.consecutive, scenario.seed, scenario.pacing_us), (1, 1, 250));
        assert_eq!((scenario.mix, scenario.prices), (Mix::default(), Prices::default()));
        assert_eq!(scenario.operations_per_request(), 1);
    }

    #[test]
    fn refusals_name_the_file_the_key_and_the_reason() {
        for (more, expected) in [
            ("pacing_us = 1\n", "test.toml: pacing_us: "),
            ("colour = 1\n", "unknown field `colour`"),
            ("bad_signature_percent = 91\n", "test.toml: bad_signature_percent: "),
            ("operations_per_frame = 65\n", "test.toml: operations_per_frame: "),
            ("operations_per_frame = 2\nquotes_per_message = 2\n", "test.toml: quotes_per_message: stands beside"),
            ("resting_orders = 40000\n", "test.toml: resting_orders: makes 10068 open orders of one key"),
            ("[mix]\nadd = 0\ncancel = 1\nreplace = 1\ntake = 1\npost_only_reject = 1\n", "test.toml: mix.add: "),
            ("[mix]\nadd = 1\n", "missing field"),
            ("[prices]\nmid_ticks = 10\n", "test.toml: prices.mid_ticks: "),
            ("[burst]\nmessages = 175\nwithin_us = 1000\nevery_ms = 1\n", "test.toml: burst.within_us: "),
            ("[burst]\nmessages = 175\nwithin_us = 1000\nevery_ms = 100\n", "is more than the 100 requests"),
            ("[flow]\nfile = \"a.l3c\"\nrecorded_seconds = 10\n", "test.toml: flow: is of one key"),
        ] {
            let refused = refusal(more);
            assert!(refused.contains(expected), "{more:?} gives {refused:?}");
        }
        let error = Scenario::load("no/such/scenario.toml").expect_err("there is none").to_string();
        assert!(error.contains("no/such/scenario.toml: cannot be read"), "{error}");
    }

    #[test]
    fn sessions_that_would_fall_silent_are_refused_over_binary_only() {
        let text = LEAST.replace("keys = 4", "keys = 16000").replace("rate = 1000", "rate = 100");
        let scenario = Scenario::from_toml(&text, "test.toml").expect("over WebSocket it is possible");
        let refused = scenario.check_binary("test.toml").expect_err("160 s of silence").to_string();
        assert!(refused.contains("test.toml: rate: leaves each session silent for 160 s"), "{refused}");
    }
}
