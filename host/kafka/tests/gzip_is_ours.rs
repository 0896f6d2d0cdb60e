//! That the replacement of librdkafka's gzip decompression is the one linked, that it is
//! right on real batches, and what it refuses.

mod common;

use std::ffi::c_void;

use common::{LIMITS, Stand, from_start, read_to_end};
use speed_layer_kafka::Message;
use speed_layer_kafka::gzip_ffi::{batches_inflated, rd_gz_decompress};

#[test]
fn a_gzip_topic_is_inflated_by_the_replacement() {
    let stand = Stand::new("zipped", 1);
    let texts: Vec<String> = (0..5_000).map(|number| format!("record number {number}")).collect();
    stand.produce_as(
        "gzip",
        texts.iter().map(|text| Message { value: Some(text.as_bytes()), ..Message::default() }),
    );
    let before = batches_inflated();
    let (_source, mut feeds) = stand.start(&from_start(1), 1);
    let values = read_to_end(&mut feeds, &LIMITS).expect("no fault");
    assert_eq!(values[&0], texts);
    assert!(batches_inflated() > before, "librdkafka's own rd_gz_decompress is linked: gzip is slow");
}

#[test]
fn one_member_and_several_are_inflated_whole() {
    let (one, two) = (gzip(&b"first ".repeat(100)), gzip(&b"second".repeat(9_000)));
    check(&one, Some(b"first ".repeat(100)));
    check(
        &[one.clone(), two.clone()].concat(),
        Some([b"first ".repeat(100), b"second".repeat(9_000)].concat()),
    );
    check(&[two, one].concat(), Some([b"second".repeat(9_000), b"first ".repeat(100)].concat()));
    check(&gzip(b""), Some(Vec::new()));
}

#[test]
fn padding_after_the_last_member_is_left_alone() {
    check(&[gzip(&b"abc".repeat(50)), vec![0; 13]].concat(), Some(b"abc".repeat(50)));
}

#[test]
fn damaged_short_and_hostile_bytes_are_refused() {
    let good = gzip(&b"some text ".repeat(1_000));
    let mut lying = good.clone();
    let trailer = lying.len() - 4;
    lying[trailer..].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0xff;
    check(&lying, None);
    check(&flipped, None);
    check(&good[..good.len() - 1], None);
    check(&good[..10], None);
    check(b"", None);
    check(b"this is no gzip at all, is it", None);
}

#[test]
fn a_bomb_is_refused_before_it_takes_all_memory() {
    check(&gzip(&vec![0; 300 << 20]), None);
}

/// As librdkafka calls it.
fn check(compressed: &[u8], expected: Option<Vec<u8>>) {
    let mut len = 0_u64;
    let input = compressed.as_ptr().cast::<c_void>();
    let input_len = i32::try_from(compressed.len()).expect("a small case");
    // SAFETY: the input is as long as told; the result is a block from malloc of `len` + 1
    // bytes or null, read within its length and freed once.
    let inflated = unsafe {
        let start = rd_gz_decompress(input, input_len, &mut len);
        let bytes = (!start.is_null())
            .then(|| std::slice::from_raw_parts(start.cast::<u8>(), len as usize + 1).to_vec());
        libc::free(start);
        bytes
    };
    let with_zero = expected.map(|bytes| [bytes, vec![0]].concat());
    assert!(
        inflated == with_zero,
        "{} bytes in, {:?} out",
        compressed.len(),
        inflated.map(|bytes| bytes.len())
    );
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use libdeflate_sys as deflate;
    // SAFETY: the compressor is freed here, and writes within the bound it asked for.
    unsafe {
        let compressor = deflate::libdeflate_alloc_compressor(6);
        let bound = deflate::libdeflate_gzip_compress_bound(compressor, bytes.len());
        let mut out = vec![0_u8; bound];
        let (from, to) = (bytes.as_ptr().cast(), out.as_mut_ptr().cast());
        let len = deflate::libdeflate_gzip_compress(compressor, from, bytes.len(), to, bound);
        deflate::libdeflate_free_compressor(compressor);
        out.truncate(len);
        out
    }
}
