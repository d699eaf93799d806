//! Reads `id`, `status` and an error's `code` out of a response without building anything.
//!
//! A load generator that parsed every answer as JSON would measure its own parser. This walks the bytes once, from
//! the front, and stops as soon as it knows enough: the venue writes `id` and `status` first, so that a good answer
//! costs some twenty bytes. It is a scanner, not a validator: of malformed text it says `None` or something harmless,
//! never panics, never looks at a byte twice.

/// What a response says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The request's id; only whole numbers are understood, as this client sends them.
    pub id: u64,
    /// 200, or an error's status.
    pub status: u16,
    /// The error's number, negative; 0 for status 200.
    pub code: i64,
}

/// The head of a response, `None` for a message that is no response to a numbered request.
pub fn scan_response(text: &[u8]) -> Option<ResponseHead> {
    let mut scanner = Scanner { text, at: 0 };
    let (mut id, mut status, mut code) = (None, None, 0);
    scanner.expect(b'{')?;
    loop {
        let key = scanner.string()?;
        scanner.expect(b':')?;
        match key {
            b"id" => id = Some(u64::try_from(scanner.number()?).ok()?),
            b"status" => status = Some(u16::try_from(scanner.number()?).ok()?),
            b"error" => code = scanner.error_code()?,
            _ => scanner.skip_value()?,
        }
        if let (Some(id), Some(status)) = (id, status)
            && (status == 200 || code != 0)
        {
            return Some(ResponseHead { id, status, code });
        }
        if scanner.next_token()? != b',' {
            return None;
        }
    }
}

/// The id of a request that this client made, which stands first in it.
pub fn scan_id(text: &[u8]) -> Option<u64> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.expect(b'{')?;
    let key = scanner.string()?;
    scanner.expect(b':')?;
    if key == b"id" { u64::try_from(scanner.number()?).ok() } else { None }
}

/// The strings of an answer by their names, front to back: for answers whose order of fields is known.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// From the beginning of `text`.
    pub const fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next string that has this name. It is looked for behind the last one that was found.
    pub fn next(&mut self, name: &str) -> Option<&'a str> {
        self.pass(name, b":\"")?;
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| *byte == b'"')?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).ok()
    }

    /// Goes into the next array that has this name.
    pub fn next_array(&mut self, name: &str) -> Option<()> {
        self.pass(name, b":[")
    }

    /// Goes behind the name with its quotes and what has to stand behind it.
    fn pass(&mut self, name: &str, behind: &[u8]) -> Option<()> {
        let name = name.as_bytes();
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += rest.iter().position(|byte| *byte == b'"')? + 1;
            let rest = self.text.get(self.at..)?;
            let tail = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"\""));
            if tail.is_some_and(|tail| tail.starts_with(behind)) {
                self.at += name.len() + 1 + behind.len();
                return Some(());
            }
        }
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The next byte that is no white space, consumed.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
        }
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next_token()? == wanted).then_some(())
    }

    /// A string's raw bytes, escapes as they stand.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match *self.text.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(&self.text[start..self.at - 1]);
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    fn number(&mut self) -> Option<i64> {
        let first = self.next_token()?;
        let start = self.at - 1;
        if first != b'-' && !first.is_ascii_digit() {
            return None;
        }
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        std::str::from_utf8(&self.text[start..self.at]).ok()?.parse().ok()
    }

    /// `code` of the error object that comes next; the scanner then stands behind the object.
    fn error_code(&mut self) -> Option<i64> {
        self.expect(b'{')?;
        let mut code = 0;
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            if key == b"code" {
                code = self.number()?;
            } else {
                self.skip_value()?;
            }
            match self.next_token()? {
                b',' => {}
                b'}' => return Some(code),
                _ => return None,
            }
        }
    }

    /// Passes over a value of any kind.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match *self.text.get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return Some(()),
                b'}' | b']' => depth -= 1,
                b',' if depth == 0 => return Some(()),
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    #[test]
    fn finds_the_head_wherever_it_stands() {
        let ok = |id| Some(ResponseHead { id, status: 200, code: 0 });
        let error = |id, status, code| Some(ResponseHead { id, status, code });
        let cases = [
            (r#"{"id":7,"status":200,"result":{"id":9}}"#, ok(7)),
            (r#" { "id" : 7 , "status" : 200 } "#, ok(7)),
            (r#"{"result":{"a":"}\",{","status":"FILLED"},"status":200,"id":0}"#, ok(0)),
            (r#"{"rateLimits":[1,[2,{"id":3}]],"id":4,"status":200"#, ok(4)),
            (r#"{"id":7,"status":400,"error":{"code":-2011,"msg":"Unknown order sent."}}"#, error(7, 400, -2011)),
            (r#"{"error":{"data":{"code":5},"msg":"","code":-1008},"id":1,"status":503}"#, error(1, 503, -1008)),
            (r#"{"id":"7","status":200}"#, None),
            (r#"{"id":null,"status":400,"error":{"code":-1,"msg":""}}"#, None),
            (r#"{"id":-7,"status":200}"#, None),
            (r#"{"id":7,"status":400}"#, None),
            (r#"{"subscriptionId":0,"event":{"id":1,"status":200}}"#, None),
            (r#"{"id":99999999999999999999,"status":200}"#, None),
            (r#"{"id":7,"status":99999}"#, None),
            ("[]", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(scan_response(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn fields_are_found_in_their_order() {
        let text = br#"{"id":1,"result":{"executedQty":"7","price":"nope","fills":[{"price":"10.01","qty":"3"},{"price":"10.02","qty":"4"}]}}"#;
        let mut fields = Fields::of(text);
        assert_eq!(fields.next("executedQty"), Some("7"));
        assert_eq!(fields.next_array("fills"), Some(()));
        assert_eq!((fields.next("price"), fields.next("qty")), (Some("10.01"), Some("3")));
        assert_eq!((fields.next("price"), fields.next("qty"), fields.next("qty")), (Some("10.02"), Some("4"), None));
        assert_eq!(Fields::of(text).next("id"), None, "a number is no string");
        assert_eq!(Fields::of(b"{\"price\":\"10").next("price"), None);
        assert_eq!(Fields::of(b"").next_array("fills"), None);
    }

    #[test]
    fn no_text_makes_it_panic() {
        let seed = 11;
        println!("seed {seed}");
        let mut random = SplitMix64::new(seed);
        let pieces: [&[u8]; 14] = [
            b"{",
            b"}",
            b"[",
            b"]",
            b"\"",
            b"\\",
            b":",
            b",",
            b"\"id\"",
            b"\"status\"",
            b"\"error\"",
            b"200",
            b"-1",
            b"\"code\"",
        ];
        for _ in 0..20_000 {
            let mut text = b"{".to_vec();
            for _ in 0..random.below(24) {
                text.extend_from_slice(pieces[usize::try_from(random.below(14)).unwrap()]);
            }
            let _ = scan_response(&text);
            let mut fields = Fields::of(&text);
            let _ = (fields.next("id"), fields.next_array("error"), fields.next("code"));
        }
    }
}
