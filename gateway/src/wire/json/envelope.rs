//! Scans a request `{"id":…,"method":…,"params":…}` in one pass, keeping every value exactly as it was spelt.
//!
//! Clients sign the spelling of their numbers, so no number is ever converted here. The scanner is written by hand
//! because it must see what a general JSON library hides or allows: a key that stands twice, the spelling of numbers,
//! nesting. Parameters are scalars, or flat lists of scalars; anything deeper is refused where it begins, so that the
//! scanner needs no stack. Bounds: [`MAX_FRAME`] bytes, [`MAX_PARAMETERS`] parameters, [`MAX_LISTED`] list items.

use std::borrow::Cow;

use crate::request::{MAX_PARAMETERS, Parameter, ValueKind};

/// Longest request, in bytes.
pub const MAX_FRAME: usize = 64 * 1_024;
/// Most items of a list of parameters, as `SUBSCRIBE` has it.
pub const MAX_LISTED: usize = 1_024;
/// Longest id, in bytes, quotes included.
pub const MAX_ID: usize = 66;
/// The id of a response to what had none.
const NULL: &str = "null";

/// A request, borrowed from its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The id as it was spelt: an integer, a string with its quotes, or `null`. Goes back verbatim.
    pub id: &'a str,
    /// The method's name.
    pub method: Cow<'a, str>,
    /// The parameters.
    pub params: Params<'a>,
}

/// A request's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Params<'a> {
    /// By name; empty when there were none.
    Named(Vec<Parameter<'a>>),
    /// A list of strings.
    Listed(Vec<Cow<'a, str>>),
}

/// Why a frame is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeError<'a> {
    /// The id, if it stood in front of the mistake; `null` otherwise.
    pub id: &'a str,
    /// The mistake.
    pub kind: EnvelopeErrorKind,
}

/// What is wrong with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvelopeErrorKind {
    /// Not JSON.
    Syntax,
    /// Longer than [`MAX_FRAME`].
    TooLong,
    /// Values inside of parameters, where only scalars may be.
    TooDeep,
    /// More parameters or list items than are allowed.
    TooMany,
    /// A key stands twice in one object.
    DuplicateKey(String),
    /// An id that is neither integer nor string nor null, or is too long.
    BadId,
    /// A parameter that is null.
    NullParameter(String),
    /// No method, or one that is no string.
    NoMethod,
    /// `params` is neither an object nor a list of strings.
    BadParams,
}

/// Reads a request.
///
/// # Errors
/// The first mistake, with the request's id where it is known by then.
pub fn parse(frame: &str) -> Result<Envelope<'_>, EnvelopeError<'_>> {
    if frame.len() > MAX_FRAME {
        return Err(EnvelopeError { id: NULL, kind: EnvelopeErrorKind::TooLong });
    }
    let mut scanner = Scanner { text: frame, at: 0 };
    let mut found = Found::default();
    match scanner.envelope(&mut found) {
        Ok(()) => match found.method {
            Some(method) => {
                let params = found.params.unwrap_or(Params::Named(Vec::new()));
                Ok(Envelope { id: found.id.unwrap_or(NULL), method, params })
            }
            None => Err(EnvelopeError { id: found.id.unwrap_or(NULL), kind: EnvelopeErrorKind::NoMethod }),
        },
        Err(kind) => Err(EnvelopeError { id: found.id.unwrap_or(NULL), kind }),
    }
}

#[derive(Default)]
struct Found<'a> {
    id: Option<&'a str>,
    method: Option<Cow<'a, str>>,
    params: Option<Params<'a>>,
}

type Scan<T> = Result<T, EnvelopeErrorKind>;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn envelope(&mut self, found: &mut Found<'a>) -> Scan<()> {
        let mut others: Vec<Cow<'a, str>> = Vec::new();
        let mut more = self.open(b'{', b'}')?;
        while more {
            let key = self.key()?;
            let twice = match key.as_ref() {
                "id" => found.id.replace(self.id()?).is_some(),
                "method" => {
                    if self.peek() != Some(b'"') {
                        return Err(EnvelopeErrorKind::NoMethod);
                    }
                    found.method.replace(self.string()?).is_some()
                }
                "params" => found.params.replace(self.params()?).is_some(),
                _ => {
                    self.scalar()?;
                    let twice = others.contains(&key);
                    others.push(key.clone());
                    twice
                }
            };
            if twice {
                return Err(EnvelopeErrorKind::DuplicateKey(key.into_owned()));
            }
            if others.len() > MAX_PARAMETERS {
                return Err(EnvelopeErrorKind::TooMany);
            }
            more = self.next_or_close(b'}')?;
        }
        self.skip_whitespace();
        if self.at == self.text.len() { Ok(()) } else { Err(EnvelopeErrorKind::Syntax) }
    }

    fn id(&mut self) -> Scan<&'a str> {
        self.skip_whitespace();
        let start = self.at;
        let (_, kind) = match self.peek() {
            Some(b'{' | b'[') => return Err(EnvelopeErrorKind::BadId),
            Some(b'n') => {
                self.literal(NULL)?;
                return Ok(NULL);
            }
            _ => self.scalar()?,
        };
        let lexeme = &self.text[start..self.at];
        let is_integer = lexeme.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let fits = match kind {
            ValueKind::Number => is_integer && lexeme.len() <= 20,
            ValueKind::Text => lexeme.len() <= MAX_ID,
            ValueKind::Boolean | ValueKind::List => false,
        };
        if fits { Ok(lexeme) } else { Err(EnvelopeErrorKind::BadId) }
    }

    fn params(&mut self) -> Scan<Params<'a>> {
        match self.peek() {
            Some(b'{') => self.named().map(Params::Named),
            Some(b'[') => self.listed().map(Params::Listed),
            Some(b'n') => self.literal(NULL).map(|()| Params::Named(Vec::new())),
            _ => Err(EnvelopeErrorKind::BadParams),
        }
    }

    fn named(&mut self) -> Scan<Vec<Parameter<'a>>> {
        let mut parameters: Vec<Parameter<'a>> = Vec::with_capacity(16);
        let mut more = self.open(b'{', b'}')?;
        while more {
            let name = self.key()?;
            if parameters.len() == MAX_PARAMETERS {
                return Err(EnvelopeErrorKind::TooMany);
            }
            if parameters.iter().any(|one| one.name == name) {
                return Err(EnvelopeErrorKind::DuplicateKey(name.into_owned()));
            }
            let (value, kind) = match self.peek() {
                Some(b'{') => return Err(EnvelopeErrorKind::TooDeep),
                Some(b'[') => (Cow::Borrowed(self.flat_list()?), ValueKind::List),
                Some(b'n') => return Err(EnvelopeErrorKind::NullParameter(name.into_owned())),
                _ => self.scalar()?,
            };
            parameters.push(Parameter { name, value, kind });
            more = self.next_or_close(b'}')?;
        }
        Ok(parameters)
    }

    fn listed(&mut self) -> Scan<Vec<Cow<'a, str>>> {
        let mut items = Vec::new();
        let mut more = self.open(b'[', b']')?;
        while more {
            if items.len() == MAX_LISTED {
                return Err(EnvelopeErrorKind::TooMany);
            }
            if self.peek() != Some(b'"') {
                return Err(EnvelopeErrorKind::BadParams);
            }
            items.push(self.string()?);
            more = self.next_or_close(b']')?;
        }
        Ok(items)
    }

    /// A list of scalars as JSON text.
    fn flat_list(&mut self) -> Scan<&'a str> {
        let start = self.at;
        let mut count = 0;
        let mut more = self.open(b'[', b']')?;
        while more {
            count += 1;
            if count > MAX_LISTED {
                return Err(EnvelopeErrorKind::TooMany);
            }
            self.scalar()?;
            more = self.next_or_close(b']')?;
        }
        Ok(&self.text[start..self.at])
    }

    /// A string, number or boolean.
    fn scalar(&mut self) -> Scan<(Cow<'a, str>, ValueKind)> {
        match self.peek() {
            Some(b'"') => Ok((self.string()?, ValueKind::Text)),
            Some(b't') => self.literal("true").map(|()| (Cow::Borrowed("true"), ValueKind::Boolean)),
            Some(b'f') => self.literal("false").map(|()| (Cow::Borrowed("false"), ValueKind::Boolean)),
            Some(b'n') => self.literal(NULL).map(|()| (Cow::Borrowed(NULL), ValueKind::Text)),
            Some(b'-' | b'0'..=b'9') => Ok((Cow::Borrowed(self.number()?), ValueKind::Number)),
            Some(b'{' | b'[') => Err(EnvelopeErrorKind::TooDeep),
            _ => Err(EnvelopeErrorKind::Syntax),
        }
    }

    /// An object's key and the colon after it.
    fn key(&mut self) -> Scan<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return Err(EnvelopeErrorKind::Syntax);
        }
        let key = self.string()?;
        self.expect(b':')?;
        self.skip_whitespace();
        Ok(key)
    }

    fn string(&mut self) -> Scan<Cow<'a, str>> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(0..=0x1f) | None => return Err(EnvelopeErrorKind::Syntax),
                Some(_) => at += plain_prefix(&bytes[at..]),
            }
        }
        self.at = at + 1;
        if !escaped {
            return Ok(Cow::Borrowed(&self.text[start..at]));
        }
        let quoted = &self.text[start - 1..=at];
        serde_json::from_str::<String>(quoted).map(Cow::Owned).map_err(|_| EnvelopeErrorKind::Syntax)
    }

    /// A number by JSON's grammar, as text.
    fn number(&mut self) -> Scan<&'a str> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes[start] == b'-');
        let whole = digits(bytes, &mut at);
        let leading_zero = whole > 1 && bytes[at - whole] == b'0';
        if whole == 0 || leading_zero {
            return Err(EnvelopeErrorKind::Syntax);
        }
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            if digits(bytes, &mut at) == 0 {
                return Err(EnvelopeErrorKind::Syntax);
            }
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1;
            at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
            if digits(bytes, &mut at) == 0 {
                return Err(EnvelopeErrorKind::Syntax);
            }
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    fn literal(&mut self, expected: &str) -> Scan<()> {
        if self.text.as_bytes()[self.at..].starts_with(expected.as_bytes()) {
            self.at += expected.len();
            return Ok(());
        }
        Err(EnvelopeErrorKind::Syntax)
    }

    /// Enters an object or list; true when there is something in it.
    fn open(&mut self, opening: u8, closing: u8) -> Scan<bool> {
        self.expect(opening)?;
        self.skip_whitespace();
        if self.peek() == Some(closing) {
            self.at += 1;
            return Ok(false);
        }
        Ok(true)
    }

    /// Goes past a comma, or past the end of the object or list; true when there is more in it.
    fn next_or_close(&mut self, closing: u8) -> Scan<bool> {
        self.skip_whitespace();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_whitespace();
                Ok(true)
            }
            Some(byte) if byte == closing => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(EnvelopeErrorKind::Syntax),
        }
    }

    fn expect(&mut self, byte: u8) -> Scan<()> {
        self.skip_whitespace();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(EnvelopeErrorKind::Syntax)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }
}

/// Bytes in front that are neither quote, backslash nor control character, eight at a time: most of a frame is the
/// inside of strings. Adding or subtracting carries only into bytes behind a hit, and the first hit is what counts.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zero_byte = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
        let quotes = zero_byte(word ^ (ONES * u64::from(b'"')));
        let backslashes = zero_byte(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let hits = quotes | backslashes | controls;
        if hits != 0 {
            return index * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    words.len() * 8 + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Goes past decimal digits and counts them.
fn digits(bytes: &[u8], at: &mut usize) -> usize {
    let start = *at;
    while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
        *at += 1;
    }
    *at - start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(frame: &str) -> EnvelopeErrorKind {
        parse(frame).unwrap_err().kind
    }

    #[test]
    fn values_keep_their_spelling() {
        let frame = "{\"id\": 7, \"method\" : \"order.place\",\t\"params\": {\"quantity\": 1e-05, \"price\": \"70000.10\", \
                     \"recvWindow\": -0.50E+2, \"flag\": true, \"symbol\": \"\\uff11\\/a\", \"list\": [\"A\", 1]}}";
        let envelope = parse(frame).unwrap();
        assert_eq!((envelope.id, envelope.method.as_ref()), ("7", "order.place"));
        let Params::Named(parameters) = envelope.params else { panic!("an object") };
        let seen: Vec<_> = parameters.iter().map(|one| (one.name.as_ref(), one.value.as_ref(), one.kind)).collect();
        assert_eq!(
            seen,
            [
                ("quantity", "1e-05", ValueKind::Number),
                ("price", "70000.10", ValueKind::Text),
                ("recvWindow", "-0.50E+2", ValueKind::Number),
                ("flag", "true", ValueKind::Boolean),
                ("symbol", "１/a", ValueKind::Text),
                ("list", "[\"A\", 1]", ValueKind::List),
            ]
        );
    }

    #[test]
    fn ids_go_back_verbatim() {
        for (frame, id) in [
            (r#"{"id":1,"method":"ping"}"#, "1"),
            (r#"{"id":-5,"method":"ping"}"#, "-5"),
            (r#"{"id":"a\"b","method":"ping"}"#, r#""a\"b""#),
            (r#"{"id":null,"method":"ping"}"#, "null"),
            (r#"{"method":"ping"}"#, "null"),
            (r#"{"method":"ping","params":{},"id":"late"}"#, r#""late""#),
        ] {
            assert_eq!(parse(frame).unwrap().id, id, "{frame}");
        }
        for bad in [r#"{"id":1.5,"method":"ping"}"#, r#"{"id":true,"method":"ping"}"#, r#"{"id":{},"method":"ping"}"#] {
            assert_eq!(kind(bad), EnvelopeErrorKind::BadId, "{bad}");
        }
        let long = format!(r#"{{"id":"{}","method":"ping"}}"#, "x".repeat(65));
        assert_eq!(kind(&long), EnvelopeErrorKind::BadId);
    }

    #[test]
    fn keys_that_stand_twice_are_refused() {
        for frame in [
            r#"{"id":1,"id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping","method":"ping"}"#,
            r#"{"id":1,"method":"ping","params":{},"params":{}}"#,
            r#"{"id":1,"method":"ping","x":1,"x":1}"#,
            r#"{"id":1,"method":"ping","params":{"side":"BUY","side":"SELL"}}"#,
            r#"{"id":1,"method":"ping","params":{"side":"BUY","sid\u0065":"SELL"}}"#,
        ] {
            let error = parse(frame).unwrap_err();
            assert!(matches!(error.kind, EnvelopeErrorKind::DuplicateKey(_)), "{frame}");
            assert_eq!(error.id, "1");
        }
    }

    #[test]
    fn mistakes_have_their_kind() {
        for frame in [
            "",
            "{",
            "[]",
            "nul",
            "{\"id\"}",
            "{\"method\":\"ping\",}",
            "{\"method\":\"ping\"}x",
            "{'method':1}",
            "{\"method\":\"pi\nng\"}",
            "{\"method\":\"\\x\"}",
            "{\"method\":\"\\ud800\"}",
            "{\"method\":\"a\\",
            "{\"method\":\"ping\",\"params\":{\"a\":01}}",
            "{\"method\":\"ping\",\"params\":{\"a\":1.}}",
            "{\"method\":\"ping\",\"params\":{\"a\":1e}}",
            "{\"method\":\"ping\",\"params\":{\"a\":-}}",
            "{\"method\":\"ping\",\"params\":{\"a\":+1}}",
            "{\"method\":\"ping\",\"params\":{\"a\":tru}}",
        ] {
            assert_eq!(kind(frame), EnvelopeErrorKind::Syntax, "{frame}");
        }
        assert_eq!(kind("{}"), EnvelopeErrorKind::NoMethod);
        assert_eq!(kind(r#"{"method":5}"#), EnvelopeErrorKind::NoMethod);
        assert_eq!(kind(r#"{"method":"ping","params":5}"#), EnvelopeErrorKind::BadParams);
        assert_eq!(kind(r#"{"method":"ping","params":[5]}"#), EnvelopeErrorKind::BadParams);
        assert_eq!(kind(r#"{"method":"ping","params":{"a":{}}}"#), EnvelopeErrorKind::TooDeep);
        assert_eq!(kind(r#"{"method":"ping","params":{"a":[[1]]}}"#), EnvelopeErrorKind::TooDeep);
        assert_eq!(kind(r#"{"method":"ping","x":{}}"#), EnvelopeErrorKind::TooDeep);
        assert_eq!(kind(r#"{"method":"ping","params":{"a":null}}"#), EnvelopeErrorKind::NullParameter("a".into()));
        let deep = format!(r#"{{"method":"ping","params":{}"#, "[".repeat(60_000));
        assert_eq!(kind(&deep), EnvelopeErrorKind::BadParams);
        let many: Vec<String> = (0..=MAX_PARAMETERS).map(|index| format!("\"p{index}\":1")).collect();
        assert_eq!(
            kind(&format!(r#"{{"method":"ping","params":{{{}}}}}"#, many.join(","))),
            EnvelopeErrorKind::TooMany
        );
        assert_eq!(kind(&" ".repeat(MAX_FRAME + 1)), EnvelopeErrorKind::TooLong);
    }

    #[test]
    fn the_end_of_plain_bytes_is_found_wherever_it_is() {
        for length in 0..20_usize {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for filler in [b'a', 0x80, 0xff, b'#', b' '] {
                        let mut bytes = vec![filler; length];
                        bytes[at] = byte;
                        let special = matches!(byte, b'"' | b'\\' | 0..=0x1f);
                        assert_eq!(plain_prefix(&bytes), if special { at } else { length }, "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_cut_of_a_frame_is_refused_without_panic() {
        let frame =
            r#"{"id":"é1","method":"order.place","params":{"symbol":"\u00e9","price":1.5e3,"ok":true,"l":[1,"a"]}}"#;
        assert!(parse(frame).is_ok());
        for cut in (0..frame.len()).filter(|&cut| frame.is_char_boundary(cut)) {
            assert!(parse(&frame[..cut]).is_err(), "cut at {cut}");
        }
    }
}
