//! `kill -9` of `lakh settle` at each of its questions to the chain: before the node gets it, and after the node has answered
//! and before the poster hears of it. Each process that is started then goes on, and nothing is posted twice.
//!
//! The poster speaks to the chain through a proxy of the test, which counts its questions and kills it at the one that it was
//! told. The first process is killed at its first question, and so on, then at its first and second transaction; each has
//! something new to post.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use crate::chains::{on_anvil, on_embedded};
use crate::troubles::{fund, trade};
use crate::venue::Venue;
use crate::wait_for;
use crate::world::{CASH, World};

/// Questions of which a poster dies in turn.
const QUESTIONS: usize = 24;
/// Transactions of a process of which a poster dies in turn: its first and its second.
const TRANSACTIONS: usize = 2;
/// Sends one.
const SEND: &str = "eth_sendRawTransaction";

/// When the poster dies of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    /// The node never hears of it.
    Before,
    /// The node has done it.
    After,
}

/// Who dies, and of which question.
struct Fuse {
    process: Pid,
    /// Questions that are answered before it.
    left: usize,
    /// Only such questions count; all where there is none.
    method: Option<&'static str>,
    when: When,
}

/// A node's JSON-RPC, with a fuse.
#[derive(Default)]
struct Proxy {
    node: String,
    fuse: Mutex<Option<Fuse>>,
    /// What posters died of.
    deaths: Mutex<BTreeSet<(String, When)>>,
}

impl Proxy {
    /// In front of a node, and its own address. It ends with the test's process.
    fn start(node: &str) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Arc::new(Self { node: node.to_owned(), ..Self::default() });
        let serving = Arc::clone(&proxy);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                // Whoever was killed leaves its connection half done.
                let _ = serving.serve(&mut connection.unwrap());
            }
        });
        (proxy, url)
    }

    fn arm(&self, fuse: Fuse) {
        *self.fuse.lock() = Some(fuse);
    }

    /// Counts a question; who dies of it, and when.
    fn burn(&self, method: &str) -> Option<Fuse> {
        let mut fuse = self.fuse.lock();
        if fuse.as_ref()?.method.is_some_and(|counted| counted != method) {
            return None;
        }
        match fuse.as_mut()?.left.checked_sub(1) {
            Some(left) => fuse.as_mut()?.left = left,
            None => return fuse.take(),
        }
        None
    }

    /// Answers one question, or kills whoever asked it.
    fn serve(&self, connection: &mut TcpStream) -> std::io::Result<()> {
        let question = read_body(connection)?;
        let parsed: Json = serde_json::from_slice(&question).unwrap();
        let method = parsed["method"].as_str().unwrap();
        let dying = self.burn(method);
        let kill = |fuse: &Fuse| {
            kill_process(fuse.process, Signal::KILL).unwrap();
            self.deaths.lock().insert((method.to_owned(), fuse.when));
        };
        if let Some(fuse) = dying.as_ref().filter(|fuse| fuse.when == When::Before) {
            kill(fuse);
            return Ok(());
        }
        let request = ureq::post(&self.node).header("content-type", "application/json");
        let mut answer = request.config().http_status_as_error(false).build().send(&question[..]).unwrap();
        let answer = answer.body_mut().with_config().limit(1 << 26).read_to_vec().unwrap();
        if let Some(fuse) = &dying {
            kill(fuse);
            return Ok(());
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        connection.write_all(format!("{head}content-length: {}\r\n\r\n", answer.len()).as_bytes())?;
        connection.write_all(&answer)
    }
}

/// The body of one request, whose length its head tells.
fn read_body(connection: &TcpStream) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(body)
}

fn drill(url: &str) {
    let mut world = World::deploy(url);
    let proxy;
    (proxy, world.url) = Proxy::start(url);
    let venue = Venue::start_apart_in_a_hurry(&world);
    let settler = venue.settle();
    let mut clients = fund(&world, &venue);
    world.await_final(trade(&mut clients));
    settler.kill();
    let all = (0..QUESTIONS).map(|left| (left, None));
    let transactions = (0..TRANSACTIONS).map(|left| (left, Some(SEND)));
    for (left, method) in all.chain(transactions) {
        for when in [When::Before, When::After] {
            trade(&mut clients);
            world.request_withdrawal(1, CASH, 1);
            let mut settler = venue.settle();
            proxy.arm(Fuse { process: settler.process(), left, method, when });
            wait_for("its death", || settler.has_ended().then_some(()));
        }
    }
    let settler = venue.settle();
    world.await_final(trade(&mut clients));
    venue.stop();
    settler.kill();
    venue.assert_audited(url);
    world.assert_posted_once();
    let deaths = proxy.deaths.lock();
    println!("died of {deaths:?}");
    for when in [When::Before, When::After] {
        assert!(deaths.contains(&(SEND.to_owned(), when)) && deaths.contains(&("eth_call".to_owned(), when)));
    }
}

#[test]
fn a_poster_killed_at_each_of_its_questions_posts_everything_once_on_the_embedded_chain() {
    on_embedded(drill);
}

#[test]
fn a_poster_killed_at_each_of_its_questions_posts_everything_once_on_anvil() {
    on_anvil(drill);
}
