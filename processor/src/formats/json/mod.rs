//! JSON: one object per record value.
//!
//! Rules, both ways, are those of docs/sql.md: numbers are exact, a missing field is NULL, of two fields with one
//! name the last counts, extra fields are ignored, timestamps are RFC 3339 text or numbers in the source's unit.

mod calendar;
mod decoder;
mod depth;
mod encoder;
mod number;
mod scalar;
mod temporal;
mod text;

pub use decoder::JsonDecoder;
pub use encoder::{JsonEncoder, JsonRows};

pub(crate) use temporal::parse_timestamp;

/// True where a JSON text nests deeper than the parser may follow.
pub(crate) fn is_too_deep(text: &str) -> bool {
    depth::too_deep(text.as_bytes())
}

/// The characters of a raw JSON string body; nothing where an escape is wrong.
pub(crate) fn unescape_text<'a>(raw: &'a str, scratch: &'a mut Vec<u8>) -> Option<&'a str> {
    if !raw.contains('\\') {
        return Some(raw);
    }
    if !text::unescape(raw, scratch) {
        return None;
    }
    std::str::from_utf8(scratch).ok()
}

#[cfg(test)]
mod tests;
