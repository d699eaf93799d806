//! `[history]`: what an account can still look up of its past: orders, trades, and the reports that it missed.

use std::path::PathBuf;

use serde::Deserialize;

use crate::error::Fault;
use crate::sections::check_range;

/// Files of the report log at most.
const MAX_SEGMENTS: u64 = 1_024;

/// `[history]`. All of it can be made again from the journal; these are bounds of memory and disk.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// Folder of the report log; made when missing. Default: `reports` in the journal's folder.
    pub directory: Option<PathBuf>,
    /// Bytes of the report log: 1 MiB ..= 1 TiB. Default 1 GiB.
    pub report_bytes: u64,
    /// Bytes of one of its files: 64 KiB ..= 1 GiB. Default 16 MiB.
    pub report_segment_bytes: u64,
    /// Where clients find older reports, told to them as it stands: at most 256 bytes. Default nothing.
    pub archive: String,
    /// Pages of missed reports that one account may ask for in a second: 1 ..= 10,000. Default 20.
    pub report_pages_per_second: u32,
    /// Ended orders that are remembered, of all accounts: 0 ..= 2^26. Default 65,536.
    pub ended_orders: u32,
    /// Ended orders that are remembered of one account: 0 ..= 2^20. Default 1,024.
    pub ended_orders_per_account: u32,
    /// Trades that are remembered, of all accounts; one between two counts twice: 1 ..= 2^26. Default 262,144.
    pub trades: u32,
    /// Trades that are remembered of one account: 1 ..= 2^20. Default 1,024.
    pub trades_per_account: u32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            directory: None,
            report_bytes: 1 << 30,
            report_segment_bytes: 16 << 20,
            archive: String::new(),
            report_pages_per_second: 20,
            ended_orders: 65_536,
            ended_orders_per_account: 1_024,
            trades: 262_144,
            trades_per_account: 1_024,
        }
    }
}

impl HistoryConfig {
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.directory.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(Fault::new("directory", "is empty"));
        }
        check_range("report_bytes", self.report_bytes, 1 << 20..=1 << 40)?;
        check_range("report_segment_bytes", self.report_segment_bytes, 64 << 10..=1 << 30)?;
        if self.report_bytes < 2 * self.report_segment_bytes {
            return Err(Fault::new("report_bytes", "is less than two files of report_segment_bytes"));
        }
        if self.report_bytes / self.report_segment_bytes > MAX_SEGMENTS {
            let reason = format!("is more than {MAX_SEGMENTS} files of report_segment_bytes, each of which stays open");
            return Err(Fault::new("report_bytes", reason));
        }
        check_range("archive (bytes)", self.archive.len(), 0..=256)?;
        if !self.archive.chars().all(|character| character.is_ascii_graphic() || character == ' ') {
            return Err(Fault::new("archive", "is not printable ASCII"));
        }
        check_range("report_pages_per_second", self.report_pages_per_second, 1..=10_000)?;
        check_range("ended_orders", self.ended_orders, 0..=1 << 26)?;
        check_range("ended_orders_per_account", self.ended_orders_per_account, 0..=1 << 20)?;
        check_range("trades", self.trades, 1..=1 << 26)?;
        check_range("trades_per_account", self.trades_per_account, 1..=1 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept() {
        let good = HistoryConfig::default();
        assert_eq!(good.check(), Ok(()));
        let refused = |change: fn(&mut HistoryConfig)| {
            let mut config = HistoryConfig::default();
            change(&mut config);
            config.check().is_err()
        };
        assert!(refused(|config| config.directory = Some(PathBuf::new())));
        assert!(refused(|config| config.report_bytes = 1 << 24));
        assert!(refused(|config| config.report_segment_bytes = 4_096));
        assert!(refused(|config| config.report_segment_bytes = 64 << 10));
        assert!(refused(|config| config.archive = "\u{1}".to_owned()));
        assert!(refused(|config| config.report_pages_per_second = 0));
        assert!(refused(|config| config.trades = 0));
    }
}
