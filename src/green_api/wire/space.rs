//! Passes over the white space between tokens: none at all in most journals, and indentations in some.

/// The bytes from the first that isn't white space.
#[inline]
pub(super) fn trim_space(mut bytes: &[u8]) -> &[u8] {
    while let [byte, rest @ ..] = bytes
        && *byte <= b' '
        && matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
    {
        // Many spaces in a row are an indentation.
        bytes = if *byte == b'\n' { after_spaces(rest) } else { rest };
    }
    bytes
}

/// What comes after `byte`, if that comes next but for white space.
#[inline]
pub(super) fn after(byte: u8, bytes: &[u8]) -> Option<&[u8]> {
    let (&first, rest) = bytes.split_first()?;
    if first == byte {
        return Some(rest);
    }
    // Most journals have no white space at all.
    (first <= b' ').then(|| trim_space(bytes).strip_prefix(&[byte]))?
}

/// What comes after some spaces.
fn after_spaces(mut bytes: &[u8]) -> &[u8] {
    const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
    while let Some((first, rest)) = bytes.split_first_chunk() {
        let others = u64::from_le_bytes(*first) ^ SPACES;
        if others != 0 {
            return &bytes[others.trailing_zeros() as usize / 8..];
        }
        bytes = rest;
    }
    bytes
}
