//! The venue's side: `lakh run` as a child process over a configuration with a contract, to be killed and started again.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lakh_engine::Engine;
use lakh_engine::codec::split_payload;
use lakh_engine::ids::Sequence;
use lakh_engine::units::Timestamp;
use lakh_journal::JournalReader;
use lakh_loadtest::client::Trader;
use lakh_loadtest::random::SplitMix64;
use lakh_loadtest::scratch_venue::ScratchVenue;
use lakh_settlement::chain::decode_hex;
use parking_lot::Mutex;
use serde_json::Value as Json;

use crate::world::{CHAIN_ID, HEADER_SECRET, OPERATOR_SECRET, WATCHER_SECRET, World};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lakh");

/// See the module.
pub(crate) struct Venue {
    directory: tempfile::TempDir,
    running: Arc<Mutex<Option<ScratchVenue>>>,
    venue_tag: [u8; 16],
}

impl Venue {
    /// Starts a new venue on a contract.
    pub(crate) fn start(world: &World, confirmations: u64) -> Self {
        let venue = Self::prepare(world, confirmations);
        venue.go_on();
        venue
    }

    fn prepare(world: &World, confirmations: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let keys = [("poster.key", OPERATOR_SECRET), ("header.key", HEADER_SECRET), ("watcher.key", WATCHER_SECRET)];
        for (name, secret) in keys {
            let mut options = std::fs::File::options();
            let mut file = options.write(true).create_new(true).mode(0o600).open(path.join(name)).unwrap();
            let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            file.write_all(digits.as_bytes()).unwrap();
        }
        std::fs::write(path.join("lakh.toml"), configuration(world, confirmations, path)).unwrap();
        let binding = lakh_engine::command::SettlementBinding { chain_id: CHAIN_ID, contract: world.contract.0 };
        Self { directory, running: Arc::default(), venue_tag: binding.venue_tag() }
    }

    /// Starts a new venue on a contract, which a process of its own settles.
    pub(crate) fn start_apart(world: &World) -> Self {
        Self::start_with(world, "poster = \"apart\"")
    }

    /// The same, with a batch as soon as somebody wants his money.
    pub(crate) fn start_apart_in_a_hurry(world: &World) -> Self {
        let hurry = "withdrawal_interval_ms = 100\nposter = \"apart\"";
        Self::start_replacing(world, "withdrawal_interval_ms = 500", hurry)
    }

    /// Starts a new venue on a contract, with one more line about settlement in its configuration.
    pub(crate) fn start_with(world: &World, line: &str) -> Self {
        Self::start_replacing(world, "confirmations =", &format!("{line}\nconfirmations ="))
    }

    /// Starts a new venue on a contract, whose configuration says something else in one place.
    fn start_replacing(world: &World, usual: &str, other: &str) -> Self {
        let venue = Self::prepare(world, 0);
        let path = venue.directory.path().join("lakh.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace(usual, other)).unwrap();
        venue.go_on();
        venue
    }

    /// Starts `lakh settle` beside it.
    pub(crate) fn settle(&self) -> Settler {
        let mut command = Command::new(PROGRAM);
        command.arg("settle").arg("--config").arg(self.directory.path().join("lakh.toml"));
        Settler(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Kills it and leaves it dead.
    pub(crate) fn kill(&self) {
        self.running.lock().take().unwrap().kill();
    }

    /// Starts again, on the journal that there is.
    pub(crate) fn go_on(&self) {
        *self.running.lock() = Some(launch(self.directory.path()));
    }

    /// Stops it and gives what it says of its end.
    pub(crate) fn stop(&self) -> Json {
        self.running.lock().take().unwrap().stop().unwrap()
    }

    /// Kills it so often, each time at a random instant, and starts it again each time.
    pub(crate) fn kill_at_random(&self, times: u32, mut random: SplitMix64) -> JoinHandle<u32> {
        let (running, path) = (Arc::clone(&self.running), self.directory.path().to_owned());
        std::thread::spawn(move || {
            for _ in 0..times {
                std::thread::sleep(Duration::from_micros(100_000 + random.below(900_000)));
                // Held until it runs again, so that nobody asks for the address of a venue that is not there.
                let mut running = running.lock();
                running.take().unwrap().kill();
                *running = Some(launch(&path));
            }
            times
        })
    }

    /// What the operators' port says.
    pub(crate) fn health(&self) -> Json {
        let url = self.running.lock().as_ref().unwrap().ready()["health"].as_str().unwrap().to_owned();
        serde_json::from_str(&ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
    }

    pub(crate) fn trader(&self, number: u8) -> Trader {
        Trader::new(&[0x70 + number; 32], Some(self.venue_tag))
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    /// Where everything of it is.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where it gives its journal out.
    pub(crate) fn watchers(&self) -> String {
        self.running.lock().as_ref().unwrap().ready()["watchers"].as_str().unwrap().to_owned()
    }

    /// The file with the watcher's secret.
    pub(crate) fn watcher_key(&self) -> PathBuf {
        self.directory.path().join("watcher.key")
    }

    pub(crate) fn shared_url(&self) -> SharedUrl {
        SharedUrl(Arc::clone(&self.running))
    }

    /// Kills it and starts it again, on the journal that there is.
    pub(crate) fn kill_and_go_on(&self) {
        self.kill();
        self.go_on();
    }

    /// Runs the program and gives whether it succeeded, and what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> (bool, String) {
        let (code, text) = self.code(arguments);
        (code == 0, text)
    }

    /// Runs the program and gives its exit code, and what it printed.
    pub(crate) fn code(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// Writes a file beside the journal.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs the program and gives the JSON that it prints.
    pub(crate) fn lakh(&self, arguments: &[&str]) -> Json {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert!(output.status.success(), "lakh {arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// An audit of its journal, and of the journal and the chain against each other, finds nothing.
    pub(crate) fn assert_audited(&self, chain: &str) {
        let audited = self.lakh(&["audit", "--json", self.journal().to_str().unwrap(), "--chain", chain]);
        assert_eq!((&audited["finding_count"], &audited["chain"]["finding_count"]), (&Json::from(0), &Json::from(0)));
    }

    /// The calls with which an account's withdrawals can be claimed.
    pub(crate) fn claims(&self, chain: &str, account: u8) -> Vec<Vec<u8>> {
        let journal = self.journal();
        let account = account.to_string();
        let claims =
            self.lakh(&["claims", "--json", journal.to_str().unwrap(), "--account", &account, "--chain", chain]);
        let calls = claims.as_array().unwrap().iter().filter_map(|claim| claim["call"].as_str());
        calls.map(|call| decode_hex(call).unwrap()).collect()
    }
}

/// A running `lakh settle`, which ends with this.
pub(crate) struct Settler(Child);

impl Settler {
    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// For whoever kills it.
    pub(crate) fn process(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.0)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// How it ends by itself.
    pub(crate) fn end(mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        // Neither can fail but for a process that has already ended, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address of a venue that may be killed and started again at any time.
#[derive(Clone)]
pub(crate) struct SharedUrl(Arc<Mutex<Option<ScratchVenue>>>);

impl SharedUrl {
    pub(crate) fn now(&self) -> String {
        self.0.lock().as_ref().map(|venue| venue.websocket().to_owned()).unwrap_or_default()
    }
}

fn launch(directory: &Path) -> ScratchVenue {
    ScratchVenue::launch(Path::new(PROGRAM), &directory.join("lakh.toml")).unwrap()
}

fn configuration(world: &World, confirmations: u64, directory: &Path) -> String {
    format!(
        r#"
[exchange]
mode = "run"

[journal]
directory = {journal:?}
segment_bytes = 1048576
ring_bytes = 1048576
# The machine's disk is not what is tested.
free_disk_percent_min = 0

[gateway]
listen = "127.0.0.1:0"
binary_listen = "127.0.0.1:0"

[operators]
listen = "127.0.0.1:0"
control_socket = {socket:?}

[watchers]
listen = "127.0.0.1:0"

[settlement]
chain_url = "{url}"
chain_id = {CHAIN_ID}
contract = "{contract}"
poster_key_file = {key:?}
header_key_file = {header_key:?}
confirmations = {confirmations}
batch_interval_ms = 1000
withdrawal_interval_ms = 500
chain_interval_ms = 50

[capacities]
accounts = 16
keys = 16
digests = 16384

[[asset]]
symbol = "CASH"
decimals = 2
chain_units_per_atom = 10

[[asset]]
symbol = "UNIT"
decimals = 0
chain_units_per_atom = 1000

[[market]]
symbol = "UNITCASH"
base = "UNIT"
quote = "CASH"
tick_size = "0.01"
lot_size = "1"
max_price = "1000000"
max_quantity = "100000"
maker_fee = "0.001"
taker_fee = "0.000333"
max_orders = 1024
max_levels = 64
state = "open"
"#,
        journal = directory.join("journal"),
        socket = directory.join("ctl.sock"),
        url = world.url,
        contract = world.contract,
        key = directory.join("poster.key"),
        header_key = directory.join("header.key"),
    )
}

/// The engine as a journal leaves it.
pub(crate) fn replayed_engine(journal: &Path) -> Engine {
    let (mut engine, mut events) = (Engine::new(), Vec::new());
    let mut reader = JournalReader::open(journal).unwrap();
    while let Some(record) = reader.next().unwrap() {
        let (command, _) = split_payload(record.payload).unwrap();
        let timestamp = Timestamp(record.header.timestamp_ns);
        engine.apply(Sequence(record.header.sequence), timestamp, &command, &mut events);
    }
    engine
}
