//! Signed requests over HTTP, as clients send them: query, form or both, the signature anywhere, the key in a header.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::bench::{Bench, api_key, milliseconds};
use common::signing_key;
use ed25519_dalek::Signer as _;
use lakh_engine::command::{EvidenceGrade, Operation};
use lakh_gateway::auth::evidence::{Evidence, command_from_evidence};
use lakh_gateway::auth::signature::{Verdict, verify_bytes};
use lakh_gateway::hand_over::Read;
use lakh_gateway::request::Method;
use lakh_gateway::session::HttpRequest;

const ORDER: &str = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&price=70000.1&quantity=0.01";

fn signature(text: &str) -> String {
    let encoded = STANDARD.encode(signing_key().sign(text.as_bytes()).to_bytes());
    encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

fn ask(bench: &mut Bench, method: Method, query: &str, body: &str) -> i32 {
    let api_key = api_key();
    bench.http(HttpRequest { method, api_key: Some(&api_key), query, body })
}

/// Trap 6: parameters stand in the query, in a form body or in both, and the signature anywhere among them.
#[test]
fn parameters_come_in_query_form_or_both() {
    let mut bench = Bench::new();
    for (place, (query, body)) in [(ORDER, ""), ("", ORDER), ("timestamp=NOW", ORDER)].into_iter().enumerate() {
        let stamped = format!("timestamp={}", milliseconds());
        let id = format!("newClientOrderId=http:{place}");
        let (query, body) = match place {
            0 => (format!("{query}&{id}&{stamped}"), String::new()),
            1 => (String::new(), format!("{body}&{id}&{stamped}")),
            _ => (stamped, format!("{body}&{id}")),
        };
        let signature = signature(&format!("{query}{body}"));
        let code = match place {
            0 => ask(&mut bench, Method::OrderPlace, &format!("signature={signature}&{query}"), &body),
            _ => ask(&mut bench, Method::OrderPlace, &query, &format!("{body}&signature={signature}")),
        };
        assert_eq!(code, 0, "{query} {body}");
        let (command, evidence, _) = bench.pop_command();
        assert_eq!(command.grade, EvidenceGrade::HeaderKeyed);
        let Operation::PlaceOrder(order) = command.operation else { panic!("an order") };
        assert_eq!(order.client_id.as_str(), format!("http:{place}"));
        bench.audit(command, &evidence);
    }
}

/// Trap 6, too: form encoding makes a space of the `+` in base64.
#[test]
fn a_space_in_a_signature_was_a_plus() {
    let mut bench = Bench::new();
    // Which signature has a plus is chance; an id changes it until one has.
    let (text, signature) = (0..)
        .map(|attempt| format!("{ORDER}&newClientOrderId=a{attempt}&timestamp={}", milliseconds()))
        .map(|text| (text.clone(), STANDARD.encode(signing_key().sign(text.as_bytes()).to_bytes())))
        .find(|(_, signature)| signature.contains('+'))
        .unwrap();
    assert_eq!(ask(&mut bench, Method::OrderPlace, &format!("{text}&signature={signature}"), ""), 0);
}

#[test]
fn what_changed_on_the_way_is_refused() {
    let mut bench = Bench::new();
    let text = format!("{ORDER}&timestamp={}", milliseconds());
    let signed = format!("{text}&signature={}", signature(&text));
    let cases = [
        (signed.replace("0.01", "0.02"), -1022),
        (format!("{signed}&extra=1"), -1022),
        (format!("{signed}&side=BUY"), -1104),
        (text.clone(), -1102),
        (format!("{text}&signature=short"), -1100),
        (signed.replace("timestamp=", "timestamp=1"), -1021),
        (format!("{signed}&method=order.cancel"), -1130),
    ];
    for (query, code) in cases {
        assert_eq!(ask(&mut bench, Method::OrderPlace, &query, ""), code, "{query}");
    }
    assert_eq!(ask(&mut bench, Method::OrderPlace, "timestamp=1", "bogus=1"), -1100);
    let keyless = HttpRequest { method: Method::OrderPlace, api_key: None, query: &signed, body: "" };
    assert_eq!(bench.http(keyless), -2014);
    let stranger =
        format!("{}{}", &api_key()[..32], "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf");
    let unknown = HttpRequest { api_key: Some(&stranger), ..keyless };
    assert_eq!(bench.http(unknown), -2015);
    assert!(bench.ring.pop().is_err(), "nothing of it went on");
}

#[test]
fn questions_use_their_digest_up() {
    let mut bench = Bench::new();
    let text = format!("symbol=BTCUSDT&timestamp={}", milliseconds());
    let signed = format!("{text}&signature={}", signature(&text));
    assert_eq!(ask(&mut bench, Method::OpenOrdersStatus, &signed, ""), 0);
    assert!(matches!(bench.pop_read().0, Read::OpenOrders { market: Some(_), .. }));
    assert_eq!(ask(&mut bench, Method::AllOrders, &signed, ""), 0, "a question may come again");
    assert_eq!(ask(&mut bench, Method::OpenOrdersCancelAll, &signed, ""), -2010, "but changes nothing");
}

#[test]
fn the_evidence_carries_the_split() {
    let mut bench = Bench::new();
    let query = format!("timestamp={}", milliseconds());
    let signed = format!("{ORDER}&signature={}", signature(&format!("{query}{ORDER}")));
    assert_eq!(ask(&mut bench, Method::OrderPlace, &query, &signed), 0);
    let (_, evidence, _) = bench.pop_command();
    let Evidence::HttpSigned { signed, query_length } = Evidence::decode(&evidence).unwrap() else { panic!("HTTP") };
    assert_eq!(usize::from(query_length), query.len());
    for moved in [0, query_length - 1, query_length + 1, u16::MAX] {
        let moved = Evidence::HttpSigned { signed, query_length: moved };
        assert!(command_from_evidence(&moved, &bench.directory).is_err());
    }
    for length in 0..evidence.len() {
        assert!(Evidence::decode(&evidence[..length]).is_err() || length == 0, "{length}");
    }
    let grade_raised = Evidence::WebSocketSigned(signed);
    assert!(command_from_evidence(&grade_raised, &bench.directory).is_err(), "the key is not in the text");
}

#[test]
fn budgets_are_told() {
    let mut bench = Bench::new();
    let text = format!("timestamp={}", milliseconds());
    let signed = format!("{text}&signature={}", signature(&text));
    assert_eq!(ask(&mut bench, Method::AccountRateLimitsOrders, &signed, ""), 0);
    assert!(bench.ring.pop().is_err(), "the verifier answers by itself");
    assert_eq!(verify_bytes(signing_key().verifying_key().as_bytes(), text.as_bytes(), &[0; 64]), Verdict::Refused);
}
