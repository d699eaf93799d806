//! The server that only answers, as a process of its own: [`lakh_loadtest::null_venue`].

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use lakh_loadtest::null_venue::{self, NullConduct};
use serde::{Deserialize, Serialize};

use crate::run::runtime;

/// What it says once it listens.
#[derive(Debug, Deserialize, Serialize)]
struct Ready {
    websocket: String,
    binary: SocketAddr,
}

/// A running one; ended when dropped.
pub(super) struct NullServer {
    child: Child,
    ready: Ready,
}

impl NullServer {
    /// Starts this program as one.
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["load", "--serve-null"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("the null server does not start")?;
        let said = child.stdout.take().context("its output was asked for")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Self { child, ready }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error).context("the null server said what is no address")
            }
        }
    }

    pub(super) fn websocket(&self) -> &str {
        &self.ready.websocket
    }

    pub(super) const fn binary(&self) -> SocketAddr {
        self.ready.binary
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `lakh load --serve-null`.
pub(super) fn serve() -> Result<()> {
    runtime()?.block_on(async {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let websocket = tokio::net::TcpListener::bind(any).await?;
        let binary = tokio::net::TcpListener::bind(any).await?;
        let ready = Ready { websocket: format!("ws://{}/", websocket.local_addr()?), binary: binary.local_addr()? };
        println!("{}", serde_json::to_string(&ready)?);
        Ok(null_venue::serve(websocket, binary, NullConduct::Good).await?)
    })
}
