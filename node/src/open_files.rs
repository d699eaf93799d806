//! How many files this process may have open: every connection is one.

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a node has open besides its connections: journal, listeners, libraries, with room to spare.
const BESIDES: u64 = 256;

/// Raises the soft limit as far as it may be raised, and says so where that is not enough for `connections`.
pub(crate) fn allow(connections: u64) -> Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(soft) = current else { return Ok(()) };
    let wanted = connections.saturating_add(BESIDES);
    if soft >= wanted {
        return Ok(());
    }
    let raised = maximum.map_or(wanted, |most| most.min(wanted)).max(soft);
    setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).context("the limit of open files stays")?;
    if raised < wanted {
        tracing::warn!(may = raised, wanted, "fewer files may be open than there may be connections: ulimit -n");
    }
    Ok(())
}
