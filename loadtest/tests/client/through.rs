//! A flow as signed orders over a real loopback socket, against a venue that behaves and against ones that do not.

use std::path::PathBuf;

use crate::venue::Conduct;
use lakh_loadtest::client::Trader;
use lakh_loadtest::error::LoadtestError;
use lakh_loadtest::flow::check::{CheckOptions, check_direct};
use lakh_loadtest::flow::judge::FlowReport;
use lakh_loadtest::flow::through::{ThroughOptions, check_through};
use lakh_loadtest::market_text::MarketText;

fn sample() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sample.l3c"))
}

async fn through(conduct: Conduct, options: &ThroughOptions) -> Result<FlowReport, LoadtestError> {
    let url = crate::venue::start(options.market.clone(), conduct).await;
    let trader = Trader::from_seed(7, 1, Some([1; 16])).remove(0);
    check_through(&url, &trader, &sample(), options).await
}

fn cents() -> ThroughOptions {
    ThroughOptions::new(MarketText::cents_and_units("UNITCASH"))
}

#[tokio::test]
async fn both_ways_agree_to_the_byte_whatever_window_units_and_order_of_reports() {
    let directory = tempfile::tempdir().unwrap();
    let direct_fills = directory.path().join("direct");
    let direct = check_direct(&sample(), &CheckOptions { fills: Some(direct_fills.clone()) }).unwrap();
    let fine = MarketText {
        price_decimals: 4,
        price_units_per_tick: 25,
        quantity_decimals: 3,
        quantity_units_per_lot: 10,
        symbol: "FINE".to_owned(),
    };
    let cases = [
        (Conduct::Good, MarketText::cents_and_units("UNITCASH"), 64),
        (Conduct::ReportsFirst, MarketText::cents_and_units("UNITCASH"), 2),
        (Conduct::ReportsFirst, fine.clone(), 64),
        (Conduct::Good, fine, 3),
    ];
    for (conduct, market, window) in cases {
        let fills = directory.path().join("through");
        let options = ThroughOptions { window, fills: Some(fills.clone()), ..ThroughOptions::new(market) };
        let report = through(conduct, &options).await.unwrap();
        assert!(report.passed(), "{conduct:?} {window}: {report}");
        assert_eq!(report, direct, "{conduct:?} {window}");
        assert_eq!(std::fs::read(&fills).unwrap(), std::fs::read(&direct_fills).unwrap());
    }
}

#[tokio::test]
async fn what_only_the_venue_says_wrongly_is_found() {
    for (conduct, message) in [
        (Conduct::WrongQuantity, "fill recorded 5 of 2 at 1000, came 6 of 2 at 1000"),
        (Conduct::WrongDepth, "best bid and offer recorded"),
        (Conduct::DropsMakerReport, "fill recorded 5 of 2 at 1000, came none"),
    ] {
        let report = through(conduct, &cents()).await.unwrap();
        assert!(report.first_bad_lines[0].message.contains(message), "{conduct:?}: {report}");
    }
}

#[tokio::test]
async fn trouble_that_says_nothing_of_the_flow_is_an_error() {
    let overloaded = through(Conduct::Overloaded, &cents()).await;
    assert!(matches!(overloaded, Err(LoadtestError::Refused { code: -1008, .. })), "{overloaded:?}");
    assert!(matches!(through(Conduct::Closes, &cents()).await, Err(LoadtestError::Connection { .. })));
    assert!(matches!(through(Conduct::AnswersTwice, &cents()).await, Err(LoadtestError::Protocol(_))));
    let options = ThroughOptions { window: 1, ..cents() };
    assert!(matches!(through(Conduct::Good, &options).await, Err(LoadtestError::Options(_))));
    let trader = Trader::from_seed(7, 1, None).remove(0);
    let nobody = check_through("ws://127.0.0.1:1/ws-api/v3", &trader, &sample(), &cents()).await;
    assert!(matches!(nobody, Err(LoadtestError::Connection { .. })));
}
