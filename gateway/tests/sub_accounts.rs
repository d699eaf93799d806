//! Sub-accounts over JSON: which account a signed text speaks for, who may ask about whom, and the owner's word on weaker
//! evidence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use common::bench::{Bench, LIMIT, frame, limit_with, milliseconds};
use common::{api_key_of, signing_key};
use ed25519_dalek::Signer as _;
use lakh_engine::command::{EvidenceAllowance, EvidenceGrade, KeyScope, Operation, Transfer};
use lakh_engine::event::Event;
use lakh_engine::ids::{AccountId, AssetId, KeyId};
use lakh_engine::units::{Atoms, Timestamp};
use lakh_gateway::hand_over::{AnswerShape, Read};
use lakh_gateway::request::Method;
use lakh_gateway::session::HttpRequest;

/// The account of the tests' key, a sub-account of it, and one of another owner.
const OWNER: AccountId = AccountId(5);
const OWN: AccountId = AccountId(900);
const FOREIGN: AccountId = AccountId(899);

fn bench() -> Bench {
    let bench = Bench::new();
    bench.directory.apply(&Event::SubAccountOpened { account: OWN, parent: OWNER });
    bench.directory.apply(&Event::SubAccountOpened { account: FOREIGN, parent: AccountId(6) });
    bench
}

/// What went to the sequencer, held against its evidence: for which account, and what.
fn command(bench: &mut Bench, method: &str, params: &[(&str, &str)]) -> (AccountId, Operation, AnswerShape) {
    assert_eq!(bench.code(&frame(method, params)), 0, "{method} {params:?}");
    let (command, evidence, handle) = bench.pop_command();
    bench.audit(command, &evidence);
    (command.account, command.operation, handle.shape)
}

#[test]
fn the_text_says_for_which_account_it_speaks() {
    let mut bench = bench();
    let sub_account = OWN.0.to_string();
    let with = limit_with(&[("subAccount", &sub_account)]);
    assert_eq!(command(&mut bench, "order.place", &LIMIT).0, OWNER);
    assert_eq!(command(&mut bench, "order.place", &with).0, OWN);
    for (method, params) in [
        ("order.cancel", vec![("symbol", "BTCUSDT"), ("orderId", "7")]),
        ("openOrders.cancelAll", vec![("symbol", "BTCUSDT")]),
        ("session.logon", vec![]),
        ("key.revoke", vec![("method", "key.revoke")]),
    ] {
        let params: Vec<_> = params.into_iter().chain([("subAccount", sub_account.as_str())]).collect();
        assert_eq!(command(&mut bench, method, &params).0, OWN, "{method}");
    }
    for (account, code) in [("899", -1130), ("5", -1130), ("6", -1130), ("x", -1100), ("99999999999", -1130)] {
        let params = limit_with(&[("subAccount", account)]);
        assert_eq!(bench.code(&frame("order.place", &params)), code, "{account}");
    }
}

#[test]
fn questions_are_about_the_account_that_is_named() {
    let mut bench = bench();
    for (params, account) in [(vec![], OWNER), (vec![("subAccount", "900")], OWN)] {
        assert_eq!(bench.code(&frame("account.status", &params)), 0);
        assert_eq!(bench.pop_read().0, Read::AccountStatus { account, omit_zero_balances: false });
        assert_eq!(bench.code(&frame("userDataStream.subscribe.signature", &params)), 0);
        assert!(matches!(bench.pop_read().0, Read::SubscribeAccount { account: told, .. } if told == account));
    }
    assert_eq!(bench.code(&frame("subAccount.list", &[])), 0);
    assert_eq!(bench.pop_read().0, Read::SubAccounts { owner: OWNER });
    assert_eq!(bench.code(&frame("subAccount.list", &[("subAccount", "900")])), -1106, "the owner's alone");
}

#[test]
fn money_moves_between_an_owners_accounts_by_a_text_that_says_so() {
    let mut bench = bench();
    let method = ("method", "subAccount.transfer");
    let amount = [method, ("asset", "USDT"), ("amount", "1.5")];
    let with = |more: &[(&'static str, &'static str)]| [&amount[..], more].concat();
    let moved = |to| Operation::Transfer(Transfer { to, asset: AssetId(1), amount: Atoms(150_000_000) });
    let there = command(&mut bench, method.1, &with(&[("toSubAccount", "900")]));
    assert_eq!(there, (OWNER, moved(OWN), AnswerShape::Done));
    assert_eq!(command(&mut bench, method.1, &with(&[("subAccount", "900")])), (OWN, moved(OWNER), AnswerShape::Done));
    for (params, code) in [
        (with(&[]), -1102),
        (with(&[("toSubAccount", "899")]), -1130),
        (with(&[("toSubAccount", "900"), ("subAccount", "900")]), -1102),
        (vec![("toSubAccount", "900"), ("asset", "USDT"), ("amount", "1")], -1102),
        (vec![method, ("toSubAccount", "900"), ("asset", "ETH"), ("amount", "1")], -1130),
        (vec![method, ("toSubAccount", "900"), ("asset", "USDT"), ("amount", "0")], -1130),
        (vec![method, ("toSubAccount", "900"), ("asset", "USDT"), ("amount", "0.000000001")], -1111),
        (vec![method, ("toSubAccount", "900"), ("asset", "USDT"), ("amount", "-1")], -1130),
    ] {
        assert_eq!(bench.code(&frame(method.1, &params)), code, "{params:?}");
    }
    let create = ("method", "subAccount.create");
    let opened = (OWNER, Operation::OpenSubAccount, AnswerShape::SubAccountOpened);
    assert_eq!(command(&mut bench, create.1, &[create]), opened);
    assert_eq!(bench.code(&frame(create.1, &[])), -1102, "the text has to name its method");
    assert_eq!(bench.code(&frame(create.1, &[create, ("subAccount", "900")])), -1106);
}

#[test]
fn a_key_that_is_bound_to_one_account_sees_nothing_of_the_others() {
    let mut bench = bench();
    let own = signing_key().verifying_key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let narrow = [("method", "key.narrow"), ("publicKey", own.as_str()), ("operations", "PLACE,CANCEL")];
    let to = |account| [&narrow[..], &[("onlyAccount", account)]].concat();
    let scope = |account| KeyScope { operations: KeyScope::PLACE | KeyScope::CANCEL, market: None, account };
    for (account, expected) in [("900", OWN), ("5", OWNER)] {
        let narrowed = command(&mut bench, "key.narrow", &to(account)).1;
        assert_eq!(narrowed, Operation::NarrowKey { key: KeyId(3), scope: scope(Some(expected)) });
    }
    assert_eq!(bench.code(&frame("key.narrow", &to("899"))), -1130);
    bench.directory.apply(&Event::KeyNarrowed { key: KeyId(3), scope: scope(Some(OWN)) });
    let named = [("subAccount", "900")];
    for method in ["account.status", "openOrders.status", "userDataStream.subscribe.signature", "subAccount.list"] {
        assert_eq!(bench.code(&frame(method, &[])), -2015, "{method}");
    }
    assert_eq!(bench.code(&frame("order.place", &LIMIT)), -2015);
    assert_eq!(bench.code(&frame("account.status", &named)), 0);
    bench.pop_read();
    assert_eq!(command(&mut bench, "order.place", &limit_with(&named)).0, OWN);
}

#[test]
fn it_is_the_same_over_http() {
    let mut bench = bench();
    let signed = |text: &str| {
        let signature = base64::Engine::encode(
            &base64::engine::general_purpose::URL_SAFE,
            signing_key().sign(text.as_bytes()).to_bytes(),
        );
        let signature = signature.replace('-', "%2B").replace('_', "%2F");
        format!("{text}&signature={signature}")
    };
    let api_key = api_key_of(&signing_key());
    let query = format!("method=subAccount.transfer&asset=BTC&amount=2&toSubAccount=900&timestamp={}", milliseconds());
    let (query, api_key) = (signed(&query), Some(api_key.as_str()));
    let request = HttpRequest { method: Method::SubAccountTransfer, api_key, query: &query, body: "" };
    assert_eq!(bench.http(request), 0);
    let (command, evidence, _) = bench.pop_command();
    bench.audit(command, &evidence);
    assert_eq!((command.account, command.grade), (OWNER, EvidenceGrade::HeaderKeyed));
    let transfer = Transfer { to: OWN, asset: AssetId(0), amount: Atoms(200_000_000) };
    assert_eq!(command.operation, Operation::Transfer(transfer));
}

#[test]
fn an_owner_allows_weaker_evidence_for_a_time_and_up_to_a_sum() {
    let mut bench = bench();
    let name = "account.allowEvidence";
    let until = ("until", "1800000000000");
    let until_at = Timestamp(1_800_000_000_000_000_000);
    let sum = [("method", name), until, ("notional", "2500.5"), ("asset", "USDT")];
    for (word, grade) in [("DELEGATED", EvidenceGrade::Delegated), ("HEADER_KEYED", EvidenceGrade::HeaderKeyed)] {
        let params = [&sum[..], &[("evidence", word)]].concat();
        let allowance =
            EvidenceAllowance { grade, until: until_at, quote: AssetId(1), notional: Atoms(250_050_000_000) };
        let expected = (OWNER, Operation::AllowEvidence(allowance), AnswerShape::Done);
        assert_eq!(command(&mut bench, name, &params), expected);
    }
    let back = command(&mut bench, name, &[("method", name), ("evidence", "SIGNED")]).1;
    assert_eq!(back, Operation::AllowEvidence(EvidenceAllowance::NONE));
    for (params, code) in [
        ([&sum[..], &[("evidence", "SIGNED")]].concat(), -1106),
        ([&sum[..], &[("evidence", "NATIVE")]].concat(), -1130),
        ([&sum[1..], &[("evidence", "DELEGATED")]].concat(), -1102),
        (sum.to_vec(), -1102),
        (vec![("method", name), ("evidence", "DELEGATED"), ("notional", "1"), ("asset", "USDT")], -1102),
        (vec![("method", name), ("evidence", "DELEGATED"), until, ("asset", "USDT")], -1102),
        (vec![("method", name), ("evidence", "DELEGATED"), until, ("notional", "1")], -1102),
        (vec![("method", name), ("evidence", "DELEGATED"), until, ("notional", "0"), ("asset", "USDT")], -1130),
        ([&sum[..], &[("evidence", "DELEGATED"), ("subAccount", "900")]].concat(), -1106),
    ] {
        assert_eq!(bench.code(&frame(name, &params)), code, "{params:?}");
    }
}
