//! Who reads the journal: a watcher by his signature, anybody else as the public; and how many of each at once.
//!
//! A request is signed as every request over HTTP is: the query exactly as sent, without `signature`, and good within its
//! receive window. Unlike there the api key stands in the text, which binds it to the venue, and so must `method`, which
//! keeps it from meaning anything at the venue's other doors, where the same key may trade.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use lakh_engine::units::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ADDRESSES, FeedOptions, NEWCOMERS, PIECE_BYTES, PublicAccess};
use crate::api_error::ApiError;
use crate::auth::rest_text::RestText;
use crate::auth::signature::Verdict;
use crate::auth::{parse_api_key, parse_signature};
use crate::limits::{AddressBook, AddressLimits, AddressPermit, Rate, TokenBucket};
use crate::request::{Fields, refusal};
use crate::session::text_error;

/// Bytes that a token of a pace stands for.
const TOKEN_BYTES: u64 = 1_024;

/// For whom a horizon stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    Watchers,
    Public,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// By his number.
    Watcher(usize),
    Public,
}

impl Reader {
    pub(super) const fn audience(self) -> Audience {
        match self {
            Self::Watcher(_) => Audience::Watchers,
            Self::Public => Audience::Public,
        }
    }
}

/// A place among the readers, for as long as it is held.
#[derive(Debug)]
pub(super) enum Seat {
    /// Of somebody who has not said who he is.
    Newcomer { _place: OwnedSemaphorePermit },
    /// Of somebody who has.
    Reader { who: Reader, _place: OwnedSemaphorePermit, _address: Option<AddressPermit> },
}

/// How fast somebody is sent bytes.
#[derive(Debug)]
pub(super) struct Pace(TokenBucket);

impl Pace {
    fn new(bytes_per_second: u32) -> Self {
        let per_second = u64::from(bytes_per_second).div_ceil(TOKEN_BYTES);
        // A piece has to fit, and a quarter of a second's bytes evens out the pauses of a thread that gives way.
        Self(TokenBucket::new(Rate { per_second, burst: (per_second / 4).max(2 * PIECE_BYTES as u64 / TOKEN_BYTES) }))
    }

    /// Takes a piece's bytes out; `false` where it is not its time yet.
    pub(super) fn allows(&self, bytes: usize, now: Timestamp) -> bool {
        self.0.charge((bytes as u64).div_ceil(TOKEN_BYTES), now) == crate::limits::Charge::Paid
    }
}

/// One watcher.
#[derive(Debug)]
struct Watcher {
    places: Arc<Semaphore>,
    pace: Arc<Pace>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Readers {
    by_key: HashMap<[u8; 32], usize>,
    watchers: Vec<Watcher>,
    places_per_watcher: usize,
    newcomers: Arc<Semaphore>,
    public: Arc<Semaphore>,
    public_places: usize,
    public_addresses: AddressBook,
    public_pace: Arc<Pace>,
}

impl Readers {
    pub(super) fn new(options: &FeedOptions) -> Self {
        let watcher = |_| Watcher {
            places: Arc::new(Semaphore::new(options.connections_per_watcher)),
            pace: Arc::new(Pace::new(options.bytes_per_second_per_watcher)),
        };
        let keys = options.watchers.iter().enumerate().map(|(number, (_, key))| (*key.as_bytes(), number));
        Self {
            by_key: keys.collect(),
            watchers: options.watchers.iter().map(watcher).collect(),
            places_per_watcher: options.connections_per_watcher,
            newcomers: Arc::new(Semaphore::new(NEWCOMERS)),
            public: Arc::new(Semaphore::new(options.public_connections)),
            public_places: options.public_connections,
            public_addresses: AddressBook::new(AddressLimits {
                connections: options.public_connections_per_address,
                // Charged by connection, elsewhere.
                requests: Rate { per_second: 1, burst: 1 },
                addresses: ADDRESSES,
            }),
            public_pace: Arc::new(Pace::new(options.public_bytes_per_second)),
        }
    }

    /// A place for somebody who has not said who he is; `None` when there are too many of them.
    pub(super) fn newcomer(&self) -> Option<Seat> {
        let place = Arc::clone(&self.newcomers).try_acquire_owned().ok()?;
        Some(Seat::Newcomer { _place: place })
    }

    /// A place for a reader.
    pub(super) fn seat(&self, who: Reader, address: IpAddr) -> Result<Seat, ApiError> {
        let (places, address) = match who {
            Reader::Watcher(number) => (&self.watchers[number].places, None),
            Reader::Public => {
                let permit = self.public_addresses.admit(address).ok_or_else(refusal::too_many_readers)?;
                (&self.public, Some(permit))
            }
        };
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| refusal::too_many_readers())?;
        Ok(Seat::Reader { who, _place: place, _address: address })
    }

    pub(super) fn pace(&self, who: Reader) -> Arc<Pace> {
        match who {
            Reader::Watcher(number) => Arc::clone(&self.watchers[number].pace),
            Reader::Public => Arc::clone(&self.public_pace),
        }
    }

    /// Readers that have a place: watchers, and others.
    pub(super) fn now(&self) -> (usize, usize) {
        let taken = |watcher: &Watcher| self.places_per_watcher - watcher.places.available_permits();
        let watchers = self.watchers.iter().map(taken).sum();
        (watchers, self.public_places - self.public.available_permits())
    }

    /// Who asks for `method` with these words, and how he is held to them.
    pub(super) fn identify(
        &self,
        options: &FeedOptions,
        (method, query): (&str, &str),
    ) -> Result<(Reader, RestText), ApiError> {
        let taken = RestText::new(query, "").map_err(text_error)?;
        let fields = Fields::new(&taken.parameters);
        if fields.text("method").is_some_and(|named| named != method) {
            return Err(refusal::invalid_value("method"));
        }
        let Some(signature) = &taken.signature else {
            // Whoever names a key means to sign.
            if fields.text("apiKey").is_some() {
                return Err(refusal::missing("signature"));
            }
            let is_open = options.public != PublicAccess::Never;
            return if is_open { Ok((Reader::Public, taken)) } else { Err(refusal::not_permitted()) };
        };
        fields.required("method")?;
        let key = parse_api_key(fields.required("apiKey")?, options.venue_tag, options.mode);
        let key = key.map_err(|_| refusal::api_key_format())?;
        let number = *self.by_key.get(&key).ok_or_else(refusal::not_permitted)?;
        fields.timing()?.check((options.clock)())?;
        let signature = parse_signature(signature).ok_or_else(refusal::signature)?;
        let (_, key) = &options.watchers[number];
        match key.verify(&taken.text, &signature) {
            Verdict::Accepted => Ok((Reader::Watcher(number), taken)),
            Verdict::Refused => Err(refusal::signature()),
        }
    }
}
