//! Combining CRC-32 checksums: arithmetic in GF(2) modulo the CRC polynomial.
//!
//! `crc32fast` can combine too, but works the length's operator out anew each time; kept beside
//! its part the operator makes combining one multiplication.

const POLYNOMIAL: u32 = 0xEDB8_8320;

/// `a · b` modulo the polynomial; bit 31 is the coefficient of 1.
fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    // Without branches: the bits of a checksum are as good as random, so none could be foretold.
    for bit in (0..32).rev() {
        product ^= b & 0_u32.wrapping_sub((a >> bit) & 1);
        b = (b >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(b & 1));
    }
    product
}

/// What a checksum is multiplied by when `len` bytes follow: x to the power of `8 · len`.
pub(crate) fn operator(len: u64) -> u32 {
    let mut operator = 1 << 31;
    // x to the power of 8, and on by squaring.
    let mut power: u32 = 1 << 23;
    let mut rest = len;
    while rest != 0 {
        if rest & 1 == 1 {
            operator = multiply(operator, power);
        }
        power = multiply(power, power);
        rest >>= 1;
    }
    operator
}

/// The checksum of two texts one after the other, the second of which has `operator`.
pub(crate) fn combine(first: u32, second: u32, operator: u32) -> u32 {
    multiply(operator, first) ^ second
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn combining_gives_the_checksum_of_the_whole(
            a in prop::collection::vec(any::<u8>(), 0..5000),
            b in prop::collection::vec(any::<u8>(), 0..5000),
        ) {
            let whole = [a.clone(), b.clone()].concat();
            let combined =
                combine(crc32fast::hash(&a), crc32fast::hash(&b), operator(b.len() as u64));
            prop_assert_eq!(combined, crc32fast::hash(&whole));
        }
    }
}
