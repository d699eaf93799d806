//! Everything that runs beside the venue and follows its journal: settlement, keeper, notary, archiver.
//!
//! None of them is asked anything by the threads that trade, and none of them holds those up.

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
        Ok((Self { settlement, settlement_status, keeper, notary, archiver }, link))
    }

    /// How settlement stands, where there is any.
    pub(crate) fn settlement_status(&self) -> Option<Arc<Mutex<SettlementStatus>>> {
        self.settlement_status.clone()
    }

    /// What the operators' port tells of.
    pub(crate) fn watched(&self, journal: DurabilityWatch, gateway: GatewayWatch) -> Watched {
        Watched {
            journal,
            gateway,
            keeper: Arc::clone(&self.keeper.status),
            archiver: self.archiver.as_ref().map(|archiver| Arc::clone(&archiver.status)),
            settlement: self.settlement_status(),
            notary: self.notary.as_ref().map(|notary| Arc::clone(&notary.signed)),
        }
    }

    /// A thread that has died, if one has.
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
    }
}
