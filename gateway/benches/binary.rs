//! What the binary face costs: a message's encoding and decoding, an order's way to its report beside a bare echo, and a
//! feed with a hundred listeners.
//!
//! `cargo bench -p lakh-gateway --bench binary`. Encoding and decoding: thread CPU time, best of some passes. The way to
//! the report: loopback, one order in flight, gateway, verifier, sequencer, engine and publisher in this process and no
//! journal; the echo is a thread with a blocking socket, and the two take turns within one run. Where client and venue share a
//! processor an answer is two switches of threads, where each has its own two interrupts, which in a virtual machine take longer
//! than an echo otherwise does: so it is measured with each placement. Tell the machine with it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails like a test, and prints")]

#[path = "../tests/common/mod.rs"]
mod common;
mod measure;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use common::exchange::{Exchange, MARKET, key, logon};
use common::now;
use lakh_engine::command::{PlaceOrder, Side};
use lakh_engine::units::{Lots, Ticks};
use lakh_gateway::binary_client::{Incoming, Message, Requests};
use lakh_gateway::wire::sbe::enums::{Channel, ExecutionType, SessionRole, WireEnum};
use lakh_gateway::wire::sbe::orders::NewOrder;
use lakh_gateway::wire::sbe::reports::ExecutionReport;
use lakh_gateway::wire::sbe::request::OrderRequest;
use lakh_gateway::wire::sbe::{Block, HEADER_BYTES, next_frame, put};
use measure::{Scale, thread_cpu_ns};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::Runtime;

const MESSAGES: u64 = 1_000_000;
/// Orders whose way to the report is timed, and echoes.
const ROUND_TRIPS: u64 = 2_000;
const LISTENERS: u64 = 100;
/// Orders that the listeners are told of: that each came and that it went.
const FEED_ORDERS: u64 = 10_000;

/// The best of some passes, in nanoseconds a message.
fn best(name: &str, scale: Scale, mut one: impl FnMut(u64)) {
    let messages = scale.of(MESSAGES);
    let pass = || {
        let begin = thread_cpu_ns();
        (0..messages).for_each(&mut one);
        thread_cpu_ns() - begin
    };
    let time = std::iter::repeat_with(pass).take(scale.passes()).min().unwrap();
    println!("{name:<44} {:>7.1} ns a message", time as f64 / messages as f64);
}

fn codec(scale: Scale) {
    let report =
        ExecutionReport { account_sequence: 7.into(), price: 5_000.into(), ..zerocopy_zeroes::<ExecutionReport>() };
    let mut out = Vec::with_capacity(4_096);
    best("ExecutionReport, encode", scale, |index| {
        out.clear();
        put(&mut out, &ExecutionReport { account_sequence: index.into(), ..black_box(report) });
        black_box(&out);
    });
    let frame = out.clone();
    best("ExecutionReport, decode", scale, |_| {
        let frame = next_frame(black_box(&frame)).unwrap().unwrap();
        let report = frame.block::<ExecutionReport>().unwrap();
        black_box((report.account_sequence.get(), report.last_quantity.get(), report.client_order_id));
    });
    let order = NewOrder { quantity: 5.into(), price: 77.into(), ..zerocopy_zeroes::<NewOrder>() };
    best("NewOrder, encode without signature", scale, |index| {
        out.clear();
        put(&mut out, &NewOrder { nonce: index.into(), ..black_box(order) });
        black_box(&out);
    });
    let frame = out.clone();
    best("NewOrder, decode to a command", scale, |_| {
        let frame = next_frame(black_box(&frame)).unwrap().unwrap();
        black_box(OrderRequest::from_frame(&frame).unwrap());
    });
    let domain = *common::directory(lakh_engine::command::Mode::Run).signing_domain();
    best("NewOrder, the digest that is signed", scale, |_| {
        let signed = &frame[HEADER_BYTES + 16..frame.len() - 64];
        black_box(domain.digest(NewOrder::TEMPLATE, black_box(signed), &[]));
    });
}

fn zerocopy_zeroes<B: Block>() -> B {
    B::read_from_bytes(&vec![0; size_of::<B>()]).unwrap()
}

/// A blocking client: the fewest wake-ups on its side.
struct Blocking {
    stream: TcpStream,
    requests: Requests,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Blocking {
    fn connect(exchange: &Exchange, account: u32, role: SessionRole, sender: &str) -> Self {
        let mut options = logon();
        (options.role, options.sender, options.heartbeat_ms) = (role, sender.to_owned(), 60_000);
        let mut requests = Requests::new(key(account));
        requests.log_on(&options, now());
        let stream = TcpStream::connect(exchange.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream, requests, incoming: Incoming::new(), buffer: vec![0; 1 << 18] };
        client.flush();
        match client.next() {
            Message::LogonAccepted(accepted) => client.requests.logged_on(&accepted),
            other => panic!("{other:?}"),
        }
        client
    }

    fn flush(&mut self) {
        self.stream.write_all(self.requests.bytes()).unwrap();
        self.requests.clear();
    }

    /// Reads until an order's report of this type.
    fn report(&mut self, execution: ExecutionType) {
        loop {
            match self.next() {
                Message::ExecutionReport(report) if report.execution_type == execution.wire() => return,
                Message::ExecutionReport(_) | Message::MassCancelAccepted(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn next(&mut self) -> Message {
        loop {
            if let Some(message) = self.incoming.next_message().unwrap() {
                return message;
            }
            let count = self.stream.read(&mut self.buffer).unwrap();
            assert!(count > 0, "the venue is there");
            self.incoming.feed(&self.buffer[..count]);
        }
    }
}

fn echo() -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = [0; 4_096];
        while let Ok(count) = stream.read(&mut buffer) {
            if count == 0 || stream.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn quantiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_nanos() as f64 / 1_000.0;
    (at(50), at(99))
}

/// Keeps every processor at something that gives way to everything else, for as long as it lives: a virtual machine's host
/// takes a processor away that waits for some 20 µs, and giving it back takes as long again.
struct KeptAwake(Vec<std::process::Child>);

impl KeptAwake {
    fn begin(processors: &[usize]) -> Self {
        let spin = |processor: &usize| {
            go_to(&[*processor]);
            let spin = ["--idle", "0", "sh", "-c", "while :; do :; done"];
            std::process::Command::new("chrt").args(spin).spawn().expect("chrt and sh are there")
        };
        let awake = Self(processors.iter().map(spin).collect());
        go_to(processors);
        awake
    }
}

impl Drop for KeptAwake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().expect("it is ours");
            child.wait().expect("it was running");
        }
    }
}

/// Puts the calling thread, and the threads and processes that it starts from here on, on these processors.
fn go_to(processors: &[usize]) {
    let mut wanted = CpuSet::new();
    processors.iter().for_each(|processor| wanted.set(*processor));
    sched_setaffinity(None, &wanted).unwrap();
}

/// Each placement with a venue of its own: where those are who answer, and where the client is.
fn latency(scale: Scale) {
    let own = sched_getaffinity(None).unwrap();
    let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|processor| own.is_set(*processor)).collect();
    let (first, others) = all.split_at(1);
    let placements = [
        ("a processor for the client", others, first),
        ("one processor", first, first),
        ("anywhere", &all[..], &all[..]),
    ];
    for (name, answers, client) in placements {
        if answers.is_empty() {
            println!("{name}: skipped, there is one processor");
            continue;
        }
        for awake in ["kept awake by others of the lowest priority", "as they are"] {
            println!("{name}, processors {awake}:");
            let _awake = (awake != "as they are").then(|| KeptAwake::begin(&all));
            go_to(answers);
            let (runtime, exchange) = venue();
            let mut echo = echo();
            go_to(client);
            round_trips(&mut Blocking::connect(&exchange, 1, SessionRole::Trading, "latency"), &mut echo, scale);
            runtime.block_on(exchange.end());
        }
    }
    go_to(&all);
}

fn venue() -> (Runtime, Exchange) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let exchange = runtime.block_on(Exchange::with(|options| options.address.connections = 4_096, |_| {}));
    (runtime, exchange)
}

fn round_trips(client: &mut Blocking, echo: &mut TcpStream, scale: Scale) {
    let (mut orders, mut echoes) = (Vec::new(), Vec::new());
    let mut buffer = [0; 192];
    for index in 0..scale.of(ROUND_TRIPS) {
        let order = PlaceOrder::limit(MARKET, Side::Bid, Ticks(1 + index % 500), Lots(1));
        client.requests.place(&order, now());
        let begin = Instant::now();
        client.flush();
        client.report(ExecutionType::New);
        orders.push(begin.elapsed());
        client.requests.mass_cancel(None, None, now());
        client.flush();
        client.report(ExecutionType::Canceled);
        let begin = Instant::now();
        echo.write_all(&buffer).unwrap();
        echo.read_exact(&mut buffer).unwrap();
        echoes.push(begin.elapsed());
    }
    let ((order_p50, order_p99), (echo_p50, echo_p99)) = (quantiles(orders), quantiles(echoes));
    println!("order to report, one in flight               p50 {order_p50:>7.1} us, p99 {order_p99:>8.1} us");
    println!("bare TCP echo of 192 bytes, in turn          p50 {echo_p50:>7.1} us, p99 {echo_p99:>8.1} us");
    println!("ratio of the p50                             {:>11.2}", order_p50 / echo_p50);
}

fn feed(exchange: &Exchange, scale: Scale) {
    // Whole rounds of 500 orders.
    let (listeners, orders) = (scale.of(LISTENERS), scale.of(FEED_ORDERS).next_multiple_of(500));
    let mut threads = Vec::new();
    for number in 0..listeners {
        let mut listener = Blocking::connect(exchange, 2, SessionRole::MarketData, &format!("l{number}"));
        listener.requests.subscribe(MARKET, Channel::Orders, None, now());
        listener.flush();
        while !matches!(listener.next(), Message::SnapshotEnd(_)) {}
        threads.push(std::thread::spawn(move || {
            let mut events = 0;
            while events < 2 * orders {
                if let Message::OrderAdded(_) | Message::OrderDeleted(_) = listener.next() {
                    events += 1;
                }
            }
        }));
    }
    let mut client = Blocking::connect(exchange, 3, SessionRole::Trading, "feed");
    let begin = Instant::now();
    for batch in 0..orders / 500 {
        for index in 0..500 {
            let order = PlaceOrder::limit(MARKET, Side::Bid, Ticks(1 + (batch + index) % 900), Lots(1));
            client.requests.place(&order, now());
        }
        client.requests.mass_cancel(None, None, now());
        client.flush();
        (0..500).for_each(|_| client.report(ExecutionType::Canceled));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let seconds = begin.elapsed().as_secs_f64();
    let events = 2.0 * orders as f64;
    println!(
        "L3 to {listeners} listeners, each event read by each      {:>9.0} events/s, {:>11.0} deliveries/s",
        events / seconds,
        events * listeners as f64 / seconds
    );
}

fn main() {
    let scale = Scale::asked();
    // `-- latency` and the like: only that part.
    let parts = ["codec", "latency", "feed"];
    let only = std::env::args().find(|argument| parts.contains(&argument.as_str()));
    let wanted = |part| only.as_deref().is_none_or(|only| only == part);
    if wanted("codec") {
        codec(scale);
    }
    if wanted("latency") {
        latency(scale);
    }
    if wanted("feed") {
        let (runtime, exchange) = venue();
        feed(&exchange, scale);
        runtime.block_on(exchange.end());
    }
}
