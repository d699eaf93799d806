//! A disk in memory that fails on demand: torn, lost, short, misdirected and flipped writes, EIO, ENOSPC, power cuts, all
//! from a seed.
//!
//! It keeps two images of each file: what a reader sees, and what is on stable storage. A write changes the first and
//! marks 512-byte sectors as dirty; a sync or a durable write copies its sectors to the second. A power cut keeps any
//! subset of the dirty sectors, and any prefix of the directory changes that were not synced. A failed sync drops any
//! subset of the dirty sectors and forgets that they were dirty, as kernels do.
//!
//! Every call that changes something has an index, counted from 0. Time is virtual: it stands still unless
//! [`SimulatedDisk::advance`] moves it, and chance comes from the seed. For tests and simulations; nothing here touches
//! the operating system except [`SimulatedDisk::export`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::storage::{Access, Storage, StorageFile};

const SECTOR: usize = 512;
/// How far a misdirected write goes astray.
const PAGE: usize = 4_096;
/// The increment of splitmix64.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;
/// When a disk's time begins: in 2023, so that nothing stands before the epoch.
const BEGIN_NS: u64 = 1_700_000_000_000_000_000;

/// What a call does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Fails with EIO; any subset of the sectors of a write is taken, a failed sync loses any subset.
    InputOutput,
    /// Fails with ENOSPC; nothing is done.
    NoSpace,
    /// Fails with EINTR; nothing is done.
    Interrupted,
    /// A write takes about half of its bytes and says so; other calls fail with EIO.
    ShortWrite,
    /// Power is cut within the call: any subset of a write's sectors is taken, and every later call fails until
    /// [`SimulatedDisk::power_cycle`] or [`SimulatedDisk::restart_process`].
    PowerCut,
    /// A write does nothing and says that it has been done. Calls that write nothing do their work.
    Lost,
    /// A write goes a page further or, at a file's end, back, and says that it has been done; other calls as above.
    Misdirected,
    /// A write changes one bit of what it writes, and says nothing of it; other calls as above.
    Flipped,
}

impl Fault {
    /// What an operating system reports and a process lives to see.
    pub const ERRORS: [Self; 4] = [Self::InputOutput, Self::NoSpace, Self::Interrupted, Self::ShortWrite];
    /// What a disk does and nobody is told.
    pub const LIES: [Self; 3] = [Self::Lost, Self::Misdirected, Self::Flipped];
}

/// A call that changes something, as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub name: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
}

type FileId = usize;
type Names = BTreeMap<PathBuf, FileId>;

#[derive(Default, Clone)]
struct Content {
    seen: Vec<u8>,
    stable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Default)]
struct State {
    files: Vec<Content>,
    names: Names,
    /// Stable names, then the names after each change that is not synced.
    history: Vec<Names>,
    locked: BTreeSet<PathBuf>,
    calls: Vec<Call>,
    plan: Option<(usize, Fault)>,
    /// Durable writes and syncs wait while this is set.
    stalled: bool,
    power: bool,
    seed: u64,
    /// How many random numbers were drawn: a stream of its own, so that they never repeat on one disk.
    drawn: u64,
    time_ns: u64,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    resumed: Arc<Condvar>,
}

/// A file of a [`SimulatedDisk`].
pub struct SimulatedFile {
    disk: SimulatedDisk,
    id: FileId,
    path: PathBuf,
}

/// A locked directory of a [`SimulatedDisk`].
pub struct SimulatedLock {
    disk: SimulatedDisk,
    directory: PathBuf,
}

impl Content {
    fn resize(&mut self, size: usize) {
        self.seen.resize(size, 0);
        self.stable.resize(size, 0);
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if end > self.seen.len() {
            self.resize(end);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }

    fn settle(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.seen.len());
        self.stable[start..end].copy_from_slice(&self.seen[start..end]);
        self.dirty.remove(&sector);
    }

    fn settle_all(&mut self) {
        let dirty: Vec<usize> = self.dirty.iter().copied().collect();
        dirty.into_iter().for_each(|sector| self.settle(sector));
    }
}

impl State {
    /// One bit from the seed.
    fn coin(&mut self) -> bool {
        self.seed = self.seed.wrapping_add(STRIDE);
        mixed(self.seed) & 1 == 1
    }

    /// Records a call; the fault it is to meet, if any.
    fn call(&mut self, name: &'static str, path: &Path) -> io::Result<Option<Fault>> {
        if !self.power {
            return Err(io::Error::other("the power is off"));
        }
        let index = self.calls.len();
        self.calls.push(Call { name, path: path.to_path_buf() });
        match self.plan {
            Some((at, fault)) if at == index => {
                self.power = fault != Fault::PowerCut;
                Ok(Some(fault))
            }
            _ => Ok(None),
        }
    }

    /// As [`Self::call`] for calls that have nothing to tear.
    fn plain_call(&mut self, name: &'static str, path: &Path) -> io::Result<()> {
        let fault = self.call(name, path)?.filter(|fault| !Fault::LIES.contains(fault));
        fault.map_or(Ok(()), |fault| Err(error_of(fault)))
    }

    /// A number below `bound` from the seed.
    fn below(&mut self, bound: usize) -> usize {
        self.seed = self.seed.wrapping_add(STRIDE);
        usize::try_from(mixed(self.seed) % bound as u64).expect("below a size")
    }

    /// What a write of `bytes` does under a fault: how many bytes were taken, or the error.
    fn faulty_write(&mut self, id: FileId, bytes: &[u8], offset: usize, fault: Fault) -> io::Result<usize> {
        match fault {
            Fault::ShortWrite => {
                let half = bytes.len() / 2;
                self.files[id].write(&bytes[..half], offset);
                Ok(half)
            }
            Fault::InputOutput | Fault::PowerCut => {
                for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                    if self.coin() {
                        self.files[id].write(sector, offset + index * SECTOR);
                    }
                }
                Err(error_of(fault))
            }
            Fault::NoSpace | Fault::Interrupted => Err(error_of(fault)),
            Fault::Lost => Ok(bytes.len()),
            Fault::Misdirected => {
                let has_room = offset + PAGE + bytes.len() <= self.files[id].seen.len();
                let elsewhere = if has_room { offset + PAGE } else { offset.saturating_sub(PAGE) };
                self.files[id].write(bytes, elsewhere);
                Ok(bytes.len())
            }
            Fault::Flipped => {
                let mut changed = bytes.to_vec();
                let bit = self.below(changed.len() * 8);
                changed[bit / 8] ^= 1 << (bit % 8);
                self.files[id].write(&changed, offset);
                Ok(bytes.len())
            }
        }
    }

    fn rename_step(&mut self) {
        let names = self.names.clone();
        self.history.push(names);
    }
}

/// The output function of splitmix64.
fn mixed(state: u64) -> u64 {
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn error_of(fault: Fault) -> io::Error {
    let errno = match fault {
        Fault::InputOutput | Fault::ShortWrite => rustix::io::Errno::IO,
        Fault::NoSpace => rustix::io::Errno::NOSPC,
        Fault::Interrupted => rustix::io::Errno::INTR,
        Fault::PowerCut => return io::Error::other("the power is off"),
        Fault::Lost | Fault::Misdirected | Fault::Flipped => unreachable!("nobody is told of it"),
    };
    errno.into()
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl SimulatedDisk {
    /// An empty disk; `seed` decides what faults keep.
    pub fn new(seed: u64) -> Self {
        let state = State { power: true, seed, time_ns: BEGIN_NS, history: vec![Names::new()], ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), resumed: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that fails under this lock fails anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call with this index meets this fault.
    pub fn fail_at(&self, index: usize, fault: Fault) {
        self.state().plan = Some((index, fault));
    }

    /// From now on every durable write and sync waits until [`Self::resume`]: a disk that has stalled, for as long as
    /// the test likes and without a clock.
    pub fn stall(&self) {
        self.state().stalled = true;
    }

    /// Ends a stall.
    pub fn resume(&self) {
        self.state().stalled = false;
        self.resumed.notify_all();
    }

    /// The state once the disk does not stall.
    fn responsive(&self) -> MutexGuard<'_, State> {
        let waited = self.resumed.wait_while(self.state(), |state| state.stalled);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Cuts the power now: every call fails until [`Self::power_cycle`].
    pub fn cut_power(&self) {
        self.state().power = false;
    }

    /// Lets time pass.
    pub fn advance(&self, time_ns: u64) {
        self.state().time_ns += time_ns;
    }

    /// What another process finds after this one has died and the machine has not: everything that was written, synced
    /// or not. No fault is planned, nothing is locked.
    pub fn restart_process(&self) {
        let mut state = self.state();
        state.locked.clear();
        state.plan = None;
        state.power = true;
    }

    /// What the disk has after a power cut, with the power on again, no fault planned and nothing locked.
    pub fn power_cycle(&self) {
        let mut state = self.state();
        let mut kept = 0;
        while kept + 1 < state.history.len() && state.coin() {
            kept += 1;
        }
        state.names = state.history[kept].clone();
        for id in 0..state.files.len() {
            let dirty: Vec<usize> = state.files[id].dirty.iter().copied().collect();
            for sector in dirty {
                if state.coin() {
                    state.files[id].settle(sector);
                }
            }
            let file = &mut state.files[id];
            file.dirty.clear();
            file.seen.clone_from(&file.stable);
        }
        state.history = vec![state.names.clone()];
        state.locked.clear();
        state.plan = None;
        state.power = true;
    }

    /// An independent disk with the same files, with the power on, no fault planned and nothing locked.
    pub fn duplicate(&self, seed: u64) -> Self {
        let state = self.state();
        let copy = State {
            files: state.files.clone(),
            names: state.names.clone(),
            history: vec![state.names.clone()],
            power: true,
            seed,
            drawn: state.drawn,
            time_ns: state.time_ns,
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(copy)), resumed: Arc::default() }
    }

    /// Changes a byte on stable storage behind everyone's back: rot.
    ///
    /// # Panics
    /// If the file does not exist or is shorter.
    pub fn rot(&self, path: &Path, offset: usize, change: impl FnOnce(u8) -> u8) {
        let mut state = self.state();
        let id = state.names[path];
        let file = &mut state.files[id];
        file.seen[offset] = change(file.seen[offset]);
        file.stable[offset] = file.seen[offset];
    }

    /// The bytes of a file as a reader sees them; `None` if there is none.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|id| state.files[*id].seen.clone())
    }

    /// Writes every file, as a reader sees it, into a real directory, by its name alone.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn export(&self, directory: &Path) -> io::Result<()> {
        let state = self.state();
        for (path, id) in &state.names {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            std::fs::write(directory.join(name), &state.files[*id].seen)?;
        }
        Ok(())
    }

    fn file(&self, id: FileId, path: &Path) -> SimulatedFile {
        SimulatedFile { disk: self.clone(), id, path: path.to_path_buf() }
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.directory);
    }
}

impl StorageFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.id].seen.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        if !state.power {
            return Err(io::Error::other("the power is off"));
        }
        let seen = &state.files[self.id].seen;
        let start = place(offset)?.min(seen.len());
        let count = buffer.len().min(seen.len() - start);
        buffer[..count].copy_from_slice(&seen[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        let offset = place(offset)?;
        if let Some(fault) = state.call("write_at", &self.path)? {
            return state.faulty_write(self.id, bytes, offset, fault);
        }
        state.files[self.id].write(bytes, offset);
        Ok(bytes.len())
    }

    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.responsive();
        let offset = place(offset)?;
        if let Some(fault) = state.call("write_durable", &self.path)? {
            let written = state.faulty_write(self.id, bytes, offset, fault);
            if Fault::LIES.contains(&fault) {
                // Wherever it went, and whatever it is now, it is durable.
                state.files[self.id].settle_all();
            }
            return written;
        }
        let file = &mut state.files[self.id];
        file.write(bytes, offset);
        for sector in offset / SECTOR..(offset + bytes.len()).div_ceil(SECTOR) {
            file.settle(sector);
        }
        Ok(bytes.len())
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.plain_call("allocate", &self.path)?;
        state.files[self.id].resize(place(size)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.responsive();
        let fault = state.call("sync", &self.path)?.filter(|fault| !Fault::LIES.contains(fault));
        let dirty: Vec<usize> = state.files[self.id].dirty.iter().copied().collect();
        for sector in dirty {
            if fault.is_none() || state.coin() {
                state.files[self.id].settle(sector);
            }
        }
        state.files[self.id].dirty.clear();
        fault.map_or(Ok(()), |fault| Err(error_of(fault)))
    }
}

impl Storage for SimulatedDisk {
    type File = SimulatedFile;
    type Lock = SimulatedLock;

    fn create_directory(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, directory: &Path) -> io::Result<SimulatedLock> {
        if !self.state().locked.insert(directory.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(SimulatedLock { disk: self.clone(), directory: directory.to_path_buf() })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(directory));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        let mut state = self.state();
        state.plain_call("create", path)?;
        // A new file even if the name exists: the old content is what a crash before the next sync brings back.
        let id = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.to_path_buf(), id);
        state.rename_step();
        Ok(self.file(id, path))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<SimulatedFile> {
        let state = self.state();
        let id = state.names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.file(id, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.plain_call("rename", from)?;
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_path_buf(), id);
        state.rename_step();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.plain_call("remove", path)?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.rename_step();
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.plain_call("sync_directory", directory)?;
        state.history = vec![state.names.clone()];
        Ok(())
    }

    fn elapsed_ns(&self) -> u64 {
        self.state().time_ns
    }

    fn wall_ns(&self) -> u64 {
        self.state().time_ns
    }

    fn random(&self) -> io::Result<u64> {
        let mut state = self.state();
        state.drawn += 1;
        Ok(mixed(state.seed ^ mixed(state.drawn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_some_of_the_rest() {
        let mut kept = BTreeSet::new();
        for seed in 0..64 {
            let disk = SimulatedDisk::new(seed);
            let path = Path::new("d/file");
            let file = disk.create(path).unwrap();
            file.allocate(2048).unwrap();
            disk.sync_directory(Path::new("d")).unwrap();
            file.write_at(&[1; 512], 0).unwrap();
            file.sync().unwrap();
            file.write_durable(&[2; 512], 512).unwrap();
            file.write_at(&[3; 1024], 1024).unwrap();
            disk.cut_power();
            assert!(file.sync().is_err());
            disk.power_cycle();
            let mut bytes = [0; 2048];
            disk.open(path, Access::Read).unwrap().read_at(&mut bytes, 0).unwrap();
            assert_eq!((bytes[0], bytes[512]), (1, 2), "seed {seed}");
            kept.insert((bytes[1024], bytes[1536]));
        }
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [(0, 0), (0, 3), (3, 0), (3, 3)]);
    }

    #[test]
    fn an_unsynced_rename_may_be_undone() {
        let mut names = BTreeSet::new();
        for seed in 0..64 {
            let disk = SimulatedDisk::new(seed);
            disk.create(Path::new("d/a")).unwrap();
            disk.sync_directory(Path::new("d")).unwrap();
            disk.rename(Path::new("d/a"), Path::new("d/b")).unwrap();
            disk.cut_power();
            disk.power_cycle();
            names.insert(disk.list(Path::new("d")).unwrap());
        }
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [["a"], ["b"]]);
    }
}
