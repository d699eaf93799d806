//! The Unix socket of the operators: what they decide, signed, journaled, with a reason.
//!
//! One JSON line asks, one JSON line answers. A decision carries its signed text; the node checks the signature against
//! the role's key from the genesis, and the journal keeps it as evidence. The socket is the owner's alone (0600).
//! Bounds: a line is at most 4 KiB, a connection has five seconds, one is served at a time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_engine::command::{AdminAuthority, Command, Genesis};
use lakh_gateway::auth::evidence::{Evidence, SignedText};
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{AnswerShape, Input, RequestHandle, SessionHandle, Signal, ToSession};
use lakh_journal::DurabilityWatch;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::keys::{hex, unhex};
use crate::settlement::SettlementStatus;
use crate::{admin, audit};

const LINE_BYTES: u64 = 4_096;
const PATIENCE: Duration = Duration::from_secs(5);
/// What an operator's evidence names as its method.
const METHOD: &str = "ctl";

/// What `lakh ctl` asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "ask")]
enum Request {
    /// How the node is.
    Status,
    /// A signed decision.
    Decide { text: String, signature: String },
}

/// What the node answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) venue_tag: String,
    pub(crate) durable_sequence: u64,
    /// Last used nonce of each role.
    pub(crate) role_nonces: Vec<u64>,
    pub(crate) markets: Vec<(String, String)>,
    /// Symbol, decimals and chain units in one atom of each asset, by number.
    #[serde(default)]
    pub(crate) assets: Vec<(String, u8, u64)>,
    /// How settlement stands; nothing where there is no contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settlement: Option<SettlementStatus>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Status(Status),
    Done,
    Error(String),
}

/// The node's end of the socket.
pub(crate) struct ControlServer {
    pub(crate) genesis: Genesis,
    pub(crate) role_nonces: [u64; Genesis::ROLES],
    pub(crate) directory: Arc<Directory>,
    pub(crate) watch: DurabilityWatch,
    pub(crate) input: rtrb::Producer<Input>,
    pub(crate) signal: Arc<Signal>,
    pub(crate) settlement: Option<Arc<Mutex<SettlementStatus>>>,
}

impl ControlServer {
    /// Binds the socket and serves it on a thread of its own, as long as the process lives.
    pub(crate) fn start(mut self, path: &Path) -> Result<()> {
        if UnixStream::connect(path).is_ok() {
            bail!("another node listens on {}", path.display());
        }
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).with_context(|| format!("{} cannot be bound", path.display()))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let serve = move || {
            for connection in listener.incoming().flatten() {
                if let Err(error) = self.serve(connection) {
                    tracing::warn!("an operator's connection ended early: {error:#}");
                }
            }
        };
        std::thread::Builder::new().name("control".to_owned()).spawn(serve)?;
        Ok(())
    }

    fn serve(&mut self, connection: UnixStream) -> Result<()> {
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new((&connection).take(LINE_BYTES)).read_line(&mut line)?;
        let answer = match serde_json::from_str(&line) {
            Ok(Request::Status) => Answer::Status(self.status()),
            Ok(Request::Decide { text, signature }) => match self.decide(&text, &signature) {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Error(format!("{error:#}")),
            },
            Err(error) => Answer::Error(format!("not a request: {error}")),
        };
        (&connection).write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes())?;
        Ok(())
    }

    fn status(&self) -> Status {
        let markets = self.directory.markets();
        Status {
            venue_tag: hex(&self.directory.venue_tag()),
            durable_sequence: self.watch.durable_sequence(),
            role_nonces: self.role_nonces.to_vec(),
            markets: markets
                .iter()
                .map(|entry| (entry.spec.symbol.to_string(), format!("{:?}", entry.state)))
                .collect(),
            assets: self
                .directory
                .assets()
                .iter()
                .map(|asset| (asset.symbol.to_string(), asset.decimals, asset.chain_units_per_atom))
                .collect(),
            settlement: self.settlement.as_ref().map(|status| status.lock().clone()),
        }
    }

    /// Checks a signed decision, has it journaled and applied, and waits until that is durable.
    fn decide(&mut self, text: &str, signature: &str) -> Result<()> {
        let command = admin::parse(text, &self.directory)?;
        let AdminAuthority::Role { role, nonce } = command.authority else { bail!("only roles decide here") };
        let public_key = self.genesis.role_keys.get(usize::from(role)).filter(|key| **key != [0; 32]);
        let public_key = public_key.with_context(|| format!("there is no role {role}"))?;
        let signature = BASE64.decode(signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let signature = signature.context("the signature is 64 bytes in base64")?;
        let signed = SignedText { method: METHOD, text: text.as_bytes(), public_key, signature: &signature };
        audit::verified_admin(&signed, &self.directory)?;
        let evidence = Evidence::Admin(signed).encode().context("the text is too long")?;
        let (session, mut outbox) = SessionHandle::new(1);
        let handle = Some(RequestHandle { session, request: 0, shape: AnswerShape::Empty });
        let command = Command::Admin(command);
        ensure!(
            self.input.push(Input::Command { command, evidence, handle }).is_ok(),
            "the node is overloaded; try again"
        );
        self.signal.notify();
        match outbox.blocking_recv() {
            Some(ToSession::Answer { outcome: Ok(_), .. }) => {
                self.role_nonces[usize::from(role)] = nonce;
                Ok(())
            }
            Some(ToSession::Answer { outcome: Err(error), .. }) => {
                // A refused decision of the right nonce has used it up all the same; one with a wrong nonce has not.
                if nonce == self.role_nonces[usize::from(role)] + 1 {
                    self.role_nonces[usize::from(role)] = nonce;
                }
                bail!("refused: {} ({})", error.message, error.code)
            }
            _ => bail!("the node stopped before it answered; look at the journal"),
        }
    }
}

/// Who decides.
pub(crate) struct RoleKey {
    pub(crate) role: u8,
    pub(crate) key: SigningKey,
}

/// Has a node take a decision and gives the text that was signed.
pub(crate) fn decide(socket: &Path, role: &RoleKey, parameters: &[(String, String)], reason: &str) -> Result<String> {
    let status = status(socket)?;
    let venue_tag = unhex(&status.venue_tag).context("the node's venue tag is no tag")?;
    let nonce = status.role_nonces.get(usize::from(role.role)).context("there is no such role")? + 1;
    let text = admin::text(venue_tag, role.role, nonce, parameters, reason);
    let signature = BASE64.encode(role.key.sign(text.as_bytes()).to_bytes());
    match ask(socket, &Request::Decide { text: text.clone(), signature })? {
        Answer::Done => Ok(text),
        Answer::Error(error) => bail!(error),
        Answer::Status(_) => bail!("the node answered something else"),
    }
}

/// How the node on this socket is.
pub(crate) fn status(socket: &Path) -> Result<Status> {
    let Answer::Status(status) = ask(socket, &Request::Status)? else { bail!("the node gave no status") };
    Ok(status)
}

fn ask(socket: &Path, request: &Request) -> Result<Answer> {
    let connection = UnixStream::connect(socket).with_context(|| format!("no node listens on {}", socket.display()))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    (&connection).write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes())?;
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    serde_json::from_str(&line).context("the node's answer cannot be read")
}
