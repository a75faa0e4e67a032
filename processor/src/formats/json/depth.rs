//! How deep a JSON text nests. The parser skips nested values by recursion, so a record of a megabyte of `[` would end
//! the process; texts that could be that deep are measured first.

/// Nesting that is accepted, as deep as anyone has meant it.
const DEPTH_MAX: usize = 512;
/// Texts up to this length cannot nest deeper than any thread's stack bears.
const HARMLESS_BYTES: usize = 2 * 1024;

/// True when the text nests deeper than [`DEPTH_MAX`]. Brackets inside of strings do not count.
pub(super) fn too_deep(text: &[u8]) -> bool {
    text.len() > HARMLESS_BYTES && deeper_than(text, DEPTH_MAX)
}

fn deeper_than(text: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text {
        if in_string {
            match (escaped, byte) {
                (true, _) => escaped = false,
                (false, b'\\') => escaped = true,
                (false, b'"') => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_brackets_outside_of_strings() {
        assert!(!deeper_than(br#"{"a":[1,[2]]}"#, 3));
        assert!(deeper_than(br#"{"a":[1,[2]]}"#, 2));
        assert!(!deeper_than(br#"{"a":"[[[[\"[["}"#, 1));
        assert!(too_deep(&vec![b'['; 4096]));
        assert!(!too_deep(&vec![b' '; 4096]));
    }
}
