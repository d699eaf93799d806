//! The binary face's bytes: SBE messages in SOFH frames, by fixed layouts. `docs/schema/lakh.xml` is their source.
//!
//! Every message is a block of fixed size that is copied as it lies, all integers little-endian and unaligned; a few
//! have one group of entries of fixed size behind it. A frame:
//!
//! | offset | size | type | meaning |
//! |---|---|---|---|
//! | 0 | 4 | u32 | length of the frame, these bytes included: [`HEADER_BYTES`] ..= [`MAX_FRAME_BYTES`] |
//! | 4 | 2 | u16 | [`ENCODING`]: little-endian SBE 1.0 |
//! | 6 | 2 | u16 | length of the block |
//! | 8 | 2 | u16 | template id |
//! | 10 | 2 | u16 | [`SCHEMA_ID`] |
//! | 12 | 2 | u16 | [`SCHEMA_VERSION`] |
//! | 14 | | | block, then groups, each behind its own header: u16 length of an entry, u16 how many |
//!
//! Invariants: nothing is read outside of the frame, and a length that does not add up is an error before any of it is
//! used. Bounds: a frame is at most [`MAX_FRAME_BYTES`] and a group as long as its frame.

#[macro_use]
mod block;
pub mod encode;
pub mod enums;
pub mod market;
pub mod orders;
pub mod reports;
pub mod request;
pub mod session;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub use block::{Block, Entry, FieldLayout, RequestBlock};

use crate::wire::sbe::enums::Code;

/// Bytes in front of a block.
pub const HEADER_BYTES: usize = size_of::<FrameHeader>();
/// Longest frame, its own length included.
pub const MAX_FRAME_BYTES: usize = 16 * 1_024;
/// What SOFH calls little-endian SBE 1.0.
pub const ENCODING: u16 = 0xeb50;
/// This schema.
pub const SCHEMA_ID: u16 = 100;
/// Its version: one more for each change that older readers have to know of.
pub const SCHEMA_VERSION: u16 = 1;
/// Bytes in front of a group's entries.
pub const GROUP_HEADER_BYTES: usize = size_of::<GroupHeader>();

/// What stands in front of a block: the SOFH frame's header and the message's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FrameHeader {
    /// Length of the frame.
    pub frame_length: U32,
    /// [`ENCODING`].
    pub encoding: U16,
    /// Length of the block.
    pub block_length: U16,
    /// Which message it is.
    pub template_id: U16,
    /// [`SCHEMA_ID`].
    pub schema_id: U16,
    /// [`SCHEMA_VERSION`].
    pub version: U16,
}

/// What stands in front of a group's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct GroupHeader {
    /// Length of an entry.
    pub block_length: U16,
    /// How many entries follow.
    pub count: U16,
}

/// A frame whose header is good and whose length is all there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which message it is.
    pub template: u16,
    /// The whole frame.
    pub bytes: &'a [u8],
    block_length: usize,
}

/// Looks for the frame at the front of `bytes`: `None` while it is not all there. How far to go on is the length of
/// [`Frame::bytes`].
///
/// # Errors
/// [`Code::BadLength`], [`Code::BadEncoding`], [`Code::BadSchema`], [`Code::BadVersion`]: where the next frame begins is
/// not known any more, so the connection has to end.
#[inline]
pub fn next_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, Code> {
    let Ok((header, _)) = FrameHeader::ref_from_prefix(bytes) else {
        // What is there of it may be wrong already, and whoever sends it may be waiting.
        return match bytes.first_chunk::<4>() {
            Some(length) => checked_length(u32::from_le_bytes(*length)).map(|_| None),
            None => Ok(None),
        };
    };
    let length = checked_length(header.frame_length.get())?;
    if header.encoding != ENCODING {
        return Err(Code::BadEncoding);
    }
    if header.schema_id != SCHEMA_ID {
        return Err(Code::BadSchema);
    }
    if header.version == 0 {
        return Err(Code::BadVersion);
    }
    let block_length = usize::from(header.block_length.get());
    if HEADER_BYTES + block_length > length {
        return Err(Code::BadLength);
    }
    let template = header.template_id.get();
    Ok(bytes.get(..length).map(|bytes| Frame { template, bytes, block_length }))
}

fn checked_length(length: u32) -> Result<usize, Code> {
    let length = usize::try_from(length).map_err(|_| Code::BadLength)?;
    if (HEADER_BYTES..=MAX_FRAME_BYTES).contains(&length) { Ok(length) } else { Err(Code::BadLength) }
}

impl<'a> Frame<'a> {
    /// The version of the schema that the sender has.
    pub fn version(&self) -> u16 {
        FrameHeader::ref_from_prefix(self.bytes).map_or(0, |(header, _)| header.version.get())
    }

    /// Everything behind the header.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// The block as a reader takes it: of a newer version it may be longer, and what is added stands behind.
    ///
    /// # Errors
    /// [`Code::BadTemplate`] for another message, [`Code::BadBlockLength`] for a shorter block.
    pub fn block<B: Block>(&self) -> Result<&'a B, Code> {
        if self.template != B::TEMPLATE {
            return Err(Code::BadTemplate);
        }
        let block = &self.body()[..self.block_length];
        B::ref_from_prefix(block).map(|(block, _)| block).map_err(|_| Code::BadBlockLength)
    }

    /// The block of a request: exactly this version's, and nothing behind it but its group. What is signed has no room
    /// for what the venue does not know.
    ///
    /// # Errors
    /// As [`Frame::block`], [`Code::BadVersion`], and [`Code::BadLength`] for bytes that belong to nothing.
    pub fn request<B: Block>(&self) -> Result<&'a B, Code> {
        if self.version() != SCHEMA_VERSION {
            return Err(Code::BadVersion);
        }
        if self.template == B::TEMPLATE && self.block_length != size_of::<B>() {
            return Err(Code::BadBlockLength);
        }
        let block = self.block::<B>()?;
        if !B::HAS_GROUP && self.body().len() != size_of::<B>() {
            return Err(Code::BadLength);
        }
        Ok(block)
    }

    /// The entries of the group behind the block.
    ///
    /// # Errors
    /// [`Code::BadGroup`] where the group is not all there, its entries are of another length, or bytes stand behind it.
    pub fn entries<E: Entry>(&self) -> Result<&'a [E], Code> {
        entries(&self.body()[self.block_length..])
    }
}

/// The entries of a group, from its header to the end of `bytes`.
///
/// # Errors
/// As [`Frame::entries`].
pub fn entries<E: Entry>(bytes: &[u8]) -> Result<&[E], Code> {
    let (header, entries) = GroupHeader::ref_from_prefix(bytes).map_err(|_| Code::BadGroup)?;
    let count = usize::from(header.count.get());
    if usize::from(header.block_length.get()) != size_of::<E>() || entries.len() != count * size_of::<E>() {
        return Err(Code::BadGroup);
    }
    <[E]>::ref_from_bytes(entries).map_err(|_| Code::BadGroup)
}

/// Appends a message without a group.
pub fn put<B: Block>(out: &mut Vec<u8>, block: &B) {
    let length = HEADER_BYTES + size_of::<B>();
    out.reserve(length);
    out.extend_from_slice(header::<B>(length).as_bytes());
    out.extend_from_slice(block.as_bytes());
}

/// The same for a block that `write` fills where it stays; what it leaves out is zero. A block that is made elsewhere is
/// copied in larger pieces than its fields were written in, and that waits for all of them.
#[inline(always)]
pub(crate) fn put_in_place<B: Block>(out: &mut Vec<u8>, write: impl FnOnce(&mut B)) {
    let (start, length) = (out.len(), HEADER_BYTES + size_of::<B>());
    out.resize(start + length, 0);
    let (head, block) = out[start..].split_at_mut(HEADER_BYTES);
    head.copy_from_slice(header::<B>(length).as_bytes());
    write(B::mut_from_bytes(block).expect("as many bytes as it has"));
}

/// Appends a message with its group.
///
/// # Panics
/// For more entries than a frame has room for: what is put there is the caller's own.
pub fn put_with_group<B: Block, E: Entry>(out: &mut Vec<u8>, block: &B, entries: &[E]) {
    let length = HEADER_BYTES + size_of::<B>() + GROUP_HEADER_BYTES + size_of_val(entries);
    assert!(length <= MAX_FRAME_BYTES, "a group is as long as its frame at most");
    out.reserve(length);
    out.extend_from_slice(header::<B>(length).as_bytes());
    out.extend_from_slice(block.as_bytes());
    let count = u16::try_from(entries.len()).expect("a frame's entries fit 16 bits");
    let entry = u16::try_from(size_of::<E>()).expect("an entry is shorter than a frame");
    out.extend_from_slice(GroupHeader { block_length: entry.into(), count: count.into() }.as_bytes());
    out.extend_from_slice(entries.as_bytes());
}

fn header<B: Block>(length: usize) -> FrameHeader {
    const { assert!(HEADER_BYTES + size_of::<B>() <= MAX_FRAME_BYTES, "a block is shorter than a frame") };
    FrameHeader {
        frame_length: u32::try_from(length).expect("a frame is at most 16 KiB").into(),
        encoding: ENCODING.into(),
        block_length: u16::try_from(size_of::<B>()).expect("a block is shorter than a frame").into(),
        template_id: B::TEMPLATE.into(),
        schema_id: SCHEMA_ID.into(),
        version: SCHEMA_VERSION.into(),
    }
}

/// Text with zeroes behind it. Longer text is cut.
pub fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let length = text.len().min(N);
    bytes[..length].copy_from_slice(&text[..length]);
    bytes
}

/// The text in front of the zeroes, which go on to the end.
///
/// # Errors
/// [`Code::BadText`] when something stands behind a zero.
pub fn unpadded(bytes: &[u8]) -> Result<&[u8], Code> {
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    if bytes[length..].iter().all(|byte| *byte == 0) { Ok(&bytes[..length]) } else { Err(Code::BadText) }
}
