//! The load generator against servers that answer, and against ones that lose, repeat, refuse, skip or hang up.

use std::net::SocketAddr;
use std::time::Duration;

use crate::venue::Conduct;
use lakh_loadtest::client::Trader;
use lakh_loadtest::error::LoadtestError;
use lakh_loadtest::load::{Books, Grouping, LoadOptions, Transport, run_load};
use lakh_loadtest::market_text::MarketText;
use lakh_loadtest::null_venue::{self, NullConduct};
use lakh_loadtest::report::Measured;
use tokio::net::TcpListener;

type Outcome = Result<Measured, LoadtestError>;

/// Runs a load away from the runtime that its venue lives in.
async fn run(options: LoadOptions) -> Outcome {
    let traders = Trader::from_seed(3, 3, Some([2; 16]));
    tokio::task::spawn_blocking(move || run_load(&options, &traders)).await.unwrap()
}

fn options(url: &str, market: MarketText) -> LoadOptions {
    let mut options = LoadOptions::new(url, market);
    options.operations = 400;
    options.operations_per_second = 4_000;
    options.connections = 2;
    options.drain = Duration::from_millis(1_500);
    // Each connection has a book of its own here; deep enough for some takers to trade.
    options.workload.depth_ticks = 8;
    options
}

/// Over WebSocket against the engine behind a socket.
async fn load(conduct: Conduct, change: fn(&mut LoadOptions)) -> Outcome {
    let market = MarketText::cents_and_units("UNITCASH");
    let url = crate::venue::start(market.clone(), conduct).await;
    let mut options = options(&url, market);
    change(&mut options);
    run(options).await
}

/// Over binary against a server that only answers.
async fn load_binary(conduct: NullConduct, change: fn(&mut LoadOptions)) -> Outcome {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (websocket, binary) = (TcpListener::bind(any).await.unwrap(), TcpListener::bind(any).await.unwrap());
    let mut options = options(&format!("ws://{}/", websocket.local_addr().unwrap()), MarketText::cents_and_units("A"));
    options.binary = Some(binary.local_addr().unwrap());
    options.transport = Transport::Binary;
    options.books = Books::None;
    change(&mut options);
    tokio::spawn(null_venue::serve(websocket, binary, conduct));
    run(options).await
}

/// What a run is refused for.
fn checks(outcome: Outcome) -> String {
    match outcome {
        Err(error @ LoadtestError::ChecksFailed(_)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a figure in spite of what the venue did"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_venue_gives_figures() {
    let measured = load(Conduct::Good, |_| {}).await.unwrap();
    let seen = &measured.recorder;
    assert_eq!((measured.sent, seen.acknowledged() + seen.rejected()), (400, 400));
    assert!(seen.acknowledged() > 300 && seen.filled() > 0, "{measured:?}");
    assert!(measured.orders_per_second() > 0 && seen.last_answer() >= Duration::from_millis(99), "{measured:?}");
    let latency = seen.latency_us();
    assert!(0 < latency.p50 && latency.p50 <= latency.p99 && latency.p99_99 <= latency.max, "{latency:?}");
    assert_eq!(measured.checks, ["each request answered exactly once"], "there is no binary port to see books by");
    assert!(measured.cpu_seconds()["generator"].contains_key("generator"), "{:?}", measured.cpu_seconds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_gives_no_figure() {
    assert!(checks(load(Conduct::DropsAnswer, |_| {}).await).contains("2 requests were never answered"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_too_many_gives_no_figure() {
    assert!(checks(load(Conduct::AnswersTwice, |_| {}).await).contains("request 20 was answered twice"));
    assert!(checks(load(Conduct::Babbles, |_| {}).await).contains("a message that answers nothing"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_spoil_the_run_unless_they_are_tolerated() {
    assert!(checks(load(Conduct::Overloaded, |_| {}).await).contains("2 requests were refused with -1008"));
    let measured = load(Conduct::Overloaded, |options| options.tolerated_codes.push(-1008)).await.unwrap();
    assert_eq!(measured.recorder.reject_codes()[&-1008], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_barrier_that_is_refused_is_asked_again() {
    let measured = load(Conduct::RefusesBarrier, |_| {}).await.unwrap();
    assert!(!measured.recorder.reject_codes().contains_key(&-1015), "the barrier is no request of the load");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venue_that_hangs_up_or_is_not_there_is_an_error() {
    let failed = checks(load(Conduct::Closes, |_| {}).await);
    assert!(failed.contains("the venue closed it") || failed.contains("connection to the venue"), "{failed}");
    let nobody = load(Conduct::Good, |options| options.url = "ws://127.0.0.1:1/".to_owned()).await;
    assert!(matches!(nobody, Err(LoadtestError::Connection { .. })), "{nobody:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_sessions_are_held_to_each_of_their_promises() {
    let measured = load_binary(NullConduct::Good, |_| {}).await.unwrap();
    assert_eq!((measured.sent, measured.recorder.acknowledged()), (400, 400));
    assert_eq!(measured.checks.len(), 2, "{:?}", measured.checks);
    for (conduct, expected) in [
        (NullConduct::DropsAnswer, "3 requests were never answered"),
        (NullConduct::AnswersTwice, "request 18 was answered twice"),
        (NullConduct::SkipsNumber, "of the venue follows on"),
        (NullConduct::SkipsReport, "of an account follows on"),
        (NullConduct::AnswersNobody, "a report of request 1000018, which was not sent"),
        (NullConduct::Closes, "the venue closed it"),
    ] {
        println!("{conduct:?}");
        let failed = checks(load_binary(conduct, |_| {}).await);
        assert!(failed.contains(expected), "{conduct:?}: {failed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_of_a_frame_is_counted_and_has_its_turn() {
    let frames: fn(&mut LoadOptions) = |options| {
        options.grouping = Grouping::Frames(7);
        options.operations = 700;
    };
    let measured = load_binary(NullConduct::Good, frames).await.unwrap();
    assert_eq!((measured.sent, measured.recorder.acknowledged()), (700, 700));
    let twice = checks(load_binary(NullConduct::AnswersTwice, frames).await);
    assert!(twice.contains("frame 18 was answered twice"), "{twice}");
    let quotes = load_binary(NullConduct::Good, |options| options.grouping = Grouping::Quotes(4)).await.unwrap();
    assert_eq!((quotes.sent, quotes.recorder.acknowledged()), (400, 400));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_not_the_expected_one_is_not_loaded() {
    let fails = load_binary(NullConduct::Good, |options| options.url.clear()).await;
    assert!(fails.is_ok(), "over binary the WebSocket address is not looked at");
    let nobody = load_binary(NullConduct::Good, |options| options.binary = None).await;
    assert!(matches!(nobody, Err(LoadtestError::Options(_))), "{nobody:?}");
}
