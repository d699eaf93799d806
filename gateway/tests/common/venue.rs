//! A gateway on a real loopback socket, with a small thread in place of the sequencer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use lakh_engine::command::{Command, Mode};
use lakh_gateway::client::Client;
use lakh_gateway::counters::Counters;
use lakh_gateway::hand_over::{Input, Signal, ToSession};
use lakh_gateway::server::{Gateway, GatewayOptions, SecureListener, Wiring};
use lakh_gateway::signal::alone;
use lakh_gateway::tls::Tls;
use rtrb::{Consumer, RingBuffer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::directory;

/// A gateway with what stands behind it.
pub(crate) struct Venue {
    pub(crate) gateway: Gateway,
    stop: Arc<AtomicBool>,
    signal: Arc<Signal>,
    sequencer: JoinHandle<Vec<String>>,
}

impl Venue {
    pub(crate) async fn start(change: impl FnOnce(&mut GatewayOptions)) -> Self {
        Self::start_with(change, None).await
    }

    /// A venue that listens with TLS too.
    pub(crate) async fn start_with(change: impl FnOnce(&mut GatewayOptions), tls: Option<Tls>) -> Self {
        let mut options = GatewayOptions::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        change(&mut options);
        let (producer, consumer) = RingBuffer::new(1_024);
        let (stop, signal) = (Arc::new(AtomicBool::new(false)), Arc::new(Signal::new()));
        let (thread_stop, thread_signal) = (Arc::clone(&stop), Arc::clone(&signal));
        let sequencer = std::thread::spawn(move || alone(sequence(consumer, &thread_signal, &thread_stop)));
        let directory = directory(Mode::Run);
        let secure = tls.map(|tls| SecureListener { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), tls });
        let counters = Arc::new(Counters::default());
        let to_sequencer = vec![producer];
        let wiring = Wiring {
            to_sequencer,
            sequencer_signal: Arc::clone(&signal),
            directory,
            counters,
            secure,
            secure_binary: None,
        };
        let gateway = Gateway::start(options, wiring).await.unwrap();
        Self { gateway, stop, signal, sequencer }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.gateway.address()).await.unwrap()
    }

    /// Ends everything; what the sequencer saw, in order.
    pub(crate) async fn end(self) -> Vec<String> {
        self.gateway.shutdown().await;
        self.stop.store(true, Ordering::Release);
        self.signal.notify();
        self.sequencer.join().unwrap()
    }
}

/// Answers every input with something canned, and each subscription with one message more.
async fn sequence(mut ring: Consumer<Input>, signal: &Signal, stop: &AtomicBool) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        signal.wait(|| !ring.is_empty() || stop.load(Ordering::Acquire)).await;
        while let Ok(input) = ring.pop() {
            let (name, handle) = match input {
                Input::Command { command: command @ Command::SessionEnded { .. }, handle, .. } => {
                    (format!("{command:?}"), handle.unwrap())
                }
                Input::Command { handle, .. } => ("command".to_owned(), handle.unwrap()),
                Input::Read { read, handle } => (format!("{read:?}"), handle),
            };
            handle.answer(Ok(Bytes::from_static(b"{\"canned\":true}")));
            if name.starts_with("SubscribeStreams") {
                handle.session.deliver(ToSession::Message(Bytes::from_static(b"{\"stream\":\"message\"}")));
            }
            seen.push(name);
        }
        if stop.load(Ordering::Acquire) {
            return seen;
        }
    }
}

/// Sends a request as it stands and gives back all that comes until the end of the connection.
pub(crate) async fn http(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}
