//! On what a figure was taken: the machine, and the source that the program was made of.

use std::fs;
use std::process::Command;

/// Processor and system, as far as the system tells.
pub(super) fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let memory = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kilobytes: u64 = text.lines().next()?.split_whitespace().nth(1)?.parse().ok()?;
        Some(format!("{} GiB", kilobytes / (1 << 20)))
    });
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let parts = [processor, memory, system.map(|release| format!("Linux {}", release.trim()))];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    if known.is_empty() { "unknown".to_owned() } else { known.join(", ") }
}

/// The commit that is checked out where the program stands, and whether something is changed there; `unknown` where the
/// program stands in no checkout. It is the source's as long as the program was built after the last change.
pub(super) fn commit() -> String {
    let describe = || {
        let program = std::env::current_exe().ok()?;
        let words = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
        let output = Command::new("git").arg("-C").arg(program.parent()?).args(words).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
    };
    let profile = if cfg!(debug_assertions) { "debug build" } else { "release build" };
    format!("{}, {profile}", describe().unwrap_or_else(|| "unknown".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_always_said() {
        assert!(!machine().is_empty());
        assert!(commit().ends_with(" build"), "{}", commit());
    }
}
