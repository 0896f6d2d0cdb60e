//! The form that checkpoints and snapshots have in common: sections of bytes, a table
//! of them, and digests that stand for every byte. Verified whole before anything in
//! it is used. What the sections mean is not known here.
//!
//! All integers are little-endian. There is no padding: each part begins where the
//! one before it ends.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 4 | format version |
//! | 12 | 4 | number of sections, n |
//! | 16 | 8 | length of the whole file |
//! | 24 | 4 | length of the section table |
//! | 28 | | the section table: n entries |
//! | | | the sections, in the table's order |
//! | end − 32 | 32 | SHA-256 of all bytes before the first section |
//!
//! An entry of the table:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | kind of the section |
//! | 4 | length of the name |
//! | 8 | offset of the section in the file |
//! | 8 | length of the section |
//! | 32 | SHA-256 of the section |
//! | | the name, UTF-8 |
//!
//! Header, table and trailer are the same in every version, so that a file of
//! another version is told from a damaged one. The trailer covers the header and the
//! table, the table the digest of every section, so the trailer stands for every byte:
//! it is the file's digest.

use speed_layer_core::commit::{Digest, FORMAT_VERSION, FORMAT_VERSION_MIN};

use crate::checkpoint::CheckpointError;
use crate::part::digest_of_bytes;

/// How a kind of file begins.
pub(crate) type Magic = [u8; 8];

const HEADER_BYTES: usize = 28;
const ENTRY_BYTES: usize = 56;
const TRAILER_BYTES: usize = 32;

pub(crate) struct Section<'a> {
    pub kind: u32,
    pub name: &'a str,
    pub bytes: &'a [u8],
}

/// A file whose every byte is verified.
pub(crate) struct Verified<'a> {
    pub sections: Vec<Section<'a>>,
    pub digest: Digest,
}

/// The bytes of a file of these sections.
pub(crate) fn assemble(magic: Magic, sections: &[Section<'_>]) -> Vec<u8> {
    let table_bytes: usize = sections.iter().map(|section| ENTRY_BYTES + section.name.len()).sum();
    let body_bytes: usize = sections.iter().map(|section| section.bytes.len()).sum();
    let total = HEADER_BYTES + table_bytes + body_bytes + TRAILER_BYTES;
    let mut file = Vec::with_capacity(total);
    file.extend_from_slice(&magic);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    file.extend_from_slice(&(total as u64).to_le_bytes());
    file.extend_from_slice(&(table_bytes as u32).to_le_bytes());
    let mut offset = HEADER_BYTES + table_bytes;
    for section in sections {
        push_entry(&mut file, section, offset);
        offset += section.bytes.len();
    }
    let trailer = digest_of_bytes(&file);
    sections.iter().for_each(|section| file.extend_from_slice(section.bytes));
    file.extend_from_slice(&trailer.0);
    file
}

fn push_entry(file: &mut Vec<u8>, section: &Section<'_>, offset: usize) {
    file.extend_from_slice(&section.kind.to_le_bytes());
    file.extend_from_slice(&(section.name.len() as u32).to_le_bytes());
    file.extend_from_slice(&(offset as u64).to_le_bytes());
    file.extend_from_slice(&(section.bytes.len() as u64).to_le_bytes());
    file.extend_from_slice(&digest_of_bytes(section.bytes).0);
    file.extend_from_slice(section.name.as_bytes());
}

/// Checks every length and every digest.
///
/// # Errors
/// [`CheckpointError::Damaged`] with what is wrong, or
/// [`CheckpointError::OtherFormat`]. Never panics, whatever the bytes are.
pub(crate) fn verify(magic: Magic, file: &[u8]) -> Result<Verified<'_>, CheckpointError> {
    let mut header = Cursor { bytes: file };
    if header.take(8)? != magic {
        return Err(damaged("it does not begin as such a file does"));
    }
    let version = header.u32()?;
    let (count, total, table_bytes) = (header.u32()?, header.u64()?, header.u32()?);
    if total != file.len() as u64 {
        return Err(damaged(format!("it is {} bytes long, its header says {total}", file.len())));
    }
    let mut table = Cursor { bytes: header.take(table_bytes as usize)? };
    let head = &file[..HEADER_BYTES + table_bytes as usize];
    let digest = digest_of_bytes(head);
    if !file.ends_with(&digest.0) {
        return Err(damaged("its checksum is wrong"));
    }
    if !(FORMAT_VERSION_MIN..=FORMAT_VERSION).contains(&version) {
        return Err(CheckpointError::OtherFormat(version));
    }
    let mut body = header.bytes;
    let mut sections = Vec::new();
    for _ in 0..count {
        let offset = (file.len() - body.len()) as u64;
        let (section, rest) = take_section(&mut table, body, offset)?;
        sections.push(section);
        body = rest;
    }
    if !table.bytes.is_empty() || body.len() != TRAILER_BYTES {
        return Err(damaged("its sections do not fill it"));
    }
    Ok(Verified { sections, digest })
}

/// The section that the table's next entry describes, and what follows it.
fn take_section<'a>(
    table: &mut Cursor<'a>,
    body: &'a [u8],
    offset: u64,
) -> Result<(Section<'a>, &'a [u8]), CheckpointError> {
    let (kind, name_bytes) = (table.u32()?, table.u32()?);
    let (begins, length) = (table.u64()?, table.u64()?);
    let sha256 = table.take(32)?;
    let name = std::str::from_utf8(table.take(name_bytes as usize)?)
        .map_err(|_| damaged("the name of a section is not UTF-8"))?;
    let mut rest = Cursor { bytes: body };
    let bytes = rest.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    if begins != offset || digest_of_bytes(bytes).0 != sha256 {
        return Err(damaged(format!("the checksum of section {kind} {name:?} is wrong")));
    }
    Ok((Section { kind, name, bytes }, rest.bytes))
}

/// The digest of a file that [`assemble`] made.
pub(crate) fn trailer(file: &[u8]) -> Digest {
    let mut digest = [0; TRAILER_BYTES];
    if let Some(last) = file.last_chunk() {
        digest = *last;
    }
    Digest(digest)
}

/// Takes from the front of a slice, never beyond its end.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CheckpointError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or_else(|| damaged("it is cut short"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, CheckpointError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, CheckpointError> {
        self.array().map(u64::from_le_bytes)
    }
}

pub(crate) fn damaged(why: impl Into<String>) -> CheckpointError {
    CheckpointError::Damaged(why.into())
}
