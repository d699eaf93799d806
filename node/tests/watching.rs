//! What watches a node sees: health, metrics and logs, and in none of them a secret.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lakh_loadtest::client::{Trader, Value, connect, now_us, signed_request};
use lakh_loadtest::scratch_venue::{ScratchVenue, VenueOptions};
use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");
/// Nothing that is waited for here takes long; a test that hangs says so.
const PATIENCE: Duration = Duration::from_secs(20);

fn get(url: &str) -> String {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
    agent.get(url).call().unwrap().body_mut().read_to_string().unwrap()
}

/// The number in front of which `name` stands.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// Has a trader place an order, send one with a forged signature, and log on; gives the api key and what was signed.
fn trade(url: &str, trader: &Trader) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut outgoing, mut incoming) = connect(url).await.unwrap();
        let time = ("timestamp", Value::Number(now_us() / 1_000));
        let order = |client_id| {
            let text = |name, value| (name, Value::Text(value));
            let side = [text("symbol", "UNITCASH"), text("side", "BUY"), text("type", "LIMIT")];
            let terms = [text("timeInForce", "GTC"), text("price", "1.00"), text("quantity", "1")];
            [&side[..], &terms, &[text("newClientOrderId", client_id), time]].concat()
        };
        let good = signed_request(1, "order.place", trader, &order("secretive-1"));
        let forged = signed_request(2, "order.place", trader, &order("secretive-2")).replace("1.00", "2.00");
        let logon = signed_request(3, "session.logon", trader, &[time]);
        let mut secrets = vec![trader.api_key().to_owned(), "secretive".to_owned()];
        for (request, code) in [(good, None), (forged, Some(-1022)), (logon, None)] {
            let sent: Json = serde_json::from_str(&request).unwrap();
            secrets.push(sent["params"]["signature"].as_str().unwrap().to_owned());
            outgoing.feed(request.into()).await.unwrap();
            outgoing.flush().await.unwrap();
            let answer: Json = serde_json::from_str(&incoming.next_within(PATIENCE).await.unwrap()).unwrap();
            assert_eq!(answer["error"]["code"].as_i64(), code, "{answer}");
        }
        secrets
    })
}

#[test]
fn health_and_metrics_tell_what_the_node_does() {
    let scratch = tempfile::tempdir().unwrap();
    let options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    let venue = options.start().unwrap();
    let health = venue.ready()["health"].as_str().unwrap().to_owned();
    let metrics = health.replace("/health", "/metrics");
    let before = get(&metrics);
    assert_eq!(value(&before, "lakh_gateway_signatures_accepted_total"), 0.0);
    let secrets = trade(venue.websocket(), &options.traders()[0]);
    assert!(get(&health).contains("\"journal\":\"running\""));
    let after = get(&metrics);
    for (name, least) in [
        ("lakh_gateway_connections_accepted_total", 1.0),
        ("lakh_gateway_signatures_accepted_total", 2.0),
        ("lakh_gateway_signatures_refused_total", 1.0),
        ("lakh_gateway_answer_seconds_count", 3.0),
        ("lakh_gateway_verifying_seconds_total", 1e-6),
        ("lakh_journal_running", 1.0),
        ("lakh_gateway_connections_max", 16_384.0),
        ("lakh_process_resident_memory_bytes", 1e6),
    ] {
        assert!(value(&after, name) >= least, "{name} {}", value(&after, name));
    }
    let durable = "lakh_journal_durable_sequence";
    assert!(value(&after, durable) > value(&before, durable));
    assert!(after.ends_with("# EOF\n") && after.contains("# HELP lakh_gateway_requests_shed"), "{after}");
    assert!(secrets.iter().all(|secret| !after.contains(secret)));
    venue.stop().unwrap();
}

/// At every level and in both formats: what is logged of a session names neither key nor text nor signature.
#[test]
fn logs_are_structured_and_hold_no_secret() {
    for format in ["text", "json"] {
        let scratch = tempfile::tempdir().unwrap();
        let options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
        let config = scratch.path().join("lakh.toml");
        std::fs::write(&config, options.configuration()).unwrap();
        let log = scratch.path().join("log");
        let mut command = Command::new(PROGRAM);
        command.args(["--log-format", format, "run", "--json", "--config", config.to_str().unwrap()]);
        command.env("LAKH_LOG", "trace").stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
        let venue = ScratchVenue::launch_with(command).unwrap();
        let secrets = trade(venue.websocket(), &options.traders()[0]);
        venue.stop().unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        assert!(text.contains("signature"), "a refused signature is worth a line: {text}");
        for secret in secrets {
            let encoded = secret.as_bytes();
            assert!(
                !text.as_bytes().windows(encoded.len()).any(|bytes| bytes == encoded),
                "{format}: {secret} in {text}"
            );
        }
        if format == "json" {
            for line in text.lines() {
                let line: Json = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(line["level"].is_string() && line["fields"].is_object());
            }
        }
    }
}
