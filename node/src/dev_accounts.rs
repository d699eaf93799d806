//! What makes the demonstration's accounts tradable once the chain's queue has opened them.
//!
//! A deposit opens an account and the chain registers its key, but a key is pending until it signs for itself; and who
//! wants another evidence than a signature on each request is given that by the demonstration's operator. Both happen
//! over the same doors that anybody uses: the WebSocket API and the control socket.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use ed25519_dalek::SigningKey;
use lakh_config::{GenesisAccount, well_known};
use lakh_engine::command::EvidenceGrade;
use lakh_gateway::directory::KeyStatus;
use lakh_loadtest::client::{Trader, Value};

use crate::control::{self, RoleKey};
use crate::demo_traders::{self, Session};
use crate::keys::unhex;
use crate::pipeline::Node;

/// How long the chain's queue may take to reach the journal.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for each account's keys and activates those that are pending.
pub(crate) async fn activate(node: &Node, socket: &Path, url: &str, accounts: &[GenesisAccount]) -> Result<()> {
    let known = known_traders(node.directory.venue_tag());
    let begun = Instant::now();
    for (account, public_key) in
        accounts.iter().flat_map(|account| account.public_keys.iter().map(move |key| (account, key)))
    {
        let status = loop {
            if let Some(entry) = node.directory.key(public_key) {
                break entry.status;
            }
            if let Some(failure) = node.failure() {
                bail!(failure);
            }
            if begun.elapsed() > PATIENCE {
                bail!("account {} did not arrive from the chain within {PATIENCE:?}", account.account.0);
            }
            tokio::time::sleep(PAUSE).await;
        };
        if status != KeyStatus::Pending {
            continue;
        }
        if account.minimum_evidence != EvidenceGrade::Signed {
            set_policy(socket, account).await?;
        }
        let trader = known.iter().find(|trader| trader.public_key() == *public_key);
        let trader = trader.context("the demonstration has a key whose secret it does not have")?;
        let number = account.account.0.to_string();
        let named = [("method", Value::Text("key.activate")), ("account", Value::Text(&number))];
        Session::open(url, trader.clone()).await?.call("key.activate", &named).await?;
    }
    Ok(())
}

/// Everybody whose secret everybody has.
fn known_traders(venue_tag: [u8; 16]) -> Vec<Trader> {
    let well_known = well_known::KEYS.iter().map(|key| Trader::new(&secret(key), Some(venue_tag)));
    well_known.chain(demo_traders::traders(venue_tag)).collect()
}

fn secret(key: &well_known::WellKnownKey) -> [u8; 32] {
    unhex(key.secret_key_hex).expect("the table's secrets are 32 bytes")
}

/// Has the demonstration's operator decide what evidence the account's requests need.
async fn set_policy(socket: &Path, account: &GenesisAccount) -> Result<()> {
    let evidence = match account.minimum_evidence {
        EvidenceGrade::Delegated => "delegated",
        EvidenceGrade::HeaderKeyed => "header-keyed",
        EvidenceGrade::Signed => "signed",
        EvidenceGrade::Native => "native",
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let account = account.account.0.to_string();
    let parameters = [pair("action", "account-policy"), pair("account", &account), pair("evidence", evidence)];
    let role = RoleKey { role: 0, key: SigningKey::from_bytes(&secret(&well_known::KEYS[4])) };
    let socket = socket.to_owned();
    let decide = move || {
        control::decide(&socket, core::slice::from_ref(&role), &parameters, "configuration of the demonstration")
    };
    tokio::task::spawn_blocking(decide).await?.map(drop)
}
