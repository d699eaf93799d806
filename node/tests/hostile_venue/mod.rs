//! A server that gives out a journal at rest as a venue does, but for one lie.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::io::{BufRead as _, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use lakh_journal::horizon::{Horizon, Limit, Piece, Position};

/// Bytes of one answer.
const ANSWER_BYTES: u64 = 256 * 1_024;

/// The lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tampering {
    None,
    /// One bit of the byte there.
    FlippedByte {
        segment: u64,
        offset: u64,
    },
    /// The block there is not sent.
    LeftOut {
        segment: u64,
        offset: u64,
    },
    /// Answers hold nothing.
    Empty,
    /// Answers say that they are longer than they are.
    BrokenOff,
    /// An error that goes on for megabytes.
    EndlessRefusal,
    /// To another machine.
    Redirect,
}

/// A running server; it ends with the test.
pub(crate) struct HostileVenue {
    address: SocketAddr,
    state: Arc<Mutex<(PathBuf, Tampering)>>,
}

impl HostileVenue {
    /// Serves the journal in `directory`.
    pub(crate) fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new((directory.to_owned(), Tampering::None)));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (directory, tampering) = shared.lock().unwrap().clone();
                // A client that does not like what it gets hangs up.
                let _ = answer(stream, &directory, tampering);
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn tamper(&self, tampering: Tampering) {
        self.state.lock().unwrap().1 = tampering;
    }

    /// Serves another journal from here on.
    pub(crate) fn serve(&self, directory: &Path) {
        directory.clone_into(&mut self.state.lock().unwrap().0);
    }
}

fn answer(mut stream: TcpStream, directory: &Path, tampering: Tampering) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap()?;
    while !lines.next().unwrap()?.is_empty() {}
    let number = |name: &str| -> u64 {
        let (_, rest) = request.split_once(&format!("{name}=")).unwrap();
        rest.split(['&', ' ']).next().unwrap().parse().unwrap()
    };
    let at = Position { segment: number("segment"), offset: number("offset") };
    match tampering {
        Tampering::EndlessRefusal => {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 1000000000\r\n\r\n")?;
            loop {
                stream.write_all(&[b'x'; 65_536])?;
            }
        }
        Tampering::Redirect => {
            return stream.write_all(
                b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
        _ => {}
    }
    let mut horizon = Horizon::open(directory).unwrap();
    while horizon.advance(Limit { through_sequence: u64::MAX, sealed_through_ns: u64::MAX }).unwrap() {}
    let (status, mut body) = match horizon.piece(at, ANSWER_BYTES).unwrap() {
        Piece::Bytes(_) if tampering == Tampering::Empty => ("200 OK", Vec::new()),
        Piece::Bytes(mut piece) => ("200 OK", piece.next(usize::MAX).unwrap()),
        Piece::NotYet => ("204 No Content", Vec::new()),
        Piece::Gone { oldest } => {
            ("410 Gone", format!("{{\"code\":-2105,\"data\":{{\"oldest\":{oldest}}}}}").into_bytes())
        }
        Piece::Beyond => ("416 Range Not Satisfiable", b"{\"code\":-2106}".to_vec()),
    };
    if let Tampering::FlippedByte { segment, offset } = tampering
        && segment == at.segment
        && (at.offset..at.offset + body.len() as u64).contains(&offset)
    {
        body[usize::try_from(offset - at.offset).unwrap()] ^= 1;
    }
    if let Tampering::LeftOut { segment, offset } = tampering
        && segment == at.segment
        && (at.offset..at.offset + body.len() as u64).contains(&offset)
    {
        let start = usize::try_from(offset - at.offset).unwrap();
        let size = u32::from_le_bytes(body[start + 8..start + 12].try_into().unwrap());
        body.drain(start..start + size as usize);
    }
    let length = body.len() + if tampering == Tampering::BrokenOff { 10 } else { 0 };
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\n")?;
    if status != "204 No Content" {
        write!(stream, "content-length: {length}\r\n")?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&body)
}
