//! A host and a port, as people write them.

use std::fmt;
use std::str::FromStr;

/// Host name or IP address, and port. Names are resolved when they are used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address; an IPv6 address stands here without its brackets.
    pub host: String,
    /// Port; 0 asks for a free one where one is listened on.
    pub port: u16,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not HOST:PORT")]
pub struct AddressError(String);

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let port = port.parse().map_err(|_| error())?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let bracketed = bare.len() != host.len();
        if bare.is_empty() || bare.contains(char::is_whitespace) || (bare.contains(':') && !bracketed) {
            return Err(error());
        }
        Ok(Self {
            host: bare.to_owned(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        for text in ["127.0.0.1:9092", "[::1]:0", "broker.example.org:65535"] {
            assert_eq!(text.parse::<HostPort>().expect(text).to_string(), text);
        }
        for text in ["9092", ":9092", "::1:9092", "host:70000", "a b:1", ""] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
