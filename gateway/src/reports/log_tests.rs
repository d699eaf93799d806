//! The report log: pages, retention, restarts, damage.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use lakh_engine::command::{OrderType, SelfTradeMode, Side, TimeInForce};
use lakh_engine::ids::{AccountId, AssetId, ClientId, MarketId, OrderId, Sequence};
use lakh_engine::units::{Atoms, Lots, Ticks, Timestamp};

use super::log::{Missing, ReportChunk, ReportLog, ReportLogOptions, ReportPage};
use super::{AccountReport, AssetBalance, Execution, ReportBody, Stamp};
use crate::account_state::Balance;
use crate::order_state::{OrderRecord, OrderStatus};

const END: Sequence = Sequence(u64::MAX);

fn options(directory: &Path) -> ReportLogOptions {
    let directory = directory.join("reports");
    ReportLogOptions { directory, exchange_id: [9; 16], segment_bytes: 4_096, retention_bytes: 1 << 20 }
}

/// The report of this account with this count, caused by the command `sequence`.
fn report(account: u32, report_sequence: u64, sequence: u64) -> AccountReport<'static> {
    let order = OrderRecord {
        account: AccountId(account),
        market: MarketId(0),
        order: OrderId(sequence * 64),
        client_id: ClientId::new(&format!("c-{account}-{report_sequence}")).unwrap(),
        side: Side::Bid,
        order_type: OrderType::Limit,
        time_in_force: TimeInForce::GoodTillCancel,
        self_trade_mode: SelfTradeMode::ExpireMaker,
        price: Ticks(7_000_000),
        trigger_price: Ticks(0),
        quantity: Lots(10),
        display_quantity: Lots(0),
        quote_budget: Atoms(0),
        executed: Lots(0),
        cumulative_quote: Atoms(0),
        prevented: Lots(0),
        status: OrderStatus::New,
        cancel_reason: None,
        accepted_at: Timestamp(sequence),
        updated_at: Timestamp(sequence),
        working_at: Timestamp(sequence),
        expires_at: Timestamp(0),
    };
    let balance = Balance { available: Atoms(sequence), held: Atoms(1) };
    AccountReport {
        account: AccountId(account),
        report_sequence,
        stamp: Stamp { sequence: Sequence(sequence), timestamp: Timestamp(sequence) },
        body: ReportBody::Order { order: Cow::Owned(order), execution: Execution::New },
        position: vec![AssetBalance { asset: AssetId(1), balance }],
    }
}

fn append(log: &mut ReportLog, reports: &[AccountReport<'_>]) {
    let mut chunk = ReportChunk::default();
    reports.iter().for_each(|report| chunk.push(report));
    log.append(&chunk).unwrap();
}

/// Commands `from ..= to`, each a report of account 1 with the same count and one of account 2 or 3.
fn fill(log: &mut ReportLog, from: u64, to: u64) {
    for sequence in from..=to {
        let other = 2 + u32::try_from(sequence % 2).unwrap();
        append(log, &[report(1, sequence, sequence), report(other, sequence.div_ceil(2), sequence)]);
    }
}

fn page(log: &ReportLog, account: u32, from: u64, through: u64, limit: usize) -> Result<ReportPage, Missing> {
    log.page(AccountId(account), (from, through), limit).unwrap()
}

fn counts(page: &ReportPage) -> Vec<u64> {
    page.reports.iter().map(|report| report.report_sequence).collect()
}

#[test]
fn pages_are_what_was_appended_over_all_segments() {
    let scratch = tempfile::tempdir().unwrap();
    let mut log = ReportLog::open(options(scratch.path()), END).unwrap();
    fill(&mut log, 1, 500);
    assert!(fs::read_dir(scratch.path().join("reports")).unwrap().count() > 10, "many segments");
    for account in 1..=3 {
        let last = if account == 1 { 500 } else { 250 };
        for (from, limit) in [(0, 1_000), (0, 7), (17, 100), (last - 1, 10), (last, 10)] {
            let page = page(&log, account, from, last, limit).unwrap();
            let end = last.min(from + limit as u64);
            assert_eq!(counts(&page), (from + 1..=end).collect::<Vec<_>>(), "account {account} behind {from}");
            assert_eq!(page.is_last, end == last);
            for got in &page.reports {
                let sequence = got.stamp.sequence.0;
                assert_eq!(*got, report(account, got.report_sequence, sequence));
            }
        }
    }
    assert_eq!(counts(&page(&log, 1, 10, 20, 1_000).unwrap()), (11..=20).collect::<Vec<_>>(), "a bound above");
    assert_eq!(page(&log, 9, 0, 0, 10).unwrap().reports, [], "nothing was ever reported to it");
    assert_eq!(page(&log, 9, 0, 5, 10), Err(Missing { floor: 5 }), "what should be there and is not");
    assert_eq!(page(&log, 1, 490, 501, 10), Err(Missing { floor: 501 }), "not written yet");
}

#[test]
fn the_oldest_segment_goes_first_and_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let options = ReportLogOptions { retention_bytes: 16_384, ..options(scratch.path()) };
    let mut log = ReportLog::open(options.clone(), END).unwrap();
    fill(&mut log, 1, 1_000);
    let kept: u64 =
        fs::read_dir(&options.directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(kept <= options.retention_bytes + options.segment_bytes, "{kept} bytes");
    let Err(Missing { floor }) = page(&log, 1, 0, 1_000, 10) else { panic!("the first ones are gone") };
    assert!((500..1_000).contains(&floor), "{floor}");
    assert_eq!(page(&log, 1, floor - 1, 1_000, 10), Err(Missing { floor }));
    assert_eq!(counts(&page(&log, 1, floor, 1_000, 3).unwrap()), [floor + 1, floor + 2, floor + 3]);
}

#[test]
fn a_gap_hides_what_is_before_it() {
    let scratch = tempfile::tempdir().unwrap();
    let mut log = ReportLog::open(options(scratch.path()), END).unwrap();
    fill(&mut log, 1, 10);
    append(&mut log, &[report(1, 13, 13)]);
    assert_eq!(page(&log, 1, 5, 13, 100), Err(Missing { floor: 12 }));
    assert_eq!(counts(&page(&log, 1, 12, 13, 100).unwrap()), [13]);
    assert_eq!(counts(&page(&log, 2, 0, 5, 100).unwrap()), [1, 2, 3, 4, 5], "another account has none");
}

#[test]
fn a_restart_goes_on_where_the_log_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let mut log = ReportLog::open(options(scratch.path()), END).unwrap();
    assert_eq!(log.wants_behind(), Sequence(0));
    fill(&mut log, 1, 100);
    for rounds in 1..=5 {
        drop(log);
        log = ReportLog::open(options(scratch.path()), END).unwrap();
        let last = 100 * rounds;
        assert_eq!(log.wants_behind(), Sequence(last));
        fill(&mut log, last + 1, last + 100);
    }
    assert_eq!(counts(&page(&log, 1, 0, 600, 1_000).unwrap()), (1..=600).collect::<Vec<_>>());
}

#[test]
fn what_is_ahead_of_the_journal_is_cut_off() {
    let scratch = tempfile::tempdir().unwrap();
    for journal_end in [0, 1, 37, 60, 99, 100] {
        let mut log = ReportLog::open(options(scratch.path()), END).unwrap();
        let behind = log.wants_behind().0;
        fill(&mut log, behind + 1, 100);
        drop(log);
        let mut log = ReportLog::open(options(scratch.path()), Sequence(journal_end)).unwrap();
        let wanted = log.wants_behind().0;
        assert!(wanted <= journal_end, "{wanted} of {journal_end}");
        fill(&mut log, wanted + 1, 120);
        assert_eq!(counts(&page(&log, 1, 0, 120, 1_000).unwrap()), (1..=120).collect::<Vec<_>>(), "{journal_end}");
        drop(log);
        fs::remove_dir_all(scratch.path().join("reports")).unwrap();
    }
}

/// Every file cut at, and damaged in, many places: the log opens, and never returns anything but what was appended.
#[test]
fn damage_costs_history_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let mut log = ReportLog::open(options(scratch.path()), END).unwrap();
    fill(&mut log, 1, 120);
    drop(log);
    let folder = scratch.path().join("reports");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let sound: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    for (path, bytes) in files.iter().zip(&sound) {
        for at in (0..bytes.len()).step_by(307) {
            for cut in [true, false] {
                let mut damaged = bytes.clone();
                if cut {
                    damaged.truncate(at);
                } else {
                    damaged[at] ^= 0x41;
                }
                files.iter().zip(&sound).for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
                fs::write(path, &damaged).unwrap();
                let mut log = ReportLog::open(options(scratch.path()), END).unwrap();
                let wanted = log.wants_behind().0;
                fill(&mut log, wanted + 1, 130);
                match page(&log, 1, 0, 130, 1_000) {
                    Ok(page) => {
                        assert_eq!(counts(&page), (1..=130).collect::<Vec<_>>());
                        assert!(
                            page.reports.iter().all(|got| *got == report(1, got.report_sequence, got.report_sequence))
                        );
                    }
                    // Only bytes of a report inside of a sealed segment, which nobody looks at before they are asked for.
                    Err(Missing { floor }) => assert!(!cut && floor < 130, "{floor}"),
                }
            }
        }
    }
}

#[test]
fn a_log_of_another_exchange_or_format_is_thrown_away() {
    let scratch = tempfile::tempdir().unwrap();
    let mut log = ReportLog::open(options(scratch.path()), END).unwrap();
    fill(&mut log, 1, 100);
    drop(log);
    let other = ReportLogOptions { exchange_id: [8; 16], ..options(scratch.path()) };
    let log = ReportLog::open(other, END).unwrap();
    assert_eq!(log.wants_behind(), Sequence(0));
    assert_eq!(page(&log, 1, 0, 100, 10), Err(Missing { floor: 100 }));
}
