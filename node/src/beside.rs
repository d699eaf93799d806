//! Everything that runs beside the venue and follows its journal: settlement, keeper, notary, archiver, and who gives it
//! to watchers.
//!
//! None of them is asked anything by the threads that trade, and none of them holds those up.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use lakh_config::Config;
use lakh_gateway::directory::Directory;
use lakh_gateway::proofs::ProofDesk;
use lakh_gateway::server::GatewayWatch;
use lakh_journal::DurabilityWatch;
use parking_lot::Mutex;

use crate::archiver::Archiver;
use crate::background::BackgroundThread;
use crate::journal_feed::{FeedPlan, FeedThread};
use crate::keeper::{Keeper, KeeperPlan, KeeperStart};
use crate::node_commands::NodeCommands;
use crate::notary::{NotaryPlan, NotaryStart, NotaryThread};
use crate::operators_port::Watched;
use crate::settlement::{SettlementMode, SettlementStatus, SettlementThread};
use crate::settlement_link::SettlementLink;

/// What is to run, and from where on.
pub(crate) struct Plans {
    pub(crate) settlement: Option<SettlementMode>,
    pub(crate) keeper: (KeeperPlan, KeeperStart),
    pub(crate) notary: (Option<NotaryPlan>, NotaryStart),
    pub(crate) feed: FeedPlan,
}

/// By what they reach the venue: the names that everybody knows, and a ring each for those who may decide something.
pub(crate) struct Reach {
    pub(crate) directory: Arc<Directory>,
    pub(crate) from_settlement: NodeCommands,
    pub(crate) from_keeper: NodeCommands,
}

/// See the module.
pub(crate) struct Beside {
    settlement: Option<SettlementThread>,
    settlement_status: Option<Arc<Mutex<SettlementStatus>>>,
    keeper: Keeper,
    notary: Option<NotaryThread>,
    archiver: Option<Archiver>,
    feed: Option<FeedThread>,
}

impl Beside {
    /// Begins all of it. Where settlement runs apart, its end of the control socket is handed back.
    pub(crate) fn start(
        config: &Config,
        plans: Plans,
        reach: Reach,
        desk: &mut ProofDesk,
    ) -> Result<(Self, Option<SettlementLink>)> {
        let Reach { directory, from_settlement, from_keeper } = reach;
        let (mut settlement, mut link, mut settlement_status) = (None, None, None);
        match plans.settlement {
            None => {}
            Some(SettlementMode::Here(plan)) => {
                let thread = SettlementThread::start(*plan, Arc::clone(&directory), from_settlement, desk)?;
                settlement_status = Some(Arc::clone(&thread.status));
                settlement = Some(thread);
            }
            Some(SettlementMode::Apart) => {
                let end = SettlementLink::new(Arc::clone(&directory), from_settlement, desk);
                settlement_status = Some(end.status());
                link = Some(end);
            }
        }
        let (plan, start) = plans.notary;
        let notary = NotaryThread::start(plan, start, desk)?;
        let (plan, start) = plans.keeper;
        let keeper = Keeper::start(plan, start, directory, from_keeper)?;
        let archiver = Archiver::start(config)?;
        let feed = FeedThread::start(config, plans.feed)?;
        Ok((Self { settlement, settlement_status, keeper, notary, archiver, feed }, link))
    }

    /// How settlement stands, where there is any.
    pub(crate) fn settlement_status(&self) -> Option<Arc<Mutex<SettlementStatus>>> {
        self.settlement_status.clone()
    }

    /// Where the journal is given out, in plain text and with TLS, if it is.
    pub(crate) fn feed_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let feed = self.feed.as_ref();
        (feed.map(|feed| feed.address), feed.and_then(|feed| feed.secure_address))
    }

    /// What the operators' port tells of.
    pub(crate) fn watched(&self, journal: DurabilityWatch, gateway: GatewayWatch) -> Watched {
        Watched {
            journal,
            gateway,
            keeper: Arc::clone(&self.keeper.status),
            archiver: self.archiver.as_ref().map(|archiver| Arc::clone(&archiver.status)),
            settlement: self.settlement_status(),
            feed: self.feed.as_ref().map(|feed| feed.watch.clone()),
            notary: self.notary.as_ref().map(|notary| Arc::clone(&notary.signed)),
        }
    }

    /// A thread that has died, if one has without which the venue must not go on. Watchers can wait.
    pub(crate) fn dead(&self) -> Option<&'static str> {
        let threads = [
            ("settlement thread", self.settlement.as_ref().map(|settlement| &settlement.thread)),
            ("keeper", Some(&self.keeper.thread)),
            ("notary", self.notary.as_ref().map(|notary| &notary.thread)),
            ("archiver", self.archiver.as_ref().map(|archiver| &archiver.thread)),
        ];
        let dead = threads.iter().find(|(_, thread)| thread.is_some_and(BackgroundThread::has_died));
        dead.map(|(name, _)| *name)
    }

    /// Ends what still has something to say to the sequencer.
    pub(crate) fn stop_settlement(&mut self) {
        self.settlement.take().into_iter().for_each(SettlementThread::stop);
    }

    /// Ends the rest, once the journal is closed.
    pub(crate) fn stop(self) {
        self.keeper.stop();
        self.notary.into_iter().for_each(NotaryThread::stop);
        self.archiver.into_iter().for_each(Archiver::stop);
        self.feed.into_iter().for_each(FeedThread::stop);
    }
}
