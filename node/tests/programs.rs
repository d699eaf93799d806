//! The programs as their users meet them: `dev` with its restart, `ctl` with its evidence, `flow`, `replay`, `audit`.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod program;

use std::path::Path;

use lakh_loadtest::client::{Trader, Value, connect, now_us, signed_request};
use lakh_loadtest::scratch_venue::{ScratchVenue, VENUE_TAG, VenueOptions};
use serde_json::Value as Json;

use crate::program::{PROGRAM, lakh, succeeded};

fn json_lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn dev_trades_stops_and_goes_on_where_it_was() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().to_str().unwrap();
    let dev = ["dev", "--for", "2s", "--listen", "127.0.0.1:0", "--data", data, "--json"];
    let first = json_lines(&succeeded(&dev));
    let replayed: Json = serde_json::from_str(&succeeded(&["replay", "--json", data])).unwrap();
    assert_eq!(first[1]["stateHash"], replayed["state_hash"]);
    assert!(replayed["trades"].as_u64().unwrap() > 0, "the demo traders trade: {replayed}");
    let second = json_lines(&succeeded(&dev));
    assert!(second[0]["sequence"].as_u64().unwrap() > first[1]["sequence"].as_u64().unwrap(), "it goes on");
    let chain = |ready: &Json| {
        [&ready["chain"]["settlement"], &ready["chain"]["vault"], &ready["venueTag"]].map(Json::to_string)
    };
    assert_eq!(chain(&second[0]), chain(&first[0]), "on the same contracts");
    let audited: Json = serde_json::from_str(&succeeded(&["audit", "--json", data])).unwrap();
    assert_eq!(audited["finding_count"], 0, "{audited}");
    assert!(audited["signed"].as_u64().unwrap() > 0);
}

#[test]
fn run_refuses_a_demonstration() {
    let scratch = tempfile::tempdir().unwrap();
    let config = scratch.path().join("lakh.toml");
    std::fs::write(&config, "[exchange]\nmode = \"dev\"\nvenue_tag = \"000102030405060708090a0b0c0d0e0f\"\n").unwrap();
    let output = lakh(&["run", "--config", config.to_str().unwrap()]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("mode dev"), "{output:?}");
}

#[test]
fn operators_decide_with_a_signature_that_the_audit_finds() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("operator.pem");
    let made: Json = serde_json::from_str(&succeeded(&["keygen", "--json", "--out", key.to_str().unwrap()])).unwrap();
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    options.operator_key = Some(made["public_key"].as_str().unwrap().to_owned());
    let venue = options.start().unwrap();
    let socket = options.control_socket();
    let socket = socket.to_str().unwrap();
    let ctl = |action: &[&str]| {
        let mut arguments = vec!["ctl", "--socket", socket];
        arguments.extend_from_slice(action);
        lakh(&arguments)
    };
    let key = key.to_str().unwrap();
    let halt = ["market-state", "--key", key, "--reason", "drill", "UNITCASH", "halt"];
    let halted = ctl(&halt);
    assert!(halted.status.success(), "{halted:?}");
    let status = String::from_utf8(ctl(&["status"]).stdout).unwrap();
    assert!(status.contains("Halt"), "{status}");
    let stranger = scratch.path().join("stranger.pem");
    succeeded(&["keygen", "--out", stranger.to_str().unwrap()]);
    let forged = ctl(&["market-state", "--key", stranger.to_str().unwrap(), "--reason", "mine", "UNITCASH", "open"]);
    assert!(!forged.status.success());
    assert!(String::from_utf8_lossy(&forged.stderr).contains("signature does not hold"), "{forged:?}");
    venue.stop().unwrap();
    let journal = options.journal();
    let audited: Json = serde_json::from_str(&succeeded(&["audit", "--json", journal.to_str().unwrap()])).unwrap();
    assert_eq!((audited["operator"].as_u64(), audited["finding_count"].as_u64()), (Some(1), Some(0)), "{audited}");
}

/// Every decision that there is, what it does, and the restart sequence; the audit finds each one signed.
#[test]
fn every_decision_is_taken_and_audited() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("operator.pem");
    let key = key.to_str().unwrap();
    let second = scratch.path().join("second.pem");
    let second = second.to_str().unwrap();
    let made = |file: &str| {
        let made: Json = serde_json::from_str(&succeeded(&["keygen", "--json", "--out", file])).unwrap();
        Some(made["public_key"].as_str().unwrap().to_owned())
    };
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    (options.operator_key, options.second_operator_key) = (made(key), made(second));
    let config = scratch.path().join("roomy.toml");
    let roomy = options.configuration().replace("assets = 2", "assets = 8").replace("markets = 1", "markets = 8");
    std::fs::write(&config, roomy).unwrap();
    let listing = scratch.path().join("market.toml");
    let text = "symbol = \"EURCASH\"\nbase = \"EUR\"\nquote = \"CASH\"\ntick_size = \"0.01\"\nlot_size = \"1\"\n\
                max_price = \"1000\"\nmax_quantity = \"1000\"\nmaker_fee = \"0\"\ntaker_fee = \"0.001\"\n";
    std::fs::write(&listing, text).unwrap();
    let socket = options.control_socket();
    let socket = socket.to_str().unwrap();
    let decide = |action: &[&str]| {
        let (name, rest) = action.split_first().unwrap();
        let mut arguments = vec!["ctl", "--socket", socket, name, "--key", key, "--reason", "drill"];
        // What touches money needs two operators.
        if matches!(*name, "fees" | "list-asset" | "list-market") {
            arguments.extend(["--second-key", second, "--second-role", "1"]);
        }
        arguments.extend_from_slice(rest);
        succeeded(&arguments)
    };
    let states = || {
        let status: Json = serde_json::from_str(&succeeded(&["ctl", "--socket", socket, "status"])).unwrap();
        let markets = status["markets"].as_array().unwrap().iter();
        markets.map(|market| market[1].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let trader = options.traders().remove(0);
    let venue = ScratchVenue::launch(&options.program, &config).unwrap();
    let code = |price: &str| order_code(venue.websocket(), &trader, ("BUY", price));
    assert_eq!(order_code(venue.websocket(), &trader, ("SELL", "101.00")), None);
    assert_eq!(code("100.00"), None);
    decide(&["price-band", "UNITCASH", "100000"]);
    assert_eq!(code("50.00"), Some(-1013), "before the first trade the band is around the best price");
    decide(&["price-band", "UNITCASH", "0"]);
    decide(&["fees", "UNITCASH", "-5", "10"]);
    decide(&["restart-mode", "UNITCASH", "guarded"]);
    decide(&["account-policy", "1", "signed"]);
    let weaker = ["account-policy", "--key", key, "--reason", "drill", "1", "header-keyed"];
    let refused = lakh(&[&["ctl", "--socket", socket][..], &weaker].concat());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("NotAuthorised"), "the owner's to allow: {refused:?}");
    decide(&["block-account", "1"]);
    assert_eq!(code("100.00"), Some(-2010), "blocked");
    decide(&["unblock-account", "1"]);
    assert_eq!(code("100.00"), None);
    decide(&["list-asset", "EUR", "2"]);
    decide(&["list-market", listing.to_str().unwrap()]);
    assert_eq!(states(), "Open PreOpen");
    decide(&["all-markets", "halt"]);
    assert_eq!((states(), code("100.00")), ("Halt Halt".to_owned(), Some(-2010)));
    decide(&["all-markets", "open"]);
    venue.stop().unwrap();

    // The restart sequence: cancels only where orders rest, then post-only, then everything.
    let venue = ScratchVenue::launch(&options.program, &config).unwrap();
    let code = |price: &str| order_code(venue.websocket(), &trader, ("BUY", price));
    assert_eq!((states(), code("100.00")), ("CancelOnly Open".to_owned(), Some(-2010)));
    decide(&["market-state", "UNITCASH", "post-only"]);
    assert_eq!(code("100.00"), None, "it rests");
    decide(&["market-state", "UNITCASH", "open"]);
    assert_eq!(states(), "Open Open");
    venue.stop().unwrap();
    let audited: Json =
        serde_json::from_str(&succeeded(&["audit", "--json", options.journal().to_str().unwrap()])).unwrap();
    assert_eq!((audited["operator"].as_u64(), audited["finding_count"].as_u64()), (Some(16), Some(0)), "{audited}");
}

/// Places an order that rests and gives the number of the error, if there is one.
fn order_code(url: &str, trader: &Trader, (side, price): (&str, &str)) -> Option<i64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut outgoing, mut incoming) = connect(url).await.unwrap();
        let text = |name, value| (name, Value::Text(value));
        let mut params = vec![text("symbol", "UNITCASH"), text("side", side), text("type", "LIMIT_MAKER")];
        params.extend([text("price", price), text("quantity", "1"), ("timestamp", Value::Number(now_us()))]);
        outgoing.feed(signed_request(1, "order.place", trader, &params).into()).await.unwrap();
        outgoing.flush().await.unwrap();
        let answer: Json = serde_json::from_str(&incoming.next().await.unwrap()).unwrap();
        answer["error"]["code"].as_i64()
    })
}

#[test]
fn a_key_lives_from_its_registration_to_its_end() {
    let scratch = tempfile::tempdir().unwrap();
    let operator = scratch.path().join("operator.pem");
    let operator = operator.to_str().unwrap();
    let second = scratch.path().join("second.pem");
    let second = second.to_str().unwrap();
    let made = |path: &str| {
        let made: Json = serde_json::from_str(&succeeded(&["keygen", "--json", "--out", path])).unwrap();
        Some(made["public_key"].as_str().unwrap().to_owned())
    };
    let mut options = VenueOptions::new(Path::new(PROGRAM), scratch.path());
    (options.operator_key, options.second_operator_key) = (made(operator), made(second));
    options.digest_capacity = 1_024;
    options.spare_keys = 1;
    let venue = options.start().unwrap();
    let key = Trader::new(&[7; 32], Some(VENUE_TAG));
    let public_key: String = key.public_key().iter().map(|byte| format!("{byte:02x}")).collect();
    let socket = options.control_socket();
    let by_two = ["--second-key", second, "--second-role", "1"];
    let register = |epoch, others: &[&str]| {
        let signer = ["--key", operator, "--reason", "second machine", "--digests", "1024"];
        let mut arguments = vec!["ctl", "--socket", socket.to_str().unwrap(), "register-key"];
        arguments.extend(signer);
        arguments.extend(others);
        arguments.extend(["1", &public_key, epoch]);
        lakh(&arguments).status.success()
    };
    assert!(!register("5", &by_two), "epochs have no gaps");
    assert!(!register("2", &[]), "one operator gives nobody a key");
    assert!(register("2", &by_two));
    let url = venue.websocket().to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut outgoing, mut incoming) = connect(&url).await.unwrap();
        let order = [
            ("symbol", Value::Text("UNITCASH")),
            ("side", Value::Text("BUY")),
            ("type", Value::Text("LIMIT")),
            ("timeInForce", Value::Text("GTC")),
            ("price", Value::Text("1.00")),
            ("quantity", Value::Text("1")),
        ];
        let activate = |account| [("method", Value::Text("key.activate")), ("account", Value::Text(account))];
        let revoke = [("method", Value::Text("key.revoke"))];
        let steps: [(&str, &[_], Option<i64>); 6] = [
            ("order.place", &order, Some(-2015)),
            ("key.activate", &activate("2"), Some(-1130)),
            ("key.activate", &activate("1"), None),
            ("order.place", &order, None),
            ("key.revoke", &revoke, None),
            ("order.place", &order, Some(-2015)),
        ];
        for (number, (method, params, refused)) in (0..).zip(steps) {
            let mut params = params.to_vec();
            params.push(("timestamp", Value::Number(now_us())));
            outgoing.feed(signed_request(number, method, &key, &params).into()).await.unwrap();
            outgoing.flush().await.unwrap();
            let answer: Json = serde_json::from_str(&incoming.next().await.unwrap()).unwrap();
            assert_eq!(answer["error"]["code"].as_i64(), refused, "step {number}: {answer}");
        }
    });
    venue.stop().unwrap();
    let journal = options.journal();
    let audited: Json = serde_json::from_str(&succeeded(&["audit", "--json", journal.to_str().unwrap()])).unwrap();
    assert_eq!((audited["signed"].as_u64(), audited["finding_count"].as_u64()), (Some(3), Some(0)), "{audited}");
}

#[test]
fn recorded_flow_passes_through_the_whole_venue() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../loadtest/tests/data/sample.l3c");
    let direct: Json = serde_json::from_str(&succeeded(&["flow", "check", "--json", sample])).unwrap();
    let through: Json =
        serde_json::from_str(&succeeded(&["flow", "check", "--through", "gateway", "--json", sample])).unwrap();
    assert_eq!(direct["bad_lines"], 0);
    assert_eq!(direct["digest"], through["digest"]);
}
