//! The operators' port: whether the node is well, for whoever watches it. On loopback, plain text, answers at once.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use lakh_journal::DurabilityWatch;
use parking_lot::Mutex;

use crate::settlement::SettlementStatus;

/// Serves `/health` on the current runtime and tells where.
pub(crate) async fn start(
    listen: SocketAddr,
    watch: DurabilityWatch,
    settlement: Option<Arc<Mutex<SettlementStatus>>>,
) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("the operators' port cannot listen at {listen}"))?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/health", get(move || async move { health(&watch, settlement.as_deref()) }));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the operators' port has closed: {error}");
        }
    });
    Ok(address)
}

/// 200 while the journal takes records, 503 with the reason once it has stopped. Settlement that waits or has stopped is
/// said and is no reason for 503: trading goes on without it, or has been closed for good with the reason journaled.
fn health(watch: &DurabilityWatch, settlement: Option<&Mutex<SettlementStatus>>) -> (StatusCode, String) {
    let durable_sequence = watch.durable_sequence();
    let (status, journal) = match watch.stopped() {
        None => (StatusCode::OK, "running".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    };
    let mut answer = serde_json::json!({ "journal": journal, "durableSequence": durable_sequence });
    if let Some(settlement) = settlement {
        answer["settlement"] = serde_json::json!(*settlement.lock());
    }
    (status, format!("{answer}\n"))
}
