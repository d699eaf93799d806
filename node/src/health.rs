//! The operators' port: whether the node is well, for whoever watches it. On loopback, plain text, answers at once.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use lakh_journal::DurabilityWatch;
use parking_lot::Mutex;

use crate::archiver::ArchiverStatus;
use crate::keeper::KeeperStatus;
use crate::settlement::SettlementStatus;

/// What can be well or not.
pub(crate) struct Parts {
    pub(crate) watch: DurabilityWatch,
    pub(crate) keeper: Arc<Mutex<KeeperStatus>>,
    pub(crate) archiver: Option<Arc<Mutex<ArchiverStatus>>>,
    pub(crate) settlement: Option<Arc<Mutex<SettlementStatus>>>,
}

/// Serves `/health` on the current runtime and tells where.
pub(crate) async fn start(listen: SocketAddr, parts: Parts) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("the operators' port cannot listen at {listen}"))?;
    let address = listener.local_addr()?;
    let parts = Arc::new(parts);
    let router = Router::new().route(
        "/health",
        get(move || {
            let parts = Arc::clone(&parts);
            async move { health(&parts) }
        }),
    );
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the operators' port has closed: {error}");
        }
    });
    Ok(address)
}

/// 200 while the journal takes records and says what the engine does, 503 once it has stopped or the keeper has found
/// otherwise. Settlement that waits or has stopped is said and is no reason for 503: trading goes on without it, or has
/// been closed for good with the reason journaled.
fn health(parts: &Parts) -> (StatusCode, String) {
    let durable_sequence = parts.watch.durable_sequence();
    let (mut status, journal) = match parts.watch.stopped() {
        None => (StatusCode::OK, "running".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    let keeper = parts.keeper.lock().clone();
    if keeper.has_diverged {
        status = StatusCode::SERVICE_UNAVAILABLE;
    }
    let mut answer = serde_json::json!({ "journal": journal, "durableSequence": durable_sequence, "keeper": keeper });
    if let Some(archiver) = &parts.archiver {
        answer["archiver"] = serde_json::json!(*archiver.lock());
    }
    if let Some(settlement) = &parts.settlement {
        answer["settlement"] = serde_json::json!(*settlement.lock());
    }
    (status, format!("{answer}\n"))
}
