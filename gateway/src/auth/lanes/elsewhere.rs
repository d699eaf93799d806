//! The same on processors of another kind: nobody can make a [`LaneSum`], so the library adds every batch up.

use core::convert::Infallible;

/// As where there are lanes.
pub(super) type Digits = [u8; 32];

/// As where there are lanes.
pub(super) const RANDOM_OFFSET: u128 = 0;

/// There is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownPoint(Infallible);

/// As where there are lanes.
pub(super) type KnownPoints = [KnownPoint; 8];

/// There is none.
pub(super) struct KnownTables(Infallible);

/// As where there are lanes.
pub(super) const TOGETHER: usize = 32;

/// There is none.
pub(super) struct KeyComb(Infallible);

/// There is none.
pub(super) struct BaseComb(Infallible);

/// As where there are lanes.
pub(super) struct Windows;

/// As where there are lanes.
#[expect(dead_code, reason = "nobody can make a comb")]
pub(super) struct CombTerm<'a> {
    pub(super) key: &'a KeyComb,
    pub(super) key_windows: Windows,
    pub(super) base_windows: Windows,
    pub(super) encoding: [u8; 32],
}

impl Windows {
    pub(super) const fn of(_: &[u8; 32]) -> Self {
        Self
    }
}

/// There is none.
pub(super) struct LaneSum(Infallible);

/// As where there are lanes.
pub(super) const TEXTS: usize = 16;

/// As where there are lanes.
pub(super) const CHUNK_MAX: usize = 1_024;

/// There is none.
#[derive(Debug)]
pub(super) struct LaneHashes(Infallible);

impl LaneHashes {
    pub(super) const fn detect() -> Option<Self> {
        None
    }

    pub(super) const fn sha512(&mut self, _: &[[&[u8]; 3]]) -> [[u8; 64]; 8] {
        match self.0 {}
    }

    pub(super) const fn keccak256(&mut self, _: &[[&[u8]; 3]]) -> [[u8; 32]; 8] {
        match self.0 {}
    }

    pub(super) const fn blake3(&self, _: &[&[u8]]) -> [[u8; 16]; TEXTS] {
        match self.0 {}
    }
}

pub(super) const fn digits_of_random(_: &[u8; 16]) -> Digits {
    [0; 32]
}

pub(super) const fn digits_of_scalar(_: &[u8; 32]) -> [Digits; 2] {
    [[0; 32]; 2]
}

impl LaneSum {
    pub(super) const fn detect() -> Option<Self> {
        None
    }

    pub(super) const fn clear(&mut self) {
        match self.0 {}
    }

    pub(super) const fn add_encoded(&mut self, _: [u8; 32], _: Digits) {
        match self.0 {}
    }

    pub(super) const fn add_known(&mut self, _: &KnownPoints, _: [Digits; 2]) {
        match self.0 {}
    }

    pub(super) const fn known(&self, _: &[[u8; 32]; 8]) -> Option<KnownPoints> {
        match self.0 {}
    }

    pub(super) const fn tables(&self, _: &KnownPoints) -> KnownTables {
        match self.0 {}
    }

    pub(super) const fn base_comb(&self, _: &KnownPoints) -> BaseComb {
        match self.0 {}
    }

    pub(super) const fn empty_comb(&self) -> KeyComb {
        match self.0 {}
    }

    pub(super) const fn fill(&self, _: &mut KeyComb, _: &KnownPoints) {
        match self.0 {}
    }

    pub(super) fn holding<'a>(&self, _: &BaseComb, _: impl ExactSizeIterator<Item = CombTerm<'a>>) -> u32 {
        match self.0 {}
    }

    pub(super) const fn is_small_alone(
        &mut self,
        _: [u8; 32],
        _: (&KnownTables, [Digits; 2]),
        _: (&KnownPoints, [Digits; 2]),
    ) -> bool {
        match self.0 {}
    }

    pub(super) const fn is_small(&mut self) -> bool {
        match self.0 {}
    }
}
