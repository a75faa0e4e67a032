//! JSON strings: from the raw text between the quotes to characters, and back.

/// Writes the characters of a raw JSON string body (without its quotes) behind `scratch`. False where an escape is
/// wrong, such as half of a surrogate pair.
pub(super) fn unescape(raw: &str, scratch: &mut Vec<u8>) -> bool {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        scratch.extend_from_slice(&rest.as_bytes()[..at]);
        match unescape_one(&rest[at + 1..], scratch) {
            Some(taken) => rest = &rest[at + 1 + taken..],
            None => return false,
        }
    }
    scratch.extend_from_slice(rest.as_bytes());
    true
}

/// Handles one escape whose backslash is gone; answers how many bytes it took.
fn unescape_one(escape: &str, scratch: &mut Vec<u8>) -> Option<usize> {
    let plain = match escape.as_bytes().first()? {
        b'"' => b'"',
        b'\\' => b'\\',
        b'/' => b'/',
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unescape_unicode(escape, scratch),
        _ => return None,
    };
    scratch.push(plain);
    Some(1)
}

fn unescape_unicode(escape: &str, scratch: &mut Vec<u8>) -> Option<usize> {
    let first = hex4(escape.get(1..5)?)?;
    let (code, taken) = match first {
        0xd800..=0xdbff => {
            if escape.get(5..7)? != "\\u" {
                return None;
            }
            let second = hex4(escape.get(7..11)?)?;
            if !(0xdc00..=0xdfff).contains(&second) {
                return None;
            }
            (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 11)
        }
        _ => (first, 5),
    };
    let character = char::from_u32(code)?;
    let mut buffer = [0; 4];
    scratch.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
    Some(taken)
}

fn hex4(digits: &str) -> Option<u32> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// Appends a JSON string with its quotes.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        write_escape(*byte, out);
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        other => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(other >> 4)]);
            out.push(HEX[usize::from(other & 0x0f)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unescaped(raw: &str) -> Option<String> {
        let mut scratch = Vec::new();
        unescape(raw, &mut scratch).then(|| String::from_utf8(scratch).expect("only whole characters"))
    }

    #[test]
    fn escapes_of_all_kinds() {
        assert_eq!(unescaped(r#"a\n\t\"\\\/b"#).as_deref(), Some("a\n\t\"\\/b"));
        assert_eq!(unescaped(r"\u00e9\u20ac").as_deref(), Some("é€"));
        assert_eq!(unescaped(r"\ud83d\ude00").as_deref(), Some("😀"));
        assert_eq!(unescaped(r"\ud83d"), None);
        assert_eq!(unescaped(r"\ud83dxx"), None);
        assert_eq!(unescaped(r"\ude00"), None);
        assert_eq!(unescaped(r"\u+123"), None);
        assert_eq!(unescaped(r"\x"), None);
    }

    #[test]
    fn written_strings_read_back() {
        let text = "quote \" slash \\ bell \u{7} tab \t é 😀";
        let mut out = Vec::new();
        write_string(text, &mut out);
        let raw = std::str::from_utf8(&out).expect("valid");
        assert_eq!(unescaped(&raw[1..raw.len() - 1]).as_deref(), Some(text));
    }
}
