//! `lakh run`: the exchange from a configuration file, until it is told to stop.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lakh_config::{Config, Scheduling};
use lakh_engine::command::Mode;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::bring_up::Recovery;
use crate::keys::hex;
use crate::node_tls::NodeTls;
use crate::notary::NotaryPlan;
use crate::pipeline::{Closed, Node, StartOptions};
use crate::scheduling;
use crate::settlement::SettlementMode;

/// Runs an exchange.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Give up records that may have been acknowledged, from this one on: only where a start has refused the journal and
    /// named exactly this record. The journal keeps that it was done.
    #[arg(long, value_name = "SEQUENCE")]
    truncate_at: Option<u64>,
    /// Print one JSON object when ready and one when stopped.
    #[arg(long)]
    json: bool,
    /// Stop when standard input ends, too: so a venue does not outlive who started it for itself.
    #[arg(long, hide = true)]
    until_input_ends: bool,
}

/// What is printed once the doors are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    pub(crate) websocket: String,
    pub(crate) streams: String,
    pub(crate) rest: String,
    /// The same with TLS, where there is a listener for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Doors>,
    pub(crate) binary: String,
    /// The same with TLS, where there is a listener for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binary_tls: Option<String>,
    /// Where the journal is given out, and the same with TLS, where there are listeners for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watchers: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watchers_tls: Option<String>,
    pub(crate) health: String,
    pub(crate) venue_tag: String,
    pub(crate) journal: PathBuf,
    pub(crate) recovery: Recovery,
    pub(crate) sequence: u64,
}

/// The addresses of one listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Doors {
    pub(crate) websocket: String,
    pub(crate) streams: String,
    pub(crate) rest: String,
}

impl Doors {
    /// Of the listener at `address`; `secure` is the letter behind the scheme with TLS, or nothing.
    fn at(address: SocketAddr, secure: &str) -> Self {
        Self {
            websocket: format!("ws{secure}://{address}/ws-api/v3"),
            streams: format!("ws{secure}://{address}/stream"),
            rest: format!("http{secure}://{address}/api/v3"),
        }
    }
}

/// What is printed once everything is drained and closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoppedAt {
    pub(crate) sequence: u64,
    pub(crate) state_hash: String,
    pub(crate) event_digest: String,
}

/// `lakh run`.
pub(crate) fn run(arguments: &RunArguments) -> Result<()> {
    let config = Config::load(&arguments.config)?;
    if config.exchange.mode == Mode::Dev {
        bail!("{} is of mode dev; `lakh dev` runs demonstrations", arguments.config.display());
    }
    venue_runtime(config.gateway.scheduling)?.block_on(async {
        let asked = AskedToStop::listen()?;
        if arguments.until_input_ends {
            asked.listen_to_input()?;
        }
        let mode = config.settlement.as_ref().map(|one| SettlementMode::of(one, &config.journal.directory));
        let notary = config.settlement.as_ref().map(NotaryPlan::of).transpose()?;
        let options = StartOptions { settlement: mode.transpose()?, notary, truncate_at: arguments.truncate_at };
        let node = Node::start(&config, options).await?;
        let ready = ready(&node, &config);
        print_ready(&ready, arguments.json)?;
        wait_for_end(&node, asked, None).await?;
        let closed = node.stop().await?;
        print_closed(&closed, arguments.json)
    })
}

/// The tokio runtime of the gateway: sockets on two workers, and where there are few cores everything that decides.
///
/// A task here may work for a millisecond (a batch of signatures, what a socket has brought), so tasks that others woke
/// and sockets that have something are looked for after a few of them, not after tokio's sixty.
///
/// # Errors
/// The system starts no threads, or none that are scheduled so.
pub(crate) fn venue_runtime(scheduling: Scheduling) -> Result<tokio::runtime::Runtime> {
    scheduling::check(scheduling).context("gateway.scheduling = \"real_time\"")?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).event_interval(4).global_queue_interval(2).thread_name("gateway").enable_all();
    builder.on_thread_start(scheduling::at_start(scheduling));
    builder.build().context("the runtime cannot start")
}

/// The same for everybody else.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    venue_runtime(Scheduling::Normal)
}

/// What there is to say once the doors are open.
pub(crate) fn ready(node: &Node, config: &Config) -> Ready {
    let Doors { websocket, streams, rest } = Doors::at(node.address(), "");
    let (feed, secure_feed) = node.feed_addresses();
    Ready {
        websocket,
        streams,
        rest,
        tls: node.secure_address().map(|address| Doors::at(address, "s")),
        binary: format!("tcp://{}", node.binary_address()),
        binary_tls: node.secure_binary_address().map(|address| format!("tls://{address}")),
        watchers: feed.map(|address| format!("http://{address}")),
        watchers_tls: secure_feed.map(|address| format!("https://{address}")),
        health: format!("http://{}/health", node.health),
        venue_tag: hex(&node.directory.venue_tag()),
        journal: config.journal.directory.clone(),
        recovery: node.recovery.clone(),
        sequence: node.watch.durable_sequence(),
    }
}

/// Says it, to people or to a machine.
pub(crate) fn print_ready(ready: &Ready, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(ready)?);
        return Ok(());
    }
    println!("websocket   {}", ready.websocket);
    println!("streams     {}", ready.streams);
    println!("rest        {}", ready.rest);
    if let Some(Doors { websocket, streams, rest }) = &ready.tls {
        println!("with TLS    {websocket}, {streams}, {rest}");
    }
    println!("binary      {}", ready.binary);
    if let Some(binary) = &ready.binary_tls {
        println!("with TLS    {binary}");
    }
    if let Some(watchers) = &ready.watchers {
        println!("watchers    {watchers}");
    }
    if let Some(watchers) = &ready.watchers_tls {
        println!("with TLS    {watchers}");
    }
    println!("health      {}", ready.health);
    println!("venue tag   {}", ready.venue_tag);
    let Recovery { outcome, from_snapshot, replayed, milliseconds, passed_over } = &ready.recovery;
    println!("journal     {} ({outcome}, {} records)", ready.journal.display(), ready.sequence);
    println!("start       {replayed} records behind snapshot {from_snapshot} replayed, {milliseconds} ms");
    passed_over.iter().for_each(|reason| println!("passed over {reason}"));
    Ok(())
}

/// The signals that ask for something. Listened to before the doors open, so that a stop is never a crash.
pub(crate) struct AskedToStop {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Given when standard input ends, where somebody listens to it.
    input_ended: Arc<Notify>,
}

impl AskedToStop {
    /// From here on, Ctrl-C and SIGTERM are requests, and SIGHUP has the certificate read again.
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            input_ended: Arc::default(),
        })
    }

    /// The end of standard input is one from here on.
    ///
    /// # Errors
    /// The system starts no thread.
    fn listen_to_input(&self) -> Result<()> {
        let ended = Arc::clone(&self.input_ended);
        let listen = move || {
            // What comes is of no interest, and an input that fails has ended as well.
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            ended.notify_one();
        };
        std::thread::Builder::new().name("input".to_owned()).spawn(listen)?;
        Ok(())
    }
}

/// Waits until somebody asks for the end, the time is up, or the exchange cannot go on.
pub(crate) async fn wait_for_end(node: &Node, mut asked: AskedToStop, most: Option<Duration>) -> Result<()> {
    let end = async {
        match most {
            Some(most) => tokio::time::sleep(most).await,
            None => core::future::pending().await,
        }
    };
    let failed = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Some(failure) = node.failure() {
                return failure;
            }
        }
    };
    let reading_again = async {
        while asked.hang_up.recv().await.is_some() {
            read_certificate_again(node);
        }
        core::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading_again => Ok(()),
        _ = asked.interrupt.recv() => Ok(()),
        _ = asked.terminate.recv() => Ok(()),
        () = asked.input_ended.notified() => Ok(()),
        () = end => Ok(()),
        failure = failed => bail!(failure),
    }
}

/// A certificate that cannot be used is said, and the one before stays: nobody is served by a venue that ends over it.
fn read_certificate_again(node: &Node) {
    match node.tls.as_ref().map(NodeTls::read_again) {
        Some(Ok(())) => tracing::info!("the certificate was read again"),
        Some(Err(error)) => tracing::error!("the certificate stays as it was: {error:#}"),
        None => tracing::info!("there is no certificate to read again"),
    }
}

/// Says where the journal ends. Who listened may be gone by now, which is an error and no panic.
pub(crate) fn print_closed(closed: &Closed, json: bool) -> Result<()> {
    let Closed { sequence, state_hash, event_digest } = closed.clone();
    let mut out = std::io::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string(&StoppedAt { sequence, state_hash, event_digest })?)?;
    } else {
        writeln!(out, "stopped     at sequence {sequence}, everything durable")?;
        writeln!(out, "state hash  {state_hash}")?;
    }
    Ok(())
}
