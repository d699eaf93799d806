//! `docs/protocol.md` against the code: what exists stands there, and what stands there exists.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeSet;

use lakh_engine::reject::RejectCode;
use lakh_gateway::api_error::ApiError;
use lakh_gateway::auth::rest_text::method_of;
use lakh_gateway::request::{Access, Method};
use lakh_gateway::wire::sbe::enums::Code;

const DOCUMENT: &str = include_str!("../../docs/protocol.md");

/// Everything between backticks.
fn quoted() -> BTreeSet<&'static str> {
    DOCUMENT.split('`').skip(1).step_by(2).collect()
}

/// The rows of the table of methods: names, what they need, HTTP.
fn method_rows() -> Vec<[&'static str; 4]> {
    let table = DOCUMENT.split("| method | needs | parameters | HTTP |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        cells.try_into().unwrap()
    })
    .collect()
}

fn names(cell: &'static str) -> Vec<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_method_has_its_row_and_every_row_its_method() {
    let mut seen = Vec::new();
    for [methods, needs, _, http] in method_rows() {
        for name in names(methods) {
            let method = Method::from_name(name).unwrap_or_else(|| panic!("there is no method {name}"));
            let said = match method.access() {
                Access::Public => "–",
                Access::SignedOrSession => "signature or session",
                Access::Signed => "signature",
                Access::Session => "session",
                Access::Connection => "connection",
            };
            assert_eq!(needs.split(',').next(), Some(said), "{name}");
            seen.push(method);
            for path in names(http) {
                if let Some((verb, path)) = path.split_once(' ')
                    && method.access() != Access::Public
                {
                    assert_eq!(method_of(verb, path), Some(method), "{verb} {path}");
                }
            }
        }
    }
    for method in Method::ALL {
        assert!(seen.contains(method), "{} has no row", method.name());
    }
    assert_eq!(seen.len(), Method::ALL.len(), "each once");
}

/// The codes of the engine's rejects and of every refusal in the gateway's own list.
#[test]
fn every_error_code_is_explained_and_no_other() {
    let refusals = include_str!("../src/request/refusal.rs");
    let sources = [refusals, include_str!("../src/publisher/answers.rs"), include_str!("../src/publisher/replaces.rs")];
    let mut codes: BTreeSet<i32> = RejectCode::ALL.iter().map(|code| ApiError::from_reject(*code).code).collect();
    for source in sources {
        for (at, _) in source.match_indices('-') {
            let digits: String = source[at + 1..].chars().take_while(char::is_ascii_digit).collect();
            if digits.len() == 4 {
                codes.insert(-digits.parse::<i32>().unwrap());
            }
        }
    }
    // The sequencer's, when the journal has stopped.
    codes.insert(-1001);
    assert_eq!(explained_codes(), codes);
}

/// The codes of the table of errors.
fn explained_codes() -> BTreeSet<i32> {
    let table = DOCUMENT.split("| code | status | what |").nth(1).unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| -").and_then(|row| row.split('|').next()));
    cells
        .flat_map(|cell| cell.split(',').map(|code| code.trim().trim_start_matches('-')))
        .map(|code| -code.split(' ').next().unwrap().parse::<i32>().unwrap())
        .collect()
}

/// Files of tests under a folder of the repository, and what is in them.
fn tests_under(folder: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources
        .filter(|path| !path.ends_with("documentation.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

/// Whether a test brings each code about is more than this can see; that none mentions one, it sees.
#[test]
fn every_error_code_has_a_test() {
    let folders = ["gateway/tests", "gateway/src/publisher/tests", "node/tests", "node/tests/settlement"];
    let beside = [include_str!("../src/proofs.rs"), include_str!("../src/journal_feed/tests.rs")];
    let tests = folders.map(tests_under).concat() + &beside.concat();
    let mentioned = |code: i32| {
        tests
            .match_indices(&code.to_string())
            .any(|(at, found)| !tests[at + found.len()..].starts_with(|next: char| next.is_ascii_digit()))
    };
    let without: Vec<i32> = explained_codes().into_iter().filter(|code| !mentioned(*code)).collect();
    assert_eq!(without, Vec::<i32>::new());
}

/// The same for the codes of the binary face.
#[test]
fn every_code_of_the_binary_face_has_a_test() {
    let tests =
        tests_under("gateway/tests") + include_str!("../src/session/binary/mod.rs").split("mod tests").last().unwrap();
    let mentioned = |code: &Code| {
        let name = format!("Code::{}", code.name());
        tests
            .match_indices(&name)
            .any(|(at, name)| !tests[at + name.len()..].starts_with(|next: char| next.is_ascii_alphanumeric()))
    };
    let without: Vec<&Code> = Code::ALL.iter().filter(|code| !mentioned(code)).collect();
    assert_eq!(without, [&Code::NotAvailable], "which is not sent");
}

#[test]
fn every_word_of_the_api_stands_there() {
    let quoted = quoted();
    let sources = [
        include_str!("../src/wire_encode/names.rs"),
        include_str!("../src/request/terms.rs"),
        include_str!("../src/request/order.rs"),
        include_str!("../src/request/protection.rs"),
    ];
    let words = sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    // Words that only answers show, or that are explained by what they stand for.
    let elsewhere = ["TRADING", "BREAK", "PRE_OPEN", "POST_ONLY", "OPEN", "CANCEL_ONLY", "HALT", "BUY", "SELL"];
    for word in words.filter(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')) {
        let known = quoted.iter().any(|text| text.split([' ', ',', ':']).any(|part| part == word));
        assert!(known || elsewhere.contains(&word), "{word:?} is nowhere in docs/protocol.md");
    }
    for event in ["executionReport", "outboundAccountPosition", "balanceUpdate", "requestRejected", "cancelAllAccepted"]
    {
        assert!(quoted.contains(event), "{event}");
    }
    for event in include_str!("../src/wire_encode/reports.rs").split("write_event(\"").skip(1) {
        let event = event.split('"').next().unwrap();
        assert!(quoted.contains(event), "{event}");
    }
    for stream in ["@trade", "@aggTrade", "@bookTicker", "@depth@100ms", "@depth5", "@kline_1m", "@kline_1d"] {
        assert!(DOCUMENT.contains(stream), "{stream}");
    }
}

/// Names of the tests in the last column of the tables of a document.
fn named_tests(document: &'static str) -> Vec<&'static str> {
    let cells = document.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.rsplit('|').nth(1));
    let words = cells.flat_map(names);
    words
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'))
        .collect()
}

/// Every function that a source file below `folder` declares behind a `#[test]` of some kind.
fn declared_tests(folder: &std::path::Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            declared_tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(path).unwrap();
            for (at, _) in text.match_indices("test") {
                let Some(behind) = text[at..].split_once("]\n").map(|(_, behind)| behind) else { continue };
                let line = behind.lines().find(|line| !line.trim_start().starts_with("#["));
                let name = line.and_then(|line| line.split_once("fn ")).and_then(|(_, rest)| rest.split_once('('));
                found.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
}

#[test]
fn every_test_that_a_document_names_exists() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for folder in ["gateway/src", "gateway/tests", "gateway/interop/src", "node/src", "node/tests"] {
        declared_tests(&root.join(folder), &mut found);
    }
    let named = named_tests(include_str!("../../docs/gateway_proofs.md"));
    assert!(named.len() > 100, "{}", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !found.contains(*name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}
