//! Little-endian fields at fixed offsets, and a page-aligned buffer.
//!
//! Every layout of the journal is written as "offset, size, type, meaning"; these helpers keep the code as close to
//! that table as it gets. Offsets are constants of the caller, so an index out of range is a bug and panics.

/// Unit of alignment of everything on disk: what O_DIRECT accepts on every file system that has it.
pub(crate) const PAGE: usize = 4096;

/// Writes `value` at `offset`.
pub(crate) fn put_u16(bytes: &mut [u8], offset: usize, value: u16) {
    bytes[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
}

/// Writes `value` at `offset`.
pub(crate) fn put_u32(bytes: &mut [u8], offset: usize, value: u32) {
    bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
}

/// Writes `value` at `offset`.
pub(crate) fn put_u64(bytes: &mut [u8], offset: usize, value: u64) {
    bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
}

/// Writes `value` at `offset`.
pub(crate) fn put_bytes(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

/// Reads the `N` bytes at `offset`.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("the slice was cut to N bytes")
}

/// Reads the number at `offset`.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, offset))
}

/// Reads the number at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, offset))
}

/// Reads the number at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, offset))
}

/// Whether every byte is zero. By words, because recovery looks at whole segments with it.
pub(crate) fn all_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| u64::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// CRC-32C of `bytes`. The crate dispatches at run time to PCLMULQDQ or VPCLMULQDQ code; the direct function measured
/// faster than the generic `checksum`, whose match on the algorithm it spares.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// A zeroed buffer whose address is a multiple of [`PAGE`], as direct input and output demands.
pub(crate) struct AlignedBuffer {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// A buffer of `length` bytes, all zero.
    pub(crate) fn new(length: usize) -> Self {
        let storage = vec![0; length + PAGE];
        let start = storage.as_ptr().align_offset(PAGE);
        assert!(start < PAGE, "a byte pointer can always be aligned to a page");
        Self { storage, start, length }
    }

    /// The aligned bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.length]
    }

    /// The aligned bytes, to be filled.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_castagnoli() {
        // The check value of CRC-32C (RFC 3720).
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        println!("crc implementation: {}", crc_fast::get_calculator_target(crc_fast::CrcAlgorithm::Crc32Iscsi));
    }

    #[test]
    fn buffer_is_aligned_and_zero() {
        for length in [PAGE, 16 * PAGE] {
            let mut buffer = AlignedBuffer::new(length);
            assert_eq!(buffer.as_slice().as_ptr() as usize % PAGE, 0);
            assert_eq!(buffer.as_slice().len(), length);
            assert!(all_zero(buffer.as_slice()));
            buffer.as_mut_slice()[length - 1] = 1;
            assert!(!all_zero(buffer.as_slice()));
        }
    }
}
