//! `lakh soak watchers`: what those who mirror a venue's journal cost those who trade on it.
//!
//! Trading is measured alone, beside real mirrors (`lakh journal fetch --follow`, a process each, on the same machine, so
//! their own work is in the figure too), alone again, and beside readers that ask for more than any buffer holds and read
//! nothing of it. In the end each mirror has to have the journal's last record.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::SigningKey;
use lakh_gateway::auth::api_key;
use lakh_journal::JournalReader;
use lakh_loadtest::client::Trader;
use lakh_loadtest::cpu::UseWatch;
use lakh_loadtest::scratch_venue::{ScratchVenue, VENUE_TAG, VenueOptions};
use lakh_loadtest::soak::{self, Trading, Traffic};
use serde_json::{Value, json};

use crate::journal_tool::fetching::signed_query;
use crate::keys::{hex, to_pem};
use crate::run::runtime;
use crate::soak::TrafficArguments;

/// Connections of one key at most, which the configuration allows.
const READERS_MAX: i64 = 16;
/// Requests that a reader sends which reads none of the answers.
const UNREAD: u64 = 64;
/// How long the mirrors may take to begin, and to have all of it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that trade.
const ACTIVE: u32 = 8;

#[derive(Debug, clap::Args)]
pub(crate) struct WatchersArguments {
    /// Mirrors that keep up, a process each.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=READERS_MAX))]
    mirrors: u32,
    /// Readers that ask and never read.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=READERS_MAX))]
    silent: u32,
    #[command(flatten)]
    traffic: TrafficArguments,
}

/// Measures all four and prints nothing itself.
pub(crate) fn run(arguments: &WatchersArguments) -> Result<Value> {
    let scratch = tempfile::Builder::new().prefix("lakh-soak-").tempdir()?;
    let watched = Watched::new(scratch.path(), arguments)?;
    let venue = watched.start()?;
    let address = venue.ready()["watchers"].as_str().and_then(|url| url.strip_prefix("http://"));
    let address: SocketAddr = address.context("the venue says where its watchers are")?.parse()?;
    let alone = watched.measure("a", &venue)?;
    let mut mirrors = Mirrors::start(&watched, address, arguments.mirrors)?;
    mirrors.wait_for_last(&venue)?;
    let beside = watched.measure("b", &venue)?;
    mirrors.wait_for_last(&venue)?;
    drop(mirrors);
    let again = watched.measure("c", &venue)?;
    let before = soak::resident_bytes(&venue)?;
    let silent: Vec<TcpStream> =
        (0..arguments.silent).map(|_| watched.ask_and_never_read(address)).collect::<Result<_>>()?;
    // Trading itself takes memory, so it is looked at before that.
    wait_until_sent(&venue)?;
    let after = soak::resident_bytes(&venue)?;
    let beside_silent = watched.measure("d", &venue)?;
    let held = after.saturating_sub(before) / u64::from(arguments.silent);
    drop(silent);
    venue.stop()?;
    Ok(json!({
        "mirrors": arguments.mirrors,
        "silent": arguments.silent,
        "alone": alone,
        "beside_mirrors": beside,
        "alone_again": again,
        "beside_silent": beside_silent,
        "resident_bytes": [before, after],
        "bytes_per_silent_reader": held,
    }))
}

/// A venue that gives its journal out, and the keys of those who may have it.
struct Watched {
    directory: PathBuf,
    options: VenueOptions,
    traders: Vec<Trader>,
    traffic: Traffic,
    key: PathBuf,
    silent_key: SigningKey,
}

impl Watched {
    fn new(directory: &Path, arguments: &WatchersArguments) -> Result<Self> {
        let mut options = VenueOptions::new(&std::env::current_exe()?, directory);
        options.keys = ACTIVE;
        options.units = 1_000_000_000;
        options.digest_capacity = 32_768;
        let TrafficArguments { rate, seconds } = arguments.traffic;
        let traffic = Traffic { rate, seconds, connections: ACTIVE };
        let key = directory.join("watcher.pem");
        write_private(&key, &to_pem(&[1; 32]))?;
        let silent_key = SigningKey::from_bytes(&[2; 32]);
        let traders = options.traders();
        Ok(Self { directory: directory.to_owned(), options, traders, traffic, key, silent_key })
    }

    fn start(&self) -> Result<ScratchVenue> {
        let mut configuration = self.options.configuration();
        // Patience for the whole soak: what silent readers cost is what is asked.
        configuration.push_str(
            "\n[watchers]\nlisten = \"127.0.0.1:0\"\npublic = \"never\"\nconnections_per_key = 16\n\
             bytes_per_second_per_key = 1073741824\npatience_ms = 600000\n",
        );
        for (name, key) in [("mirrors", SigningKey::from_bytes(&[1; 32])), ("silent", self.silent_key.clone())] {
            let public = hex(&key.verifying_key().to_bytes());
            configuration.push_str(&format!("\n[[watcher_key]]\nname = \"{name}\"\npublic_key = \"{public}\"\n"));
        }
        let file = self.directory.join("lakh.toml");
        std::fs::write(&file, configuration)?;
        Ok(ScratchVenue::launch(&self.options.program, &file)?)
    }

    /// Trading, and the processor time that the venue's threads took meanwhile.
    fn measure(&self, name: &str, venue: &ScratchVenue) -> Result<Measured> {
        let watch = UseWatch::start(vec![("venue", venue.process_id())]);
        let trading = runtime()?.block_on(soak::trade(name, self.traffic, venue, &self.traders))?;
        let last = watch.stop().pop().unwrap_or_else(|| unreachable!("a watch looks twice"));
        let cpu_ms = last.processes["venue"].cpu_ns.iter().map(|(name, ns)| (name.clone(), ns / 1_000_000)).collect();
        Ok(Measured { trading, cpu_ms })
    }

    /// A connection with more asked on it than is ever sent, since nothing is read.
    fn ask_and_never_read(&self, address: SocketAddr) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        let api_key = api_key(VENUE_TAG, &self.silent_key.verifying_key().to_bytes());
        for number in 0..UNREAD {
            // Each is another text.
            let asked = format!("segment=0&offset=0&wait={number}");
            let query = signed_query((&self.silent_key, &api_key), "journal.bytes", &asked);
            let request = format!("GET /journal/bytes?{query} HTTP/1.1\r\nhost: {address}\r\n\r\n");
            stream.write_all(request.as_bytes())?;
        }
        Ok(stream)
    }
}

/// One of the four.
#[derive(serde::Serialize)]
struct Measured {
    trading: Trading,
    /// By the venue's threads.
    cpu_ms: BTreeMap<String, u64>,
}

/// Running mirrors; killed when dropped.
struct Mirrors(Vec<(Child, PathBuf)>);

impl Drop for Mirrors {
    fn drop(&mut self) {
        for (child, _) in &mut self.0 {
            // One that has ended by itself was found before.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Mirrors {
    fn start(watched: &Watched, address: SocketAddr, count: u32) -> Result<Self> {
        let mut mirrors = Self(Vec::new());
        for number in 0..count {
            let to = watched.directory.join(format!("mirror-{number}"));
            let mut command = Command::new(&watched.options.program);
            command.args(["journal", "fetch", "--follow", "--from", &format!("http://{address}"), "--to"]).arg(&to);
            command.arg("--key").arg(&watched.key).args(["--venue-tag", &hex(&VENUE_TAG)]);
            mirrors.0.push((command.stdout(Stdio::null()).spawn()?, to));
        }
        Ok(mirrors)
    }

    /// Until each of them has the journal's last record.
    fn wait_for_last(&mut self, venue: &ScratchVenue) -> Result<()> {
        let last = runtime()?.block_on(soak::metric(venue, "lakh_journal_durable_sequence"))?;
        let asked = Instant::now();
        for (child, directory) in &mut self.0 {
            while last_record(directory) < last {
                ensure!(child.try_wait()?.is_none(), "a mirror ended");
                ensure!(asked.elapsed() < PATIENCE, "a mirror does not keep up: {} of {last}", last_record(directory));
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }
}

/// Until readers have been sent all that the system takes for them.
fn wait_until_sent(venue: &ScratchVenue) -> Result<()> {
    let sent = || runtime()?.block_on(soak::metric(venue, "lakh_journal_feed_watcher_bytes_total")).map_err(Into::into);
    let (asked, mut before): (_, Result<u64>) = (Instant::now(), sent());
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now: u64 = sent()?;
        if before? == now {
            return Ok(());
        }
        ensure!(asked.elapsed() < PATIENCE, "readers that never read are sent more and more");
        before = Ok(now);
    }
}

/// The last record of a mirror; 0 while there is none.
fn last_record(directory: &Path) -> u64 {
    let Ok(mut reader) = JournalReader::open(directory) else { return 0 };
    let mut last = 0;
    while let Ok(Some(record)) = reader.next() {
        last = record.header.sequence;
    }
    last
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
