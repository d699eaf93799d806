//! Small versions of `lakh soak`, which is where the figures come from: here it only has to hold.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod program;

use serde_json::Value as Json;

use crate::program::json;

fn soak(arguments: &[&str]) -> Json {
    json(&[&["soak"], arguments].concat())
}

#[test]
fn idle_connections_cost_little_and_are_kept() {
    let report = soak(&["idle", "--idle", "400", "--active", "8", "--rate", "200", "--seconds", "1"]);
    let bytes = report["bytes_per_connection"].as_u64().unwrap();
    println!("{bytes} bytes for each of {}", report["idle"]);
    // A buffer for each that is taken in advance would show here; what it really costs is in docs/benchmarks.md.
    assert!(bytes < 64 << 10, "{report}");
}

#[test]
fn subscribers_that_never_read_end_and_the_others_are_told_on() {
    let few = ["--readers", "30", "--silent", "10", "--rate", "1000", "--seconds", "5"];
    let report = soak(&[&["subscribers"], &few[..]].concat());
    println!("{report}");
    for run in ["with", "without"] {
        assert!(report[run]["delivered"].as_u64().unwrap() > 30, "{report}");
    }
    assert_eq!(report["with"]["silent_ended"], 10, "{report}");
}

#[test]
fn a_start_from_a_snapshot_replays_what_follows_it_alone() {
    let report = soak(&["start", "--records", "20000", "--tail-percent", "10"]);
    println!("{report}");
    assert_eq!(report["snapshot"]["sequence"], 18_000);
    assert_eq!(report["fromFirst"]["recovery"]["fromSnapshot"], 0);
    // Each start journals that it was one; so the snapshot, too, has a few records more behind it than were made.
    let replayed = |start: &str| report[start]["recovery"]["replayed"].as_u64().unwrap();
    assert!((2_000..2_010).contains(&replayed("fromSnapshot")), "{report}");
    assert!((20_000..20_010).contains(&replayed("fromFirst")), "{report}");
}

#[test]
fn trading_goes_on_beside_mirrors_and_readers_that_never_read() {
    let few = ["--mirrors", "2", "--silent", "4", "--rate", "500", "--seconds", "1"];
    let report = soak(&[&["watchers"], &few[..]].concat());
    println!("{report}");
    for run in ["alone", "beside_mirrors", "alone_again", "beside_silent"] {
        assert!(report[run]["trading"]["acknowledged_per_second"].as_u64().unwrap() > 100, "{report}");
    }
    assert!(report["bytes_per_silent_reader"].as_u64().unwrap() < 4 << 20, "{report}");
}

#[test]
fn an_order_s_way_is_timed_beside_an_echo() {
    for durability in ["async", "sync"] {
        let report = soak(&["latency", "--orders", "100", "--durability", durability]);
        println!("{report}");
        let rows = report["rows"].as_array().unwrap();
        let which = |row: &Json| (row["kept_awake"].clone(), row["placement"].clone());
        let each = [true, false]
            .map(|awake| ["apart", "together", "anywhere"].map(|placement| (awake.into(), placement.into())));
        assert_eq!(rows.iter().map(which).collect::<Vec<_>>(), each.as_flattened(), "{report}");
        // Which of the two is faster is a measurement: an echo that waits behind other tests takes longer than an order.
        for times in rows.iter().map(|row| &row["times"]).filter(|times| times["skipped"].is_null()) {
            for whose in ["order_to_report_us", "tcp_echo_us"] {
                let [p50, p99] = ["p50", "p99"].map(|which| times[whose][which].as_f64().unwrap());
                assert!(0.0 < p50 && p50 <= p99, "{report}");
            }
        }
    }
}
