//! A venue of one's own in a temporary directory: `lakh run` as a child process, for flow checks, loads and crash tests.
//!
//! It listens on loopback, on a port that the system picks, and ends with whoever started it. Its keys come from a seed
//! that anybody may know.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::client::Trader;
use crate::error::LoadtestError;

/// Tag of every scratch venue.
pub const VENUE_TAG: [u8; 16] = *b"lakh-scratch-tag";

/// Room for accounts under those that there are.
const SUB_ACCOUNTS: u32 = 8;

/// Base assets at most: what the engine has room for beside CASH. Further markets trade the first ones again.
const BASES_MAX: usize = 63;

/// What venue to start.
#[derive(Clone, Debug)]
pub struct VenueOptions {
    /// The program `lakh`.
    pub program: PathBuf,
    /// The venue's own directory, which holds its configuration and its journal.
    pub directory: PathBuf,
    /// `sync` or `async`.
    pub durability: String,
    /// Markets, the first 63 each of its own base asset; all quoted in CASH, with a tick of 0.01 and a lot of one whole unit.
    pub markets: Vec<String>,
    /// Whole units of each asset that each account starts with.
    pub units: u64,
    /// Requests that each key may have remembered at once.
    pub digest_capacity: u32,
    /// Keys, one an account.
    pub keys: u32,
    /// Room for keys that are registered later.
    pub spare_keys: u32,
    /// Bytes of a segment file.
    pub segment_bytes: u64,
    /// Bytes that may wait for one slow reader.
    pub outbox_bytes: u32,
    /// Bytes that the system may hold for it beside them.
    pub send_buffer_bytes: u32,
    /// An operator's public key in hexadecimal, for role 0.
    pub operator_key: Option<String>,
    /// The same of a second operator, whom decisions that touch money need.
    pub second_operator_key: Option<String>,
    /// Where the stages run: `automatic`, `own_threads` or `shared`.
    pub stages: &'static str,
    /// How its threads get processors: `normal` or `real_time`.
    pub scheduling: &'static str,
    /// Further lines of `[journal]`.
    pub journal_keys: String,
    /// Resting orders that each market's book has room for.
    pub max_orders: u32,
}

impl VenueOptions {
    /// One market UNITCASH, one funded key.
    pub fn new(program: &Path, directory: &Path) -> Self {
        Self {
            program: program.to_owned(),
            directory: directory.to_owned(),
            durability: "async".to_owned(),
            markets: vec!["UNITCASH".to_owned()],
            units: 1_000_000_000_000,
            digest_capacity: 1 << 20,
            keys: 1,
            spare_keys: 0,
            segment_bytes: 64 << 20,
            outbox_bytes: 64 << 20,
            send_buffer_bytes: 1 << 20,
            operator_key: None,
            second_operator_key: None,
            stages: "automatic",
            scheduling: "normal",
            journal_keys: String::new(),
            max_orders: 1 << 18,
        }
    }

    /// The keys of the accounts.
    pub fn traders(&self) -> Vec<Trader> {
        Trader::from_seed(0x05c7_a7c4, self.keys, Some(VENUE_TAG))
    }

    /// Where the journal is.
    pub fn journal(&self) -> PathBuf {
        self.directory.join("journal")
    }

    /// The socket that `lakh ctl` speaks to.
    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("ctl.sock")
    }

    /// The venue's configuration as TOML.
    pub fn configuration(&self) -> String {
        let keys = self.keys + self.spare_keys;
        let digests = u64::from(keys) * u64::from(self.digest_capacity);
        let bases: Vec<String> = (0..self.markets.len().min(BASES_MAX)).map(|index| format!("UNIT{index}")).collect();
        // A scratch venue trades on a nearly full disk, too, unless that is what it is for.
        let is_guarded = self.journal_keys.contains("free_disk_percent_min");
        let guard = if is_guarded { "" } else { "free_disk_percent_min = 0\n" };
        let mut toml = format!(
            "[exchange]\nmode = \"run\"\nvenue_tag = \"{}\"\n\n[journal]\ndirectory = {:?}\ndurability = \"{}\"\n\
             segment_bytes = {}\n{}{}\n[gateway]\nlisten = \"127.0.0.1:0\"\nbinary_listen = \"127.0.0.1:0\"\nin_flight_per_connection = 8192\nstages = {:?}\nscheduling = {:?}\n\
             max_connections = 16384\nmax_connections_per_address = 16384\n\
             outbox_messages = 65536\noutbox_bytes = {}\nsend_buffer_bytes = {}\nrequests_per_second_per_address = 10000000\n\
             request_burst_per_address = 10000000\nrequests_per_second_per_key = 10000000\n\
             request_burst_per_key = 10000000\norders_per_second_per_key = 10000000\n\
             order_burst_per_key = 10000000\ncancel_allowance_per_key = 10000000\n\n[operators]\nlisten = \"127.0.0.1:0\"\ncontrol_socket = {:?}\n\n\
             [capacities]\naccounts = {}\nkeys = {}\ndigests = {digests}\nshare_parts = 1\nassets = {}\nmarkets = {}\n\n\
             [[asset]]\nsymbol = \"CASH\"\ndecimals = 2\n",
            hex(&VENUE_TAG),
            self.journal(),
            self.durability,
            self.segment_bytes,
            guard,
            self.journal_keys,
            self.stages,
            self.scheduling,
            self.outbox_bytes,
            self.send_buffer_bytes,
            self.control_socket(),
            self.keys + 1 + SUB_ACCOUNTS,
            keys,
            (bases.len() + 1).max(2),
            self.markets.len(),
        );
        for base in &bases {
            write!(toml, "\n[[asset]]\nsymbol = \"{base}\"\ndecimals = 0\n").expect("writing to a string cannot fail");
        }
        for (base, market) in bases.iter().cycle().zip(&self.markets) {
            write!(
                toml,
                "\n[[market]]\nsymbol = \"{market}\"\n\
                 base = \"{base}\"\nquote = \"CASH\"\ntick_size = \"0.01\"\nlot_size = \"1\"\n\
                 max_price = \"21474836.47\"\nmax_quantity = \"100000000\"\nmaker_fee = \"0\"\ntaker_fee = \"0\"\n\
                 max_orders = {}\nstate = \"open\"\n",
                self.max_orders
            )
            .expect("writing to a string cannot fail");
        }
        for (role, key) in [&self.operator_key, &self.second_operator_key].into_iter().flatten().enumerate() {
            write!(toml, "\n[[operator_key]]\nname = \"operator {role}\"\npublic_key = \"{key}\"\nrole = {role}\n")
                .expect("writing to a string cannot fail");
        }
        let balances: Vec<String> = std::iter::once("CASH")
            .chain(bases.iter().map(String::as_str))
            .map(|asset| format!("{asset} = \"{}\"", self.units))
            .collect();
        for trader in self.traders() {
            write!(
                toml,
                "\n[[genesis.account]]\npublic_keys = [\"{}\"]\nbalances = {{ {} }}\ndigest_capacity = {}\n",
                hex(&trader.public_key()),
                balances.join(", "),
                self.digest_capacity,
            )
            .expect("writing to a string cannot fail");
        }
        toml
    }

    /// Starts the venue, again on the same journal where there is one, and waits until its doors are open.
    ///
    /// # Errors
    /// [`LoadtestError::Venue`] when it does not start; its own words go to standard error.
    pub fn start(&self) -> Result<ScratchVenue, LoadtestError> {
        let config = self.directory.join("lakh.toml");
        let io = |source| LoadtestError::Io { path: config.clone(), source };
        std::fs::write(&config, self.configuration()).map_err(io)?;
        ScratchVenue::launch(&self.program, &config)
    }
}

/// A running venue; killed when dropped.
#[derive(Debug)]
pub struct ScratchVenue {
    child: Child,
    stdout: BufReader<ChildStdout>,
    ready: Value,
}

impl ScratchVenue {
    /// Has `program` run a venue from a configuration file and waits until its doors are open.
    ///
    /// # Errors
    /// [`LoadtestError::Venue`] when it does not start; its own words go to standard error.
    pub fn launch(program: &Path, config: &Path) -> Result<Self, LoadtestError> {
        let mut command = Command::new(program);
        // Whoever is killed here takes the venue along.
        command.arg("run").arg("--json").arg("--until-input-ends").arg("--config").arg(config);
        Self::launch_with(command)
    }

    /// Starts a venue by a command of the caller's, which has to run it with `--json`, and waits until its doors are open.
    ///
    /// # Errors
    /// As [`ScratchVenue::launch`].
    pub fn launch_with(mut command: Command) -> Result<Self, LoadtestError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let path = PathBuf::from(command.get_program());
        let mut child = command.spawn().map_err(|source| LoadtestError::Io { path, source })?;
        let stdout = child.stdout.take().expect("standard output was asked for");
        let mut venue = Self { child, stdout: BufReader::new(stdout), ready: Value::Null };
        venue.ready = venue.line()?;
        Ok(venue)
    }

    /// The venue's WebSocket API.
    pub fn websocket(&self) -> &str {
        self.ready["websocket"].as_str().unwrap_or_default()
    }

    /// The venue's binary port.
    pub fn binary(&self) -> &str {
        self.ready["binary"].as_str().unwrap_or_default().trim_start_matches("tcp://")
    }

    /// Its operators' port, as the address of `/health`.
    pub fn health(&self) -> &str {
        self.ready["health"].as_str().unwrap_or_default()
    }

    /// What the venue said when its doors opened.
    pub const fn ready(&self) -> &Value {
        &self.ready
    }

    /// The venue's process id.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the venue at once, as a crash would.
    pub fn kill(mut self) {
        self.end();
    }

    /// Asks the venue to stop and returns what it says of its end.
    ///
    /// # Errors
    /// [`LoadtestError::Venue`] when it fails on the way.
    pub fn stop(mut self) -> Result<Value, LoadtestError> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM)
            .map_err(|error| LoadtestError::Venue(format!("the venue cannot be asked to stop: {error}")))?;
        let closed = self.line()?;
        match self.child.wait() {
            Ok(status) if status.success() => Ok(closed),
            Ok(status) => Err(LoadtestError::Venue(format!("the venue ended with {status}"))),
            Err(error) => Err(LoadtestError::Venue(format!("the venue cannot be waited for: {error}"))),
        }
    }

    /// The next JSON line of the venue.
    fn line(&mut self) -> Result<Value, LoadtestError> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        match read.ok().and_then(|_| serde_json::from_str(&line).ok()) {
            Some(value) => Ok(value),
            None => Err(LoadtestError::Venue(format!("the venue ended before it said what was expected: {line:?}"))),
        }
    }

    fn end(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ScratchVenue {
    fn drop(&mut self) {
        self.end();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
