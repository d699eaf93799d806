//! `lakh soak latency`: how long an order takes over the binary port to its report, one at a time, beside a bare TCP echo.
//!
//! The venue is a whole one in a process of its own: signatures, journal at the durability that is asked for, keeper, report
//! log. The echo is a thread here with a blocking socket, and the two take turns within one run, so that both have the
//! machine as it is. Each order is taken off again before the next. Which processors client and venue run on decides more
//! than anything else ([`crate::processors`]), so it is measured with each placement, and a new venue for each.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lakh_engine::command::{PlaceOrder, Side};
use lakh_engine::ids::MarketId;
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{Incoming, LogonOptions, Message, Requests, now};
use lakh_gateway::wire::sbe::enums::{ExecutionType, WireEnum as _};
use lakh_loadtest::client::Trader;
use lakh_loadtest::scratch_venue::{VENUE_TAG, VenueOptions};
use serde_json::{Value, json};

use crate::processors::{KeptAwake, Placement, Processors};

const MARKET: MarketId = MarketId(0);
/// Bytes of a new order's frame, which the echo sends back.
const ORDER_BYTES: usize = 192;
/// Orders before any is timed.
const WARM_UP: u64 = 200;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct LatencyArguments {
    /// Orders that are timed, and echoes.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    orders: u64,
    /// Durability of the venue: `sync` or `async`.
    #[arg(long, default_value = "async", value_parser = ["sync", "async"])]
    durability: String,
}

/// Measures both in turn, with each placement: processors kept awake, and as they are.
pub(crate) fn run(arguments: &LatencyArguments) -> Result<Value> {
    let processors = Processors::of_this_thread()?;
    let mut rows = Vec::new();
    for kept_awake in [true, false] {
        for placement in Placement::ALL {
            let times = match processors.allow(placement) {
                true => {
                    let _awake = kept_awake.then(|| KeptAwake::begin(&processors)).transpose()?;
                    measure(arguments, &processors, placement)?
                }
                false => json!({ "skipped": "one processor is not enough" }),
            };
            rows.push(json!({ "placement": placement.name(), "kept_awake": kept_awake, "times": times }));
        }
    }
    Ok(json!({ "durability": arguments.durability, "rows": rows }))
}

fn measure(arguments: &LatencyArguments, processors: &Processors, placement: Placement) -> Result<Value> {
    let scratch = tempfile::Builder::new().prefix("lakh-soak-").tempdir()?;
    let mut options = VenueOptions::new(&std::env::current_exe()?, scratch.path());
    options.durability.clone_from(&arguments.durability);
    options.units = 1_000_000_000;
    processors.go_where_answers_are(placement)?;
    let venue = options.start()?;
    let mut echo = echo()?;
    processors.go_where_the_client_is(placement)?;
    let trader = options.traders().first().cloned().context("a venue has a trader")?;
    let mut client = Client::connect(venue.binary().parse()?, &trader)?;
    let (mut orders, mut echoes) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + arguments.orders {
        let taken = (client.round_trip(number)?, round_trip(&mut echo)?);
        if number >= WARM_UP {
            orders.push(taken.0);
            echoes.push(taken.1);
        }
    }
    drop(client);
    venue.stop()?;
    let (order, echo) = (quantiles(orders), quantiles(echoes));
    Ok(json!({
        "order_to_report_us": { "p50": order.0, "p99": order.1 },
        "tcp_echo_us": { "p50": echo.0, "p99": echo.1 },
        "p50_ratio": order.0 / echo.0,
    }))
}

/// A blocking client: the fewest wakes on its side.
struct Client {
    stream: TcpStream,
    requests: Requests,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, trader: &Trader) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut requests = Requests::new(trader.signing_key().clone());
        requests.log_on(&LogonOptions { heartbeat_ms: 60_000, ..LogonOptions::new(VENUE_TAG) }, now());
        let mut client = Self { stream, requests, incoming: Incoming::new(), buffer: vec![0; 1 << 16] };
        client.flush()?;
        match client.next()? {
            Message::LogonAccepted(accepted) => client.requests.logged_on(&accepted),
            other => bail!("no logon: {other:?}"),
        }
        Ok(client)
    }

    /// Places an order, and takes it off again outside of the time.
    fn round_trip(&mut self, number: u64) -> Result<Duration> {
        let order = PlaceOrder::limit(MARKET, Side::Bid, Ticks(1 + number % 500), Lots(1));
        self.requests.place(&order, now());
        let begin = Instant::now();
        self.flush()?;
        self.report(ExecutionType::New)?;
        let took = begin.elapsed();
        self.requests.mass_cancel(None, None, now());
        self.flush()?;
        self.report(ExecutionType::Canceled)?;
        Ok(took)
    }

    fn flush(&mut self) -> Result<()> {
        self.stream.write_all(self.requests.bytes())?;
        self.requests.clear();
        Ok(())
    }

    /// Reads until a report of this kind.
    fn report(&mut self, wanted: ExecutionType) -> Result<()> {
        loop {
            match self.next()? {
                Message::ExecutionReport(report) if report.execution_type == wanted.wire() => return Ok(()),
                Message::ExecutionReport(_) | Message::MassCancelAccepted(_) | Message::Heartbeat(_) => {}
                other => bail!("no report: {other:?}"),
            }
        }
    }

    fn next(&mut self) -> Result<Message> {
        loop {
            if let Some(message) = self.incoming.next_message()? {
                return Ok(message);
            }
            match self.stream.read(&mut self.buffer)? {
                0 => bail!("the venue ended the connection"),
                count => self.incoming.feed(&self.buffer[..count]),
            }
        }
    }
}

/// A connection to a thread that sends back what it gets; the thread ends with it.
fn echo() -> Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    stream.set_nodelay(true)?;
    let (mut other, _) = listener.accept()?;
    other.set_nodelay(true)?;
    std::thread::Builder::new().name("echo".to_owned()).spawn(move || {
        let mut buffer = [0; ORDER_BYTES];
        while let Ok(count) = other.read(&mut buffer) {
            if count == 0 || other.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })?;
    Ok(stream)
}

fn round_trip(echo: &mut TcpStream) -> Result<Duration> {
    let mut bytes = [0; ORDER_BYTES];
    let begin = Instant::now();
    echo.write_all(&bytes)?;
    echo.read_exact(&mut bytes)?;
    Ok(begin.elapsed())
}

/// The median and the 99th percentile, in microseconds.
fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_nanos() as f64 / 1_000.0;
    (at(50), at(99))
}
