//! The thread that gives the journal to watchers and to the public: of the lowest priority, with a runtime of its own.
//!
//! It reads the journal's files and nothing else of the venue but how far it has come. What it costs comes out of what
//! trading leaves over; where it cannot go on, trading does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use lakh_config::{Config, PublicJournal, WatchersConfig};
use lakh_gateway::auth::signature::VerifyingKey;
use lakh_gateway::directory::Directory;
use lakh_gateway::journal_feed::{FeedOptions, FeedWatch, JournalFeed, Progress, PublicAccess};
use lakh_gateway::server::SecureListener;
use lakh_gateway::tls::Tls;
use lakh_journal::DurabilityWatch;

use crate::background::{BackgroundThread, StopRequest};
use crate::keys::hex;
use crate::node_tls::NodeTls;
use crate::sequencer::now;

/// Between two looks whether the thread is to end.
const STOP_LOOK: Duration = Duration::from_millis(50);
/// How long a stop waits.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// What the thread needs to know of the venue.
pub(crate) struct FeedPlan {
    /// How far the journal is durable.
    journal: DurabilityWatch,
    /// How far the chain's final batches reach.
    directory: Arc<Directory>,
    /// What is shown to whoever connects with TLS.
    tls: Option<Tls>,
}

impl FeedPlan {
    /// Of a venue whose journal is open.
    pub(crate) fn of(journal: &DurabilityWatch, directory: &Arc<Directory>, tls: Option<&NodeTls>) -> Self {
        let tls = tls.map(|tls| tls.tls.clone());
        Self { journal: journal.clone(), directory: Arc::clone(directory), tls }
    }
}

/// A running feed.
pub(crate) struct FeedThread {
    pub(crate) thread: BackgroundThread,
    pub(crate) address: SocketAddr,
    pub(crate) secure_address: Option<SocketAddr>,
    pub(crate) watch: FeedWatch,
}

/// What the thread says once it listens.
type Listening = (SocketAddr, Option<SocketAddr>, FeedWatch);

impl FeedThread {
    /// Begins, where the configuration says so. The journal must be durable up to here.
    pub(crate) fn start(config: &Config, plan: FeedPlan) -> Result<Option<Self>> {
        let Some(watchers) = &config.watchers else { return Ok(None) };
        let options = options(config, watchers)?;
        let FeedPlan { journal, directory, tls } = plan;
        let secure = watchers.tls_listen.zip(tls).map(|(listen, tls)| SecureListener { listen, tls });
        let progress = Progress {
            // On stable storage, too: a mirror must not know what a power cut can still take.
            durable: Box::new(move || journal.durable_sequence().min(journal.stable_sequence())),
            last_final: Box::new(move || directory.chain().final_through().0),
        };
        let listen = watchers.listen;
        let (says, said) = sync_channel(1);
        let thread = BackgroundThread::start("watchers", move |stop| {
            let bind = || JournalFeed::bind(options, progress, listen, secure).map_err(anyhow::Error::from);
            run(bind, &stop, &says);
        })?;
        let (address, secure_address, watch) = said.recv().context("the watchers' thread has died")??;
        Ok(Some(Self { thread, address, secure_address, watch }))
    }

    /// Asks the thread to end and waits a little. Readers go on behind what they have at the next start.
    pub(crate) fn stop(self) {
        self.thread.stop(STOP_PATIENCE);
    }
}

/// Binds on a runtime of this thread's own, says where, and serves until the stop.
fn run(bind: impl FnOnce() -> Result<JournalFeed>, stop: &StopRequest, says: &SyncSender<Result<Listening>>) {
    let say = |what| {
        // Whoever has started the thread waits for exactly this.
        let _ = says.send(what);
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return say(Err(anyhow!("the watchers' runtime cannot start: {error}"))),
    };
    runtime.block_on(async {
        let feed = match bind() {
            Ok(feed) => feed,
            Err(error) => return say(Err(error)),
        };
        say(Ok((feed.address(), feed.secure_address(), feed.watch())));
        let end = async {
            while !stop.is_made() {
                tokio::time::sleep(STOP_LOOK).await;
            }
        };
        feed.serve(end).await;
    });
}

fn options(config: &Config, watchers: &WatchersConfig) -> Result<FeedOptions> {
    let keys = config.watcher_keys.iter().map(|watcher| {
        let key = VerifyingKey::from_bytes(&watcher.public_key);
        let key = key.with_context(|| format!("watcher {}: {}", watcher.name, hex(&watcher.public_key)))?;
        Ok((watcher.name.clone(), key))
    });
    Ok(FeedOptions {
        directory: config.journal.directory.clone(),
        venue_tag: config.exchange.venue_tag,
        mode: config.exchange.mode,
        watchers: keys.collect::<Result<_>>()?,
        connections_per_watcher: watchers.connections_per_key as usize,
        bytes_per_second_per_watcher: watchers.bytes_per_second_per_key,
        public: match watchers.public {
            PublicJournal::Never => PublicAccess::Never,
            PublicJournal::Final => PublicAccess::WhenFinal,
            PublicJournal::Delayed => PublicAccess::Delayed(Duration::from_secs(u64::from(watchers.public_delay_s))),
        },
        public_connections: watchers.public_connections as usize,
        public_connections_per_address: watchers.public_connections_per_address,
        public_bytes_per_second: watchers.public_bytes_per_second,
        patience: Duration::from_millis(u64::from(watchers.patience_ms)),
        clock: now,
    })
}
