//! The Unix socket of the operators: what they decide, signed, journaled, with a reason.
//!
//! One JSON line asks, one JSON line answers. A decision carries its signed text; the node checks the signature against
//! the role's key from the genesis, and the journal keeps it as evidence. The socket is the owner's alone (0600).
//! Bounds: a line is at most 1 MiB, a connection has five seconds, one is served at a time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use lakh_engine::command::{AdminAuthority, Command, Genesis};
use lakh_gateway::auth::evidence::{Evidence, SignedText};
use lakh_gateway::directory::Directory;
use lakh_gateway::hand_over::{AnswerShape, Input, RequestHandle, SessionHandle, Signal, ToSession};
use lakh_journal::DurabilityWatch;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::admin::RoleNonce;
use crate::keys::{hex, unhex};
use crate::settlement::SettlementStatus;
use crate::settlement_link::{Exchange, Exchanged, SettlementLink};
use crate::{admin, audit};

/// A decision is short; what `lakh settle` says may hold proofs of many assets.
const LINE_BYTES: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(5);
/// What an operator's evidence names as its method.
pub(crate) const METHOD: &str = "ctl";

/// What `lakh ctl` asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", tag = "ask")]
enum Request {
    /// How the node is.
    Status,
    /// A decision, signed by each of its roles.
    Decide { text: String, signatures: Vec<String> },
    /// What `lakh settle` has to say.
    Settle { exchange: Box<Exchange> },
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
    Settled(Exchanged),
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
    /// Where settlement runs in another process.
    pub(crate) link: Option<SettlementLink>,
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
            Ok(Request::Decide { text, signatures }) => match self.decide(&text, &signatures) {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Error(format!("{error:#}")),
            },
            Ok(Request::Settle { exchange }) => match self.settle(*exchange) {
                Ok(exchanged) => Answer::Settled(exchanged),
                Err(error) => Answer::Error(format!("{error:#}")),
            },
            Err(error) => Answer::Error(format!("not a request: {error}")),
        };
        (&connection).write_all(format!("{}\n", serde_json::to_string(&answer)?).as_bytes())?;
        Ok(())
    }

    fn settle(&mut self, exchange: Exchange) -> Result<Exchanged> {
        let link = self.link.as_mut().context("this node settles by itself, or not at all")?;
        link.exchange(exchange)
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
            settlement: self.settlement.as_ref().map(|status| status.lock().current()),
        }
    }

    /// Checks a decision that one role or two have signed, has it journaled and applied, and waits until that is durable.
    fn decide(&mut self, text: &str, signatures: &[String]) -> Result<()> {
        let command = admin::parse(text, &self.directory)?;
        let roles = match command.authority {
            AdminAuthority::Role { role, nonce } => vec![RoleNonce { role, nonce }],
            AdminAuthority::TwoRoles { role, nonce, second_role, second_nonce } => {
                vec![RoleNonce { role, nonce }, RoleNonce { role: second_role, nonce: second_nonce }]
            }
            AdminAuthority::Genesis | AdminAuthority::Node => bail!("only roles decide here"),
        };
        ensure!(signatures.len() == roles.len(), "each role of the text signs it once");
        let mut signed = Vec::new();
        for (role, signature) in roles.iter().zip(signatures) {
            let signature = BASE64.decode(signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
            signed.push((self.role_key(role.role)?, signature.context("the signature is 64 bytes in base64")?));
        }
        for (public_key, signature) in &signed {
            let signed = SignedText { method: METHOD, text: text.as_bytes(), public_key, signature };
            audit::verified_admin(&signed, &self.directory)?;
        }
        self.submit(Command::Admin(command), evidence(text, &signed)?, &roles)
    }

    fn role_key(&self, role: u8) -> Result<[u8; 32]> {
        let key = self.genesis.role_keys.get(usize::from(role)).filter(|key| **key != [0; 32]);
        key.copied().with_context(|| format!("there is no role {role}"))
    }

    /// Hands a decision to the sequencer and waits for its answer.
    fn submit(&mut self, command: Command, evidence: Bytes, roles: &[RoleNonce]) -> Result<()> {
        let (session, mut outbox) = SessionHandle::new(1);
        let handle = Some(RequestHandle { session, request: 0, shape: AnswerShape::Empty });
        ensure!(
            self.input.push(Input::Command { command, evidence, handle }).is_ok(),
            "the node is overloaded; try again"
        );
        self.signal.notify();
        match outbox.blocking_recv() {
            Some(ToSession::Answer { outcome, .. }) => {
                // A refused decision of the right nonces has used them up all the same; one with a wrong nonce has not.
                let next = |role: &RoleNonce| role.nonce == self.role_nonces[usize::from(role.role)] + 1;
                if outcome.is_ok() || roles.iter().all(next) {
                    for RoleNonce { role, nonce } in roles {
                        self.role_nonces[usize::from(*role)] = *nonce;
                    }
                }
                outcome.map(drop).map_err(|error| anyhow!("refused: {} ({})", error.message, error.code))
            }
            _ => bail!("the node stopped before it answered; look at the journal"),
        }
    }
}

/// The evidence of a decision's text with the key and the signature of each role.
pub(crate) fn evidence(text: &str, signed: &[([u8; 32], [u8; 64])]) -> Result<Bytes> {
    let text = text.as_bytes();
    let evidence = match signed {
        [(public_key, signature)] => Evidence::Admin(SignedText { method: METHOD, text, public_key, signature }),
        [(public_key, signature), (second_key, second_signature)] => {
            let signed = SignedText { method: METHOD, text, public_key, signature };
            Evidence::TwoAdmins { signed, second_key, second_signature }
        }
        _ => bail!("one role decides, or two"),
    };
    evidence.encode().context("the text is too long")
}

/// Who decides.
pub(crate) struct RoleKey {
    pub(crate) role: u8,
    pub(crate) key: SigningKey,
}

/// Has a node take a decision of one role or two and gives the text that was signed.
pub(crate) fn decide(
    socket: &Path,
    roles: &[RoleKey],
    parameters: &[(String, String)],
    reason: &str,
) -> Result<String> {
    let status = status(socket)?;
    let venue_tag = unhex(&status.venue_tag).context("the node's venue tag is no tag")?;
    let next = |role: &RoleKey| -> Result<RoleNonce> {
        let last = status.role_nonces.get(usize::from(role.role)).context("there is no such role")?;
        Ok(RoleNonce { role: role.role, nonce: last + 1 })
    };
    let nonces = roles.iter().map(next).collect::<Result<Vec<_>>>()?;
    let text = admin::text(venue_tag, &nonces, parameters, reason);
    let sign = |role: &RoleKey| BASE64.encode(role.key.sign(text.as_bytes()).to_bytes());
    let signatures = roles.iter().map(sign).collect();
    match ask(socket, &Request::Decide { text: text.clone(), signatures })? {
        Answer::Done => Ok(text),
        Answer::Error(error) => bail!(error),
        Answer::Status(_) | Answer::Settled(_) => bail!("the node answered something else"),
    }
}

/// How the node on this socket is.
pub(crate) fn status(socket: &Path) -> Result<Status> {
    let Answer::Status(status) = ask(socket, &Request::Status)? else { bail!("the node gave no status") };
    Ok(status)
}

/// Tells the node on this socket what settlement has to say.
pub(crate) fn exchange(socket: &Path, exchange: Exchange) -> Result<Exchanged> {
    match ask(socket, &Request::Settle { exchange: Box::new(exchange) })? {
        Answer::Settled(exchanged) => Ok(exchanged),
        Answer::Error(error) => bail!(error),
        Answer::Status(_) | Answer::Done => bail!("the node answered something else"),
    }
}

fn ask(socket: &Path, request: &Request) -> Result<Answer> {
    let connection = UnixStream::connect(socket).with_context(|| format!("no node listens on {}", socket.display()))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    (&connection).write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes())?;
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    serde_json::from_str(&line).context("the node's answer cannot be read")
}
