//! The load generator against a venue that answers, and against ones that lose, repeat, refuse or hang up.

use std::time::Duration;

use crate::venue::Conduct;
use lakh_loadtest::client::Trader;
use lakh_loadtest::error::LoadtestError;
use lakh_loadtest::load::{LoadOptions, run_load};
use lakh_loadtest::market_text::MarketText;
use lakh_loadtest::report::LoadReport;

async fn load(conduct: Conduct, change: fn(&mut LoadOptions)) -> Result<LoadReport, LoadtestError> {
    let market = MarketText::cents_and_units("UNITCASH");
    let url = crate::venue::start(market.clone(), conduct).await;
    let mut options = LoadOptions::new(&url, market);
    options.requests = 400;
    options.requests_per_second = 4_000;
    options.connections = 2;
    options.drain = Duration::from_millis(1_500);
    // Each connection has a book of its own here; deep enough for some takers to trade.
    options.workload.depth_ticks = 8;
    change(&mut options);
    run_load(&options, &Trader::from_seed(3, 3, Some([2; 16]))).await
}

fn checks(outcome: Result<LoadReport, LoadtestError>) -> String {
    match outcome {
        Err(LoadtestError::ChecksFailed(checks)) => checks.join("; "),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_venue_gives_figures_with_their_conditions() {
    let report = load(Conduct::Good, |_| {}).await.unwrap();
    assert_eq!((report.sent, report.acknowledged + report.rejected), (400, 400));
    assert!(report.acknowledged > 300 && report.filled > 0, "{report}");
    assert!(report.orders_per_second > 0 && report.elapsed_ms >= 99, "{report}");
    let latency = report.latency_us;
    assert!(0 < latency.p50 && latency.p50 <= latency.p99 && latency.p99_99 <= latency.max, "{report}");
    let json = serde_json::to_value(&report).unwrap();
    for pointer in ["/latency_us/p99_9", "/latency_us/p99_99", "/conditions/seed", "/conditions/loop"] {
        assert!(json.pointer(pointer).is_some(), "{pointer} in {json}");
    }
    assert!(report.to_string().contains("open loop, 2 connections, 3 keys, seed 1"), "{report}");
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
    let report = load(Conduct::Overloaded, |options| options.tolerated_codes.push(-1008)).await.unwrap();
    assert_eq!(report.reject_codes[&-1008], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venue_that_hangs_up_or_is_not_there_is_an_error() {
    let failed = checks(load(Conduct::Closes, |_| {}).await);
    assert!(failed.contains("the venue closed it") || failed.contains("connection to the venue"), "{failed}");
    let nobody = load(Conduct::Good, |options| options.url = "ws://127.0.0.1:1/".to_owned()).await;
    assert!(matches!(nobody, Err(LoadtestError::Connection { .. })));
}
