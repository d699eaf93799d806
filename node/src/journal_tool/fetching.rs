//! `lakh journal fetch`: mirrors a venue's journal into a directory, as a watcher with a key or as one of the public.
//!
//! Everything that comes is checked before it is kept ([`lakh_journal::mirror`]), and after each interruption the source
//! has to show the last part that is mirrored once more. So the directory is at every moment a journal that `replay`,
//! `audit` and `watch` read, and whatever stops this program, the next start goes on.
//!
//! Without `--follow` it ends once it has what it is shown, and at the first trouble. With it, it goes on for ever: a venue
//! that is away or busy is asked again; only what can never come right ends it. Bounds: one request at a time, a piece of
//! 64 KiB in memory.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use indicatif::ProgressBar;
use lakh_gateway::auth::api_key;
use lakh_gateway::journal_feed::{REFUSAL_BYTES, Refused};
use lakh_journal::horizon::Position;
use lakh_journal::mirror::{Anchor, Mirror};
use serde_json::{Value, json};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::keys::{self, hex, unhex};
use crate::progress;

/// How long the venue may let a request wait for more.
const WAIT: Duration = Duration::from_secs(10);
/// Time for a name, a connection, and silence in the middle of an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that are taken at once.
const PIECE_BYTES: usize = 64 * 1_024;
/// The longest time between two syncs of the mirror.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest and the longest pause behind a trouble.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often the venue is asked again that was asked too often, and how long is waited for that.
const BUSY_TRIES: u32 = 5;
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Mirrors a venue's journal.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchArguments {
    /// The venue's port for watchers: https://…, or http://… on this machine.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The mirror's directory; made when missing.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The watcher's key, as `lakh keygen` writes it. Without one the journal comes as the public has it.
    #[arg(long, value_name = "FILE", requires = "venue_tag")]
    key: Option<PathBuf>,
    /// The venue's tag, 32 hexadecimal digits: what is signed is good there and nowhere else.
    #[arg(long, value_name = "TAG", requires = "key")]
    venue_tag: Option<String>,
    /// Take the journal of this exchange only, 32 hexadecimal digits; without it the first segment decides.
    #[arg(long, value_name = "ID")]
    exchange: Option<String>,
    /// PEM file of the authorities to believe, instead of this machine's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Keep up with the venue and never end.
    #[arg(long)]
    follow: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `lakh journal fetch`.
pub(crate) fn run(arguments: &FetchArguments) -> Result<()> {
    let exchange =
        arguments.exchange.as_deref().map(|text| unhex(text).context("an exchange's id has 32 hexadecimal digits"));
    let source = Source::new(arguments)?;
    let mirror = Mirror::open(&arguments.to, exchange.transpose()?)?;
    let bar = progress::counter("fetching", arguments.json);
    let said = String::new();
    let mut fetch = Fetch { source, mirror, synced: Instant::now(), bar, said, arguments };
    let mut pause = PAUSES.0;
    loop {
        let before = fetch.mirror.last_sequence();
        match fetch.session() {
            Ok(()) => {
                fetch.bar.finish_and_clear();
                return fetch.finish();
            }
            Err(Trouble::Passing(error) | Trouble::Busy(error)) if arguments.follow => {
                fetch.say(json!({ "state": "waiting", "reason": format!("{error:#}") }));
                pause = if fetch.mirror.last_sequence() > before { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
                std::thread::sleep(pause);
            }
            Err(Trouble::Passing(error) | Trouble::Busy(error) | Trouble::Final(error)) => {
                // What is mirrored is good, whatever came behind it.
                fetch.mirror.sync()?;
                return Err(error);
            }
        }
    }
}

/// What can stop a session.
enum Trouble {
    /// It may be over in a moment.
    Passing(anyhow::Error),
    /// The venue was asked too often.
    Busy(anyhow::Error),
    /// It will be there again the next time.
    Final(anyhow::Error),
}

impl From<lakh_journal::JournalError> for Trouble {
    fn from(error: lakh_journal::JournalError) -> Self {
        Self::Final(error.into())
    }
}

/// The program's own things.
struct Fetch<'a> {
    source: Source,
    mirror: Mirror,
    synced: Instant,
    bar: ProgressBar,
    /// What was said last, so that the same is said once.
    said: String,
    arguments: &'a FetchArguments,
}

impl Fetch<'_> {
    /// Holds the source against the mirror, and takes what it has until there is no more or, following, until a trouble.
    fn session(&mut self) -> Result<(), Trouble> {
        if !self.confirm()? && !self.arguments.follow {
            return Ok(());
        }
        loop {
            let at = self.mirror.wanted();
            let wait = if self.arguments.follow { WAIT } else { Duration::ZERO };
            match self.source.bytes(at, wait)? {
                Answer::Bytes(body) => {
                    self.take(body)?;
                    // Or whoever answers with less than a part would be asked for ever.
                    if self.mirror.wanted() == at {
                        let Position { segment, offset } = at;
                        let error = anyhow!("the venue sends no whole part of segment {segment} at offset {offset}");
                        return Err(Trouble::Final(error));
                    }
                }
                Answer::Nothing => {
                    self.sync()?;
                    if !self.arguments.follow {
                        return Ok(());
                    }
                    self.say(json!({ "state": "following" }));
                }
                Answer::Beyond => return Err(self.source.is_behind(&self.mirror)),
                Answer::Gone(oldest) => return Err(gone(oldest, at, &self.arguments.to)),
            }
        }
    }

    /// Whether the source has the last part that is mirrored; `false` where it does not show that much.
    fn confirm(&mut self) -> Result<bool, Trouble> {
        let Some(Anchor { at, length }) = self.mirror.anchor() else { return Ok(true) };
        let behind = self.mirror.wanted();
        match self.source.bytes(at, Duration::ZERO)? {
            Answer::Bytes(mut body) => {
                let mut bytes = Vec::with_capacity(length);
                let read = body.as_reader().take(length as u64).read_to_end(&mut bytes);
                read.map_err(|error| Trouble::Passing(anyhow!("the venue's answer broke off: {error}")))?;
                self.mirror.confirm(&bytes)?;
                Ok(true)
            }
            // The headers of the next segment name the last block of this one.
            Answer::Gone(oldest) if behind.offset == 0 && oldest <= behind.segment => Ok(true),
            Answer::Gone(oldest) => Err(gone(oldest, at, &self.arguments.to)),
            Answer::Nothing | Answer::Beyond => match self.source.is_behind(&self.mirror) {
                Trouble::Passing(_) if !self.arguments.follow => Ok(false),
                trouble => Err(trouble),
            },
        }
    }

    fn take(&mut self, mut body: ureq::Body) -> Result<(), Trouble> {
        let mut reader = body.as_reader();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) => return Err(Trouble::Passing(anyhow!("the venue's answer broke off: {error}"))),
            };
            self.mirror.take(&piece[..count])?;
            if self.synced.elapsed() >= SYNC_INTERVAL {
                self.sync()?;
            }
        }
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        self.mirror.sync()?;
        self.synced = Instant::now();
        self.bar.set_position(self.mirror.last_sequence());
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        let last = self.mirror.last_sequence();
        let exchange = self.mirror.exchange_id().map(|id| hex(&id));
        if self.arguments.json {
            println!("{}", json!({ "state": "complete", "lastSequence": last, "exchange": exchange }));
            return Ok(());
        }
        match exchange {
            Some(exchange) => println!("exchange {exchange} is mirrored up to record {last}"),
            None => println!("the venue shows nothing yet"),
        }
        Ok(())
    }

    /// Says how it stands, once for each change.
    fn say(&mut self, mut how: Value) {
        let text = how.to_string();
        if text == self.said {
            return;
        }
        self.said = text;
        how["lastSequence"] = self.mirror.last_sequence().into();
        let state = how["state"].as_str().unwrap_or_default();
        match (self.arguments.json, how["reason"].as_str()) {
            (true, _) => println!("{how}"),
            (false, Some(reason)) => println!("{state} at record {}: {reason}", how["lastSequence"]),
            (false, None) => println!("{state} from record {} on", how["lastSequence"]),
        }
    }
}

/// The mirror needs what the venue has given to its archive.
fn gone(oldest: u64, at: Position, to: &Path) -> Trouble {
    Trouble::Final(anyhow!(
        "the venue does not keep segment {} any more, its oldest is {oldest}: bring the segments before that one into {} \
         out of its archive (`lakh journal restore`), and fetch again",
        at.segment,
        to.display()
    ))
}

/// What the venue answers for a position.
enum Answer {
    Bytes(ureq::Body),
    Nothing,
    Beyond,
    /// The oldest segment that it has.
    Gone(u64),
}

/// The venue.
struct Source {
    agent: ureq::Agent,
    url: String,
    /// The key, and how the venue knows it.
    signer: Option<(SigningKey, String)>,
}

impl Source {
    fn new(arguments: &FetchArguments) -> Result<Self> {
        let url = arguments.from.trim_end_matches('/').to_owned();
        check_url(&url)?;
        let signer = match (&arguments.key, &arguments.venue_tag) {
            (Some(path), Some(tag)) => {
                keys::read_private(path)?;
                let (key, tag) =
                    (keys::read_key(path)?, unhex(tag).context("a venue's tag has 32 hexadecimal digits")?);
                let api_key = api_key(tag, &key.verifying_key().to_bytes());
                Some((key, api_key))
            }
            _ => None,
        };
        let roots = arguments.ca.as_deref().map_or(Ok(RootCerts::PlatformVerifier), read_roots)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_resolve(Some(PATIENCE))
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(WAIT + PATIENCE))
            .timeout_per_read(Some(WAIT + PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(1)
            .proxy(None)
            .build();
        Ok(Self { agent: config.into(), url, signer })
    }

    /// What stands at a position; the venue waits up to `wait` where that is nothing yet. Where the venue says that it was
    /// asked too often, which many small segments come to, it is asked again a little later.
    fn bytes(&self, at: Position, wait: Duration) -> Result<Answer, Trouble> {
        for _ in 0..BUSY_TRIES {
            match self.ask(at, wait) {
                Err(Trouble::Busy(_)) => std::thread::sleep(BUSY_PAUSE),
                other => return other,
            }
        }
        self.ask(at, wait)
    }

    fn ask(&self, at: Position, wait: Duration) -> Result<Answer, Trouble> {
        let Position { segment, offset } = at;
        let asked = format!("segment={segment}&offset={offset}&wait={}", wait.as_millis());
        let query = match &self.signer {
            Some((key, api_key)) => signed_query((key, api_key), "journal.bytes", &asked),
            None => asked,
        };
        let response = self.agent.get(format!("{}/journal/bytes?{query}", self.url)).call();
        let response = response.map_err(|error| Trouble::Passing(anyhow!("the venue cannot be reached: {error}")))?;
        let (status, mut body) = (response.status().as_u16(), response.into_body());
        match status {
            200 => return Ok(Answer::Bytes(body)),
            204 => return Ok(Answer::Nothing),
            _ => {}
        }
        let text = body.with_config().limit(REFUSAL_BYTES).read_to_vec().unwrap_or_default();
        let refuses = |why: String| anyhow!("the venue refuses: {why}");
        match Refused::read(status, &text) {
            Refused::Gone(oldest) => Ok(Answer::Gone(oldest)),
            Refused::Beyond => Ok(Answer::Beyond),
            Refused::Busy(why) => Err(Trouble::Busy(refuses(why))),
            Refused::Passing(why) => Err(Trouble::Passing(refuses(why))),
            Refused::Final(why) => Err(Trouble::Final(refuses(why))),
        }
    }

    /// The venue does not show what is mirrored.
    fn is_behind(&self, mirror: &Mirror) -> Trouble {
        let last = mirror.last_sequence();
        match self.signer {
            Some(_) => Trouble::Final(anyhow!(
                "the venue's journal ends before record {last}, which is mirrored: it has lost records or given them up. \
                 Keep this mirror as evidence, ask the venue, and mirror into another directory"
            )),
            None => Trouble::Passing(anyhow!("the public is not shown more than record {last} yet, which is mirrored")),
        }
    }
}

/// A watcher's query: who asks and when, and the signature over all of it.
pub(crate) fn signed_query((key, api_key): (&SigningKey, &str), method: &str, asked: &str) -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let query = format!("method={method}&apiKey={api_key}&{asked}&timestamp={}", since.as_millis());
    let signature = BASE64.encode(key.sign(query.as_bytes()).to_bytes());
    // Base64 in a query: of its characters only these mean something else there.
    let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("{query}&signature={signature}")
}

/// Refuses plain text to other machines: whoever is on the way could change nothing, but read all of it.
fn check_url(url: &str) -> Result<()> {
    if url.starts_with("https://") {
        return Ok(());
    }
    let Some(rest) = url.strip_prefix("http://") else { bail!("{url} begins with neither https:// nor http://") };
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    ensure!(is_here, "{url} is plain text to another machine: take https://");
    Ok(())
}

fn read_roots(path: &Path) -> Result<RootCerts> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut roots = Vec::new();
    for item in parse_pem(&text) {
        if let PemItem::Certificate(certificate) = item.with_context(|| format!("{} is no PEM", path.display()))? {
            roots.push(certificate);
        }
    }
    ensure!(!roots.is_empty(), "there is no certificate in {}", path.display());
    Ok(RootCerts::new_with_certs(&roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_goes_to_this_machine_only() {
        for good in ["https://venue.example", "http://127.0.0.1:9084", "http://[::1]:9084/", "http://localhost"] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in ["http://venue.example", "http://10.0.0.1:9084", "http://127.0.0.1.example:80", "ftp://x", "venue"] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
