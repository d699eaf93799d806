//! A session that tells its client what it missed, stepped by hand: order, seams, refusals, bounds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic, its helpers included")]

mod common;

use bytes::Bytes;
use common::bench::{Bench, frame};
use common::now;
use lakh_engine::command::Mode;
use lakh_engine::ids::{AccountId, AssetId, Sequence};
use lakh_engine::units::{Atoms, Timestamp};
use lakh_gateway::account_state::Balance;
use lakh_gateway::api_error::ApiError;
use lakh_gateway::hand_over::{FromPosition, PageAnswer, Read, ToSession};
use lakh_gateway::reports::log::ReportPage;
use lakh_gateway::reports::{AccountReport, AssetBalance, FundsDirection, ReportBody, Stamp};
use lakh_gateway::session::{CloseReason, NOBODY, SessionOptions};
use serde_json::Value;

const ACCOUNT: AccountId = AccountId(5);

/// A deposit that is the account's report with this count; every other one has a position behind it.
fn report(count: u64) -> AccountReport<'static> {
    let (asset, amount) = (AssetId(0), Atoms(count));
    let balance = Balance { available: Atoms(count), held: Atoms(0) };
    AccountReport {
        account: ACCOUNT,
        report_sequence: count,
        stamp: Stamp { sequence: Sequence(count), timestamp: Timestamp(count * 1_000_000) },
        body: ReportBody::Funds { asset, amount, direction: FundsDirection::In },
        position: if count.is_multiple_of(2) { vec![AssetBalance { asset, balance }] } else { Vec::new() },
    }
}

fn page(request: u32, counts: std::ops::RangeInclusive<u64>, through: u64) -> ToSession {
    let page = ReportPage { is_last: *counts.end() == through, reports: counts.map(report).collect() };
    ToSession::Page(Box::new(PageAnswer { request, subscription: 0, through, page: Ok(page) }))
}

fn refused(request: u32, code: i32) -> ToSession {
    let page = Err(ApiError::bad_request(code, "no"));
    ToSession::Page(Box::new(PageAnswer { request, subscription: 0, through: 0, page }))
}

fn live(count: u64) -> ToSession {
    let text = format!(r#"{{"subscriptionId":0,"event":{{"e":"live","reportSeq":{count}}}}}"#);
    ToSession::Report { subscription: 0, message: Bytes::from(text) }
}

/// What the client got, as `event count` each.
fn told(sent: &[Value]) -> Vec<String> {
    sent.iter().map(|message| format!("{} {}", message["event"]["e"], message["event"]["reportSeq"])).collect()
}

/// Asks for everything behind `from` and gives the number of the request.
fn resume(bench: &mut Bench, params: &[(&str, &str)]) -> (Read, u32) {
    assert_eq!(bench.code(&frame("userDataStream.resume", params)), 0);
    let (read, handle) = bench.pop_read();
    (read, handle.request)
}

#[test]
fn what_was_missed_comes_first_and_then_what_happens_now() {
    let mut bench = Bench::new();
    let (read, request) = resume(&mut bench, &[("fromSeq", "2"), ("positionSeq", "2")]);
    let position = FromPosition::Seen;
    assert_eq!(read, Read::ResumeAccount { account: ACCOUNT, subscription: 0, from: 2, position });
    assert!(bench.answer(live(8)).is_empty(), "held back, even before the first answer");
    let sent = bench.answer(page(request, 3..=5, 7));
    assert_eq!((&sent[0]["result"]["subscriptionId"], &sent[0]["result"]["throughSeq"]), (&0.into(), &7.into()));
    let expected =
        [r#""balanceUpdate" 3"#, r#""balanceUpdate" 4"#, r#""outboundAccountPosition" 4"#, r#""balanceUpdate" 5"#];
    assert_eq!(told(&sent[1..]), expected);
    let (next, handle) = bench.pop_read();
    assert_eq!(next, Read::ReportPage { account: ACCOUNT, subscription: 0, from: 5, through: 7 });
    assert_eq!(handle.request, NOBODY);
    assert!(bench.answer(live(9)).is_empty());
    let sent = bench.answer(page(NOBODY, 6..=7, 7));
    let expected = [
        r#""balanceUpdate" 6"#,
        r#""outboundAccountPosition" 6"#,
        r#""balanceUpdate" 7"#,
        r#""live" 8"#,
        r#""live" 9"#,
    ];
    assert_eq!(told(&sent), expected, "no seam");
    assert_eq!(told(&bench.answer(live(10))), [r#""live" 10"#]);
    let list = bench.send(r#"{"id":1,"method":"session.subscriptions"}"#);
    assert_eq!(list[0]["result"][0]["subscriptionId"], 0);
}

/// A client that has a report and not the position behind it is told the position alone.
#[test]
fn the_position_behind_the_last_report_is_asked_for() {
    let mut bench = Bench::new();
    let (read, request) = resume(&mut bench, &[("fromSeq", "4")]);
    let position = FromPosition::Wanted;
    assert_eq!(read, Read::ResumeAccount { account: ACCOUNT, subscription: 0, from: 4, position });
    let sent = bench.answer(page(request, 4..=5, 5));
    assert_eq!(told(&sent[1..]), [r#""outboundAccountPosition" 4"#, r#""balanceUpdate" 5"#]);
    for (params, code) in [
        (vec![], -1102),
        (vec![("fromSeq", "-1")], -1100),
        (vec![("fromSeq", "1"), ("positionSeq", "x")], -1100),
        (vec![("fromSeq", "1"), ("method", "account.status")], -1130),
    ] {
        assert_eq!(bench.code(&frame("userDataStream.resume", &params)), code, "{params:?}");
    }
}

#[test]
fn a_page_that_is_refused_for_now_is_asked_for_again() {
    let mut bench = Bench::new();
    let (_, request) = resume(&mut bench, &[("fromSeq", "0")]);
    bench.answer(page(request, 1..=2, 9));
    bench.pop_read();
    for code in [-1003, -1008] {
        assert!(bench.answer(refused(NOBODY, code)).is_empty(), "the client need not know");
        assert!(bench.ring.is_empty(), "not at once");
        let mut actions = Vec::new();
        bench.session.handle_timeout(now(), &mut actions);
        assert!(bench.perform(actions).is_empty());
        let (read, _) = bench.pop_read();
        assert_eq!(read, Read::ReportPage { account: ACCOUNT, subscription: 0, from: 2, through: 9 });
    }
    let sent = bench.answer(page(NOBODY, 3..=9, 9));
    assert_eq!(told(&sent).iter().filter(|one| one.starts_with(r#""balanceUpdate""#)).count(), 7);
}

#[test]
fn what_is_forgotten_in_the_middle_ends_the_subscription() {
    let mut bench = Bench::new();
    let (_, request) = resume(&mut bench, &[("fromSeq", "0")]);
    bench.answer(page(request, 1..=2, 9));
    bench.pop_read();
    let sent = bench.answer(refused(NOBODY, -2101));
    assert_eq!(sent[0]["event"]["e"], "resumeEnded");
    assert_eq!(sent[0]["event"]["error"]["code"], -2101);
    assert_eq!(bench.pop_read().0, Read::UnsubscribeAccount { subscription: Some(0) });
    assert_eq!(bench.send(r#"{"id":1,"method":"session.subscriptions"}"#)[0]["result"], Value::Array(Vec::new()));
    assert!(bench.answer(page(NOBODY, 3..=9, 9)).is_empty(), "what comes late is for nobody");
    resume(&mut bench, &[("fromSeq", "9")]);
}

#[test]
fn a_resume_that_comes_to_nothing_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let (_, request) = resume(&mut bench, &[("fromSeq", "0")]);
    assert_eq!(bench.code(&frame("userDataStream.resume", &[("fromSeq", "1")])), -1015, "one at a time");
    let sent = bench.answer(refused(request, -2101));
    assert_eq!(sent[0]["error"]["code"], -2101);
    assert_eq!(bench.pop_read().0, Read::UnsubscribeAccount { subscription: Some(0) });

    // Without an answer in time.
    resume(&mut bench, &[("fromSeq", "2")]);
    let mut actions = Vec::new();
    bench.session.handle_timeout(Timestamp(now().0 + 11_000_000_000), &mut actions);
    assert_eq!(bench.perform(actions)[0]["error"]["code"], -1007);
    assert_eq!(bench.pop_read().0, Read::UnsubscribeAccount { subscription: Some(1) });

    // The client thinks better of it.
    let (_, request) = resume(&mut bench, &[("fromSeq", "3")]);
    assert_eq!(bench.code(r#"{"id":1,"method":"userDataStream.unsubscribe","params":{}}"#), 0);
    bench.pop_read();
    let page = page(request, 4..=4, 4);
    assert_eq!(bench.answer(page)[0]["error"]["code"], -2036);
}

#[test]
fn whoever_logs_out_is_told_nothing_more() {
    let mut bench = Bench::with(Mode::Run, SessionOptions::default(), 64);
    assert_eq!(bench.code(&frame("session.logon", &[])), 0);
    let (_, _, handle) = bench.pop_command();
    bench.answer(ToSession::Answer { request: handle.request, outcome: Ok(Bytes::from_static(b"{}")) });
    let unsigned = format!(
        r#"{{"id":2,"method":"userDataStream.resume","params":{{"fromSeq":0,"timestamp":{}}}}}"#,
        now().milliseconds()
    );
    assert_eq!(bench.code(&unsigned), 0);
    let (_, handle) = bench.pop_read();
    bench.send(r#"{"id":1,"method":"session.logout"}"#);
    assert_eq!(bench.pop_read().0, Read::UnsubscribeAccount { subscription: Some(0) });
    assert_eq!(bench.answer(page(handle.request, 1..=2, 2))[0]["error"]["code"], -2036);
}

#[test]
fn what_is_held_back_is_bounded() {
    let options = SessionOptions { held_reports: 3, ..SessionOptions::default() };
    let mut bench = Bench::with(Mode::Run, options, 64);
    resume(&mut bench, &[("fromSeq", "0")]);
    for count in 1..=3 {
        assert!(bench.answer(live(count)).is_empty());
    }
    assert_eq!(bench.closed, None);
    bench.answer(live(4));
    assert_eq!(bench.closed, Some(CloseReason::ResumeTooSlow));
}
