//! What a fuzzer mutates, bytes, as the numbers and texts of a case. Out of no bytes come zeros, so every input is a case.

/// Numbers at which something changes.
const WHOLE: [i64; 14] =
    [0, 1, -1, 2, 7, 100, 4096, 4097, 1 << 20, 1 << 24, i32::MAX as i64, i32::MIN as i64, i64::MAX, i64::MIN];
const REAL: [f64; 14] = [
    0.0,
    -0.0,
    1.0,
    0.5,
    0.1,
    1.0 - f64::EPSILON,
    1e-300,
    1e-40,
    1e30,
    f32::MAX as f64,
    f64::MAX,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// The bytes that are left.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// All bytes of an input.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether only zeros are left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `n`, which is at least 1 and at most 256.
    pub fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// One of some things.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// Whether a thing happens that mostly does not.
    pub fn rarely(&mut self) -> bool {
        self.byte() > 224
    }

    /// The next eight bytes.
    pub fn long(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A whole number: a small one, one at which something changes, or any.
    pub fn whole(&mut self) -> i64 {
        match self.byte() {
            small @ 0..128 => i64::from(small),
            128..224 => self.one_of(&WHOLE),
            _ => self.long() as i64,
        }
    }

    /// A number: a small one, one at which something changes, or any.
    pub fn real(&mut self) -> f64 {
        match self.byte() {
            small @ 0..128 => (f64::from(small) - 64.0) / 8.0,
            128..224 => self.one_of(&REAL),
            _ => f64::from_bits(self.long()),
        }
    }

    /// A text, mostly a short one.
    pub fn text(&mut self) -> String {
        let wanted = if self.rarely() { 400 } else { self.below(16) };
        let (text, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}
