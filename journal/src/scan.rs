//! Walking the blocks of one segment, and looking at what stands behind the first one that fails.
//!
//! Recovery and readers use the same steps, so that they give the same verdict on the same bytes. Bounds: a look
//! behind reads the rest of one segment once.

use std::io;

use crate::block::{BlockHeader, ChainTail};
use crate::bytes::{PAGE, all_zero};
use crate::segment::{FOOTER_BYTES, SegmentFooter, SegmentHeader};
use crate::source::Source;
use crate::storage::StorageFile;

/// What stands at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next block of the chain, which has been moved behind it.
    Block(BlockHeader),
    /// Anything else, and why it is not the next block.
    Fault(&'static str),
    /// The end of the room for blocks.
    Full,
}

/// Reads the block at `offset` if it continues `chain`.
pub(crate) fn step<F: StorageFile>(
    source: &mut Source<F>,
    segment: &SegmentHeader,
    offset: u64,
    chain: &mut ChainTail,
) -> io::Result<Step> {
    if offset >= segment.blocks_end() {
        return Ok(Step::Full);
    }
    let header = match BlockHeader::decode(source.bytes(offset, PAGE)?) {
        Ok(header) => header,
        Err(fault) => return Ok(Step::Fault(fault)),
    };
    if let Err(fault) = chain.check_header(&header, segment.nonce) {
        return Ok(Step::Fault(fault));
    }
    if offset + u64::from(header.block_bytes) > segment.blocks_end() {
        return Ok(Step::Fault("the block crosses the segment's end"));
    }
    let block = source.bytes(offset, header.block_bytes as usize)?;
    Ok(match chain.accept(&header, block) {
        Ok(()) => Step::Block(header),
        Err(fault) => Step::Fault(fault),
    })
}

/// Whether a valid block stands behind the failing one, and what it proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Later {
    /// None.
    None,
    /// One that was sealed when the failing block was not yet known to be on stable storage.
    InFlight,
    /// One that was sealed when the failing block was on stable storage.
    Acknowledged,
}

/// The rest of a segment from the first failing block on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Offset behind the last page that is not zero; the failing offset itself if all is zero.
    pub(crate) dirty_end: u64,
    /// The strongest proof by a later block.
    pub(crate) later: Later,
}

/// Looks at everything from `offset` to the end of the file, for blocks of number `expected` or later.
pub(crate) fn look_behind<F: StorageFile>(
    source: &mut Source<F>,
    segment: &SegmentHeader,
    offset: u64,
    expected: u64,
) -> io::Result<Rest> {
    let mut rest = Rest { dirty_end: offset, later: Later::None };
    let mut at = offset;
    while at < segment.segment_bytes {
        let page = source.bytes(at, PAGE)?;
        if !all_zero(page) {
            rest.dirty_end = at + PAGE as u64;
            if at > offset && at < segment.blocks_end() {
                rest.later = rest.later.max(proof(page, segment.nonce, expected));
            }
        }
        at += PAGE as u64;
    }
    Ok(rest)
}

/// Judges by the header alone: that its records are torn too would not make the failing block any less written.
fn proof(page: &[u8], nonce: u64, expected: u64) -> Later {
    match BlockHeader::decode(page) {
        Ok(header) if header.nonce == nonce && header.number >= expected => {
            if header.durable_block >= expected {
                Later::Acknowledged
            } else {
                Later::InFlight
            }
        }
        _ => Later::None,
    }
}

/// Reads the footer; `Err` says why there is none.
pub(crate) fn footer<F: StorageFile>(
    source: &mut Source<F>,
    segment: &SegmentHeader,
) -> io::Result<Result<SegmentFooter, &'static str>> {
    let page = source.bytes(segment.segment_bytes - FOOTER_BYTES, PAGE)?;
    Ok(SegmentFooter::decode(page, segment))
}
