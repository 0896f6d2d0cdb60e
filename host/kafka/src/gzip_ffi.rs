//! librdkafka's gzip decompression, replaced: the linker takes this `rd_gz_decompress`
//! instead of the one in librdkafka's archive, which inflates every batch twice only to
//! learn its size first. Here the size is read from gzip's trailer and the batch is
//! inflated once, by libdeflate. It does not stream, and it does not compress.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};

use libdeflate_sys as deflate;

/// A batch that inflates to more is refused: a hostile one could else take all memory.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// No deflate stream inflates to more than about 1,032 times its size.
const INFLATION_MAX: usize = 1_040;

/// Header and trailer of an empty member.
const MEMBER_BYTES_MIN: usize = 18;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

static BATCHES: AtomicU64 = AtomicU64::new(0);

/// Batches inflated by this replacement in this process. Zero after a gzip topic was
/// read means that librdkafka's own was linked.
pub fn batches_inflated() -> u64 {
    BATCHES.load(Ordering::Relaxed)
}

type Inflate = unsafe extern "C" fn(*const c_void, c_int, *mut u64) -> *mut c_void;

/// Keeps the symbol in every binary that links this crate.
#[used]
static LINKED: Inflate = rd_gz_decompress;

/// The replacement itself: null for bytes that are not gzip, are damaged or inflate to too
/// much; else a buffer for `free`, whose length is stored in `inflated_len`.
///
/// # Safety
/// For librdkafka alone: `compressed` points to `compressed_len` bytes, and `inflated_len`
/// to a number that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rd_gz_decompress(
    compressed: *const c_void,
    compressed_len: c_int,
    inflated_len: *mut u64,
) -> *mut c_void {
    BATCHES.fetch_add(1, Ordering::Relaxed);
    let Ok(len) = usize::try_from(compressed_len) else { return ptr::null_mut() };
    // SAFETY: by the caller's promise.
    let input = unsafe { slice::from_raw_parts(compressed.cast::<u8>(), len) };
    let Some(mut inflated) = inflate(input) else { return ptr::null_mut() };
    inflated.end_with_zero();
    // SAFETY: by the caller's promise.
    unsafe { *inflated_len = inflated.len as u64 };
    inflated.into_raw()
}

/// Inflates all members of `input`, one after the other, into one buffer.
fn inflate(input: &[u8]) -> Option<Buffer> {
    let decompressor = Decompressor::new()?;
    let bound = INFLATED_BYTES_MAX.min(input.len().saturating_mul(INFLATION_MAX));
    let mut buffer = Buffer::with_capacity(stated_len(input)?.min(bound))?;
    let mut rest = input;
    loop {
        match decompressor.member(rest, &mut buffer) {
            Member::Inflated(taken) => rest = rest.get(taken..)?,
            Member::NoRoom if buffer.capacity < bound => buffer.grow(bound)?,
            Member::NoRoom | Member::Damaged => return None,
        }
        // What follows the last member and is none itself is padding.
        if !rest.starts_with(&GZIP_MAGIC) {
            return Some(buffer);
        }
    }
}

/// The inflated length by the trailer: right for one member below 4 GiB, else a guess.
fn stated_len(input: &[u8]) -> Option<usize> {
    if input.len() < MEMBER_BYTES_MIN || !input.starts_with(&GZIP_MAGIC) {
        return None;
    }
    let trailer: [u8; 4] = *input.last_chunk()?;
    usize::try_from(u32::from_le_bytes(trailer)).ok()
}

enum Member {
    /// So many compressed bytes were used.
    Inflated(usize),
    NoRoom,
    Damaged,
}

struct Decompressor {
    raw: NonNull<deflate::libdeflate_decompressor>,
}

impl Decompressor {
    fn new() -> Option<Self> {
        // SAFETY: no conditions; null when there is no memory.
        NonNull::new(unsafe { deflate::libdeflate_alloc_decompressor() }).map(|raw| Self { raw })
    }

    /// Inflates the first member of `input` behind what the buffer holds.
    fn member(&self, input: &[u8], buffer: &mut Buffer) -> Member {
        let (mut taken, mut given) = (0, 0);
        // SAFETY: input and the free part of the buffer are valid for the lengths given.
        let result = unsafe {
            let free = buffer.start.as_ptr().add(buffer.len);
            deflate::libdeflate_gzip_decompress_ex(
                self.raw.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                free.cast(),
                buffer.capacity - buffer.len,
                &mut taken,
                &mut given,
            )
        };
        match result {
            deflate::libdeflate_result_LIBDEFLATE_SUCCESS => {
                buffer.len += given;
                Member::Inflated(taken)
            }
            deflate::libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Member::NoRoom,
            _ => Member::Damaged,
        }
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { deflate::libdeflate_free_decompressor(self.raw.as_ptr()) }
    }
}

/// Memory from `malloc`, because librdkafka gives it back with `free`. One byte more than
/// its capacity, for a final zero.
struct Buffer {
    start: NonNull<u8>,
    len: usize,
    capacity: usize,
}

impl Buffer {
    fn with_capacity(capacity: usize) -> Option<Self> {
        // SAFETY: no conditions; null when there is no memory.
        let start = NonNull::new(unsafe { libc::malloc(capacity + 1) }.cast())?;
        Some(Self { start, len: 0, capacity })
    }

    /// Doubles it, up to `bound`.
    fn grow(&mut self, bound: usize) -> Option<()> {
        let capacity = (self.capacity.max(4_096) * 2).min(bound);
        // SAFETY: the block came from malloc and is replaced by what is returned, unless
        // that is null: then it is still ours, and drop frees it.
        let start = unsafe { libc::realloc(self.start.as_ptr().cast(), capacity + 1) };
        self.start = NonNull::new(start.cast())?;
        self.capacity = capacity;
        Some(())
    }

    fn end_with_zero(&mut self) {
        // SAFETY: there is one byte more than the capacity, and len <= capacity.
        unsafe { *self.start.as_ptr().add(self.len) = 0 };
    }

    fn into_raw(self) -> *mut c_void {
        let start = self.start.as_ptr().cast();
        std::mem::forget(self);
        start
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: owned, from malloc, freed once.
        unsafe { libc::free(self.start.as_ptr().cast()) }
    }
}
