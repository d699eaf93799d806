//! What a venue tells of itself on its operators' port, in numbers that Prometheus reads.
//!
//! One plain HTTP request a look, on the machine itself. Bounds: a second a call, a megabyte an answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::host_and_path;
use crate::error::LoadtestError;

const TIMEOUT: Duration = Duration::from_secs(1);
const BYTES_MAX: u64 = 1 << 20;

/// All of them at one moment.
#[derive(Clone, Debug)]
pub(crate) struct VenueMetrics(String);

impl VenueMetrics {
    /// Asks the port of whose `/health` this is the address.
    ///
    /// # Errors
    /// [`LoadtestError::Connection`], [`LoadtestError::Options`] for no address.
    pub(crate) fn fetch(health: &str) -> Result<Self, LoadtestError> {
        let failed = |error: std::io::Error| LoadtestError::connection("asking for metrics", error);
        let (address, _) = host_and_path(health)?;
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(failed)?;
        stream.set_read_timeout(Some(TIMEOUT)).map_err(failed)?;
        let ask = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(ask.as_bytes()).map_err(failed)?;
        let mut text = String::new();
        stream.take(BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Ok(Self(text))
    }

    /// The value of the one with this name and no labels.
    ///
    /// # Errors
    /// [`LoadtestError::Venue`] when there is none.
    pub(crate) fn value(&self, name: &str) -> Result<f64, LoadtestError> {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok());
        value.ok_or_else(|| LoadtestError::Venue(format!("the venue tells no {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_whole_name() {
        let text = "HTTP/1.1 200 OK\r\n\r\n# HELP lakh_kept What is kept\nlakh_kept_total 17\nlakh_kept_seconds 0.25\n";
        let metrics = VenueMetrics(text.to_owned());
        assert_eq!(
            (metrics.value("lakh_kept_total").ok(), metrics.value("lakh_kept_seconds").ok()),
            (Some(17.0), Some(0.25))
        );
        assert!(metrics.value("lakh_kept").is_err());
    }

    #[test]
    fn a_venue_that_is_not_there_is_an_error() {
        assert!(VenueMetrics::fetch("http://127.0.0.1:1/health").is_err());
        assert!(VenueMetrics::fetch("").is_err());
    }
}
