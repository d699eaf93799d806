//! `lakh load` in small: each scenario against a real venue with every check, and what has to be refused.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

fn lakh(arguments: &[&str]) -> Output {
    // Where recordings are looked for, as from the repository's root.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Command::new(env!("CARGO_BIN_EXE_lakh")).current_dir(root).arg("load").args(arguments).output().unwrap()
}

/// The one object that a run prints.
fn load(arguments: &[&str]) -> Json {
    let output = lakh(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    println!("{arguments:?}: {report}");
    report
}

fn number(report: &Json, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Json::as_u64).unwrap_or_else(|| panic!("{pointer} in {report}"))
}

/// What every report has, and that it adds up.
fn check(report: &Json, sent: u64) {
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    let expected = ["acknowledged", "conditions", "filled", "latency_us", "orders_per_second", "rejected", "sent"];
    assert_eq!(keys, expected);
    assert_eq!(number(report, "/sent"), sent);
    assert_eq!(number(report, "/acknowledged") + number(report, "/rejected"), sent);
    assert!(number(report, "/orders_per_second") > 0, "{report}");
    let latency = ["p50", "p99", "p99_9", "p99_99", "max"].map(|name| number(report, &format!("/latency_us/{name}")));
    assert!(latency[0] > 0 && latency.is_sorted(), "{latency:?}");
    for pointer in ["machine", "processors", "commit", "mix", "keys", "markets", "durability", "excluded", "book"] {
        assert!(report["conditions"].get(pointer).is_some_and(|value| !value.is_null()), "{pointer} in {report}");
    }
    let checks = report["conditions"]["checks"].to_string();
    for check in ["answered exactly once", "depth of every market", "replay of the journal", "balances conserved"] {
        assert!(checks.contains(check), "{check} in {checks}");
    }
    assert!(report["conditions"]["cpu_seconds"]["venue"].get("keeper").is_some(), "{report}");
}

#[test]
fn headline_over_both_transports() {
    let small = ["--scenario", "headline", "--keys", "24", "--connections", "4", "--rate", "600", "--seconds", "1"];
    for transport in ["websocket", "binary"] {
        let report = load(&[&small[..], &["--transport", transport]].concat());
        check(&report, 600);
        assert!(number(&report, "/filled") > 0 && number(&report, "/rejected") > 0, "{report}");
        assert_eq!(number(&report, "/conditions/keys"), 24);
    }
}

#[test]
fn frames_and_makers_count_operations() {
    let frames = ["--scenario", "frames", "--transport", "binary", "--keys", "4", "--rate", "6400", "--seconds", "1"];
    let report = load(&frames);
    check(&report, 6_400);
    assert_eq!(number(&report, "/conditions/operations_per_request"), 64);
    let makers = ["--scenario", "makers", "--transport", "binary", "--keys", "4", "--rate", "1600", "--seconds", "1"];
    let report = load(&makers);
    check(&report, 1_600);
    // Each slot of each maker in each market that it has quoted has two orders.
    assert!(number(&report, "/conditions/book/orders") > 4 * 2 * 16, "{report}");
    assert_eq!(number(&report, "/rejected"), 0, "{report}");
}

#[test]
fn bursts_and_deep_books() {
    let burst = ["--scenario", "burst", "--keys", "16", "--rate", "2000", "--seconds", "1"];
    check(&load(&burst), 2_000);
    let deep = ["--scenario", "deep", "--keys", "8", "--rate", "400", "--seconds", "1", "--resting-orders", "3000"];
    let report = load(&[&deep[..], &["--transport", "binary"]].concat());
    check(&report, 400);
    assert!(number(&report, "/conditions/book/orders") > 3_000, "{report}");
}

#[test]
fn hostile_clients_are_refused_and_reported_apart() {
    let small = ["--scenario", "hostile", "--keys", "16", "--connections", "4", "--rate", "300", "--seconds", "2"];
    for transport in ["websocket", "binary"] {
        let report = load(&[&small[..], &["--transport", transport]].concat());
        // The figures are the honest clients'.
        check(&report, 540);
        let hostile = &report["conditions"]["hostile"];
        assert!(number(hostile, "/sent") >= 30 && number(hostile, "/refused") > 0, "{hostile}");
        assert_eq!(number(hostile, "/accepted"), 0, "{hostile}");
        assert!(number(hostile, "/disconnected") > 0, "{hostile}");
    }
}

#[test]
fn a_durable_soak_writes_a_page_and_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("soak.html");
    let small = ["--scenario", "soak", "--keys", "16", "--rate", "300", "--seconds", "2"];
    let report = load(&[&small[..], &["--report", page.to_str().unwrap()]].concat());
    check(&report, 600);
    assert_eq!(report["conditions"]["durability"], "sync");
    let html = std::fs::read_to_string(&page).unwrap();
    for part in
        ["Latency by percentile", "Operations a second over time", "Processor time by thread", "<svg", "</html>"]
    {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("<script"), "nothing is fetched");
    let json: Json = serde_json::from_str(&std::fs::read_to_string(page.with_extension("json")).unwrap()).unwrap();
    assert_eq!(json["sent"], report["sent"]);
    assert!(json["intervals"].as_array().unwrap().len() >= 2, "{json}");
}

#[test]
fn recorded_flow_is_sent_or_skipped_with_a_word() {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/flow");
    let report = load(&["--scenario", "aapl", "--speed", "40", "--seconds", "1", "--transport", "binary"]);
    if recording.exists() {
        check(&report, number(&report, "/sent"));
        assert!(number(&report, "/sent") > 900, "40 times 24 a second: {report}");
    } else {
        println!("skipped: ../shared/data/flow is not on this machine");
        assert!(report["skipped"].as_str().unwrap().contains("nasdaq_aapl"), "{report}");
    }
}

#[test]
fn the_null_server_is_measured_beside_and_alone() {
    let small = ["--keys", "16", "--connections", "4", "--rate", "400", "--seconds", "1"];
    let both = load(&[&small[..], &["--beside-null"]].concat());
    check(&both["venue"], 400);
    assert_eq!(number(&both["null"], "/acknowledged"), 400);
    assert!(both["p50_ratio"].as_f64().unwrap() > 0.0, "{both}");
    let alone = load(&[&small[..], &["--against-null", "--transport", "binary"]].concat());
    assert_eq!(number(&alone, "/acknowledged"), 400);
    assert!(!alone["conditions"]["checks"].to_string().contains("replay"), "nothing is said that was not done");
}

#[test]
fn a_rate_is_found_or_it_is_said_that_there_is_none() {
    let small = ["--keys", "8", "--connections", "2", "--rate", "800", "--seconds", "1", "--find-rate"];
    // A bound that a few steps break or keep: what is looked at is that every step is told.
    let found = lakh(&[&small[..], &["--p99-us", "1", "--json"]].concat());
    assert!(!found.status.success() && found.stdout.is_empty(), "no venue answers within a microsecond");
    assert!(String::from_utf8_lossy(&found.stderr).contains("no rate that was tried keeps a p99 of 1"), "{found:?}");
}

#[test]
fn real_time_is_what_it_says_or_refused() {
    let small = ["--real-time", "--keys", "8", "--connections", "2", "--rate", "400", "--seconds", "1"];
    let output = lakh(&[&small[..], &["--json"]].concat());
    if output.status.success() {
        let report: Json = serde_json::from_slice(&output.stdout).unwrap();
        check(&report, 400);
        assert_eq!(report["conditions"]["scheduling"], "real_time");
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.stdout.is_empty() && said.contains("--real-time") && said.contains("CAP_SYS_NICE"), "{said}");
        println!("skipped: {said}");
    }
    assert_eq!(load(&small[1..])["conditions"]["scheduling"], "normal");
}

/// The processes that a process has started.
fn children(process: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let of_task = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
    tasks.flat_map(|task| of_task(task).split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// Whether a process has ended, waited for by its parent or not.
fn has_ended(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().find(|line| line.starts_with("State:")).is_none_or(|state| state.contains('Z'))
}

fn wait_for(what: &str, mut is_done: impl FnMut() -> bool) {
    let asked = Instant::now();
    while !is_done() {
        assert!(asked.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_load_that_is_killed_takes_its_venue_along() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lakh"));
    command.args(["load", "--keys", "4", "--connections", "1", "--rate", "50", "--seconds", "100"]);
    command.env("TMPDIR", scratch.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut load = command.spawn().unwrap();
    let mut venue = None;
    wait_for("a venue", || {
        // Whatever else it starts ends by itself.
        let is_venue = |process: &u32| {
            let line = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            line.split('\0').nth(1) == Some("run")
        };
        venue = children(load.id()).into_iter().find(is_venue);
        venue.is_some()
    });
    load.kill().unwrap();
    load.wait().unwrap();
    wait_for("the venue's end", || has_ended(venue.unwrap()));
}

#[test]
fn what_cannot_be_carried_out_is_refused_before_anything_starts() {
    for (arguments, expected) in [
        (&["--scenario", "nosuch"][..], "nosuch: cannot be read"),
        (&["--scenario", "frames"], "frames: operations_per_frame: is of the binary protocol"),
        (&["--scenario", "makers"], "makers: quotes_per_message: is of the binary protocol"),
        (&["--rate", "0"], "headline: rate: is 0"),
        (&["--keys", "20000", "--transport", "binary"], "headline: keys: is more than"),
    ] {
        let output = lakh(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?} prints no figure");
        assert!(said.contains(expected), "{arguments:?} says {said}");
    }
}
