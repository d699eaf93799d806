//! The workloads' binary format: a header and records of fixed size, in one zstd frame.
//!
//! | offset | size | header | | offset | size | record |
//! |---|---|---|---|---|---|---|
//! | 0 | 8 | magic | | 0 | 1 | type: 0 new, 1 cancel, 2 modify |
//! | 8 | 4 | version: 1 | | 1 | 1 | side: 0 buy, 1 sell |
//! | 12 | 4 | records | | 2 | 1 | 1 for immediate-or-cancel |
//! | | | | | 3 | 1 | – |
//! | | | | | 4 | 4 | quantity |
//! | | | | | 8 | 8 | message number |
//! | | | | | 16 | 8 | order id |
//! | | | | | 24 | 8 | price, signed |
//! | | | | | 32 | 8 | – |
//!
//! All numbers are little-endian. The file may be anybody's: what is read is bounded by the header's count and
//! streamed, memory by the frame's window, which may be [`MAX_WINDOW`] at most. Another byte behind the last record, a
//! missing one, or anything behind the frame is an error.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use lakh_engine::command::Side;
use lakh_engine::units::{Lots, Ticks};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::error::LoadtestError;

/// First 8 bytes, as a number.
pub const MAGIC: u64 = 0x4d45_4257_5f30_3031;
/// The only version.
pub const VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a record.
pub const RECORD_BYTES: usize = 40;
/// The largest window of a frame that is read: what it takes of memory. The published files have 4 MiB.
pub const MAX_WINDOW: u64 = 8 << 20;

/// One message of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number; stands in every report of it.
    pub number: u64,
    /// The order that it is about.
    pub order: u64,
    /// What it asks for.
    pub request: Request,
}

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new order.
    New {
        /// Side.
        side: Side,
        /// What becomes of its rest.
        rest: Rest,
        /// Limit price, at least 1.
        price: Ticks,
        /// Quantity, at least 1.
        quantity: Lots,
    },
    /// The order goes.
    Cancel,
    /// The order goes and comes back with these, behind all others of its price.
    Modify {
        /// Side of the new one.
        side: Side,
        /// Its limit price, at least 1.
        price: Ticks,
        /// Its whole quantity, at least 1.
        quantity: Lots,
    },
}

/// What becomes of what a new order does not trade at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It rests.
    Stays,
    /// It is cancelled.
    Canceled,
}

/// Reads messages one by one, from anything.
#[derive(Debug)]
pub struct MessageReader<R> {
    source: R,
    path: PathBuf,
    count: u32,
    read: u32,
}

/// A file's decompressed bytes.
type Frame = StreamingDecoder<BufReader<File>, FrameDecoder>;

impl MessageReader<Box<dyn Read>> {
    /// Opens a compressed workload.
    ///
    /// # Errors
    /// A file that cannot be read, is no zstd frame or has too large a window, or a header that is not this format's.
    pub fn open(path: &Path) -> Result<Self, LoadtestError> {
        let file = File::open(path).map_err(|source| LoadtestError::Io { path: path.to_owned(), source })?;
        let frame = Frame::new_with_max_window_size(BufReader::new(file), MAX_WINDOW)
            .map_err(|error| format_error(path, 0, format!("no zstd frame that is read here: {error}")))?;
        Self::from_decompressed(Box::new(OneFrame { frame }), path)
    }
}

impl<R: Read> MessageReader<R> {
    /// Reads from decompressed bytes; `path` is what errors name.
    ///
    /// # Errors
    /// A header that is not this format's.
    pub fn from_decompressed(mut source: R, path: &Path) -> Result<Self, LoadtestError> {
        let mut header = [0; HEADER_BYTES];
        source.read_exact(&mut header).map_err(|error| format_error(path, 0, format!("header: {error}")))?;
        let magic = u64::from_le_bytes(field(&header, 0));
        let version = u32::from_le_bytes(field(&header, 8));
        if magic != MAGIC {
            return Err(format_error(path, 0, format!("magic {magic:#018x}, not {MAGIC:#018x}")));
        }
        if version != VERSION {
            return Err(format_error(path, 0, format!("version {version}, not {VERSION}")));
        }
        Ok(Self { source, path: path.to_owned(), count: u32::from_le_bytes(field(&header, 12)), read: 0 })
    }

    /// Messages that the header says there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The next message; `None` behind the last, where nothing may follow.
    ///
    /// # Errors
    /// A file that ends too early or too late, and a record with a value that has no meaning.
    pub fn next_message(&mut self) -> Result<Option<Message>, LoadtestError> {
        if self.read == self.count {
            return match self.source.read(&mut [0]) {
                Ok(0) => Ok(None),
                Ok(_) => Err(self.error("bytes behind the last record")),
                Err(error) => Err(self.error(format!("behind the last record: {error}"))),
            };
        }
        self.read += 1;
        let mut record = [0; RECORD_BYTES];
        self.source.read_exact(&mut record).map_err(|error| self.error(error.to_string()))?;
        decode(&record).map(Some).map_err(|message| self.error(message))
    }

    fn error(&self, message: impl Into<String>) -> LoadtestError {
        format_error(&self.path, u64::from(self.read), message.into())
    }
}

fn format_error(path: &Path, record: u64, message: String) -> LoadtestError {
    LoadtestError::Format { path: path.to_owned(), line: record, message }
}

/// One frame and the end of the file behind it.
struct OneFrame {
    frame: Frame,
}

impl Read for OneFrame {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.frame.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        match self.frame.get_mut().read(&mut [0])? {
            0 if checksum_holds(&self.frame.decoder) => Ok(0),
            0 => Err(io::Error::new(io::ErrorKind::InvalidData, "the frame's checksum is wrong")),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "bytes behind the zstd frame")),
        }
    }
}

/// Frames may come without a checksum.
fn checksum_holds(decoder: &FrameDecoder) -> bool {
    decoder.get_checksum_from_data().is_none_or(|stated| decoder.get_calculated_checksum() == Some(stated))
}

fn decode(record: &[u8; RECORD_BYTES]) -> Result<Message, String> {
    let number = u64::from_le_bytes(field(record, 8));
    let order = u64::from_le_bytes(field(record, 16));
    let side = match record[1] {
        0 => Side::Bid,
        1 => Side::Ask,
        other => return Err(format!("side {other}")),
    };
    let rest = match record[2] {
        0 => Rest::Stays,
        1 => Rest::Canceled,
        other => return Err(format!("immediate-or-cancel {other}")),
    };
    let quantity = u32::from_le_bytes(field(record, 4));
    let price = i64::from_le_bytes(field(record, 24));
    let size = || match u64::try_from(price) {
        Ok(ticks @ 1..) if quantity > 0 => Ok((Ticks(ticks), Lots(u64::from(quantity)))),
        _ => Err(format!("price {price}, quantity {quantity}")),
    };
    let request = match record[0] {
        0 => size().map(|(price, quantity)| Request::New { side, rest, price, quantity })?,
        1 => Request::Cancel,
        2 => size().map(|(price, quantity)| Request::Modify { side, price, quantity })?,
        other => return Err(format!("type {other}")),
    };
    Ok(Message { number, order, request })
}

/// The `N` bytes at `offset`.
fn field<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("a slice of N bytes")
}

/// The bytes of a workload, as [`MessageReader::from_decompressed`] reads them.
///
/// # Panics
/// With more messages than the header can count, or a quantity or price that the format has no room for.
pub fn encode(messages: &[Message]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + messages.len() * RECORD_BYTES);
    bytes.extend_from_slice(&MAGIC.to_le_bytes());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(messages.len()).expect("a workload of our own is short").to_le_bytes());
    for message in messages {
        let (kind, side, rest, price, quantity) = match message.request {
            Request::New { side, rest, price, quantity } => (0, side, rest, price, quantity),
            Request::Cancel => (1, Side::Bid, Rest::Stays, Ticks::ZERO, Lots::ZERO),
            Request::Modify { side, price, quantity } => (2, side, Rest::Stays, price, quantity),
        };
        bytes.extend_from_slice(&[kind, side as u8, u8::from(rest == Rest::Canceled), 0]);
        bytes.extend_from_slice(&u32::try_from(quantity.raw()).expect("fits the format").to_le_bytes());
        bytes.extend_from_slice(&message.number.to_le_bytes());
        bytes.extend_from_slice(&message.order.to_le_bytes());
        bytes.extend_from_slice(&i64::try_from(price.raw()).expect("fits the format").to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<Message>, String> {
        let mut reader =
            MessageReader::from_decompressed(bytes, Path::new("w.bin")).map_err(|error| error.to_string())?;
        let mut messages = Vec::new();
        while let Some(message) = reader.next_message().map_err(|error| error.to_string())? {
            messages.push(message);
        }
        Ok(messages)
    }

    fn sample() -> Vec<Message> {
        let (price, quantity) = (Ticks(100), Lots(7));
        vec![
            Message {
                number: 0,
                order: 1,
                request: Request::New { side: Side::Ask, rest: Rest::Stays, price, quantity },
            },
            Message { number: 1, order: 1, request: Request::Modify { side: Side::Ask, price, quantity: Lots(9) } },
            Message { number: 2, order: 1, request: Request::Cancel },
        ]
    }

    #[test]
    fn messages_come_back_as_they_were_written() {
        assert_eq!(read_all(&encode(&sample())).unwrap(), sample());
    }

    #[test]
    fn whatever_has_no_meaning_is_refused_with_its_record() {
        let good = encode(&sample());
        let altered = |offset: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[offset] = byte;
            read_all(&bytes).unwrap_err()
        };
        assert!(altered(0, 0x32).starts_with("w.bin:0: magic 0x"));
        assert_eq!(altered(8, 2), "w.bin:0: version 2, not 1");
        assert_eq!(altered(12, 2), "w.bin:2: bytes behind the last record");
        assert!(altered(15, 0xff).starts_with("w.bin:4: "), "the count promises more than there is");
        assert_eq!(altered(16, 3), "w.bin:1: type 3");
        assert_eq!(altered(17, 2), "w.bin:1: side 2");
        assert_eq!(altered(18, 2), "w.bin:1: immediate-or-cancel 2");
        assert_eq!(altered(20, 0), "w.bin:1: price 100, quantity 0");
        assert_eq!(altered(40, 0), "w.bin:1: price 0, quantity 7");
        assert!(altered(47, 0x80).starts_with("w.bin:1: price -"));
        for length in 0..good.len() {
            assert!(read_all(&good[..length]).is_err(), "{length} bytes");
        }
    }

    /// A zstd frame of one uncompressed block: enough of the format to make one without a compressor.
    fn frame(content: &[u8], window_descriptor: u8) -> Vec<u8> {
        let block = u32::try_from(content.len()).unwrap() << 3 | 1;
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, window_descriptor], &block.to_le_bytes()[..3], content].concat()
    }

    fn open(bytes: &[u8]) -> Result<Option<Message>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("w.bin.zst");
        std::fs::write(&path, bytes).unwrap();
        let mut reader = MessageReader::open(&path).map_err(|error| error.to_string())?;
        let mut last = None;
        while let Some(message) = reader.next_message().map_err(|error| error.to_string())? {
            last = Some(message);
        }
        Ok(last)
    }

    #[test]
    fn a_file_is_one_frame_of_a_bounded_window() {
        let good = frame(&encode(&sample()), 0x58);
        assert_eq!(open(&good).unwrap(), sample().last().copied());
        assert!(open(&[&good[..], b"x"].concat()).unwrap_err().ends_with("bytes behind the zstd frame"));
        assert!(open(&good[..good.len() - 1]).is_err());
        assert!(open(b"").is_err());
        assert!(open(b"no frame at all").is_err());
        // 16 MiB: an exponent of 14 above 2^10.
        assert!(open(&frame(&encode(&sample()), 14 << 3)).unwrap_err().contains("window"));
    }
}
