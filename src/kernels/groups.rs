//! The samples of a batch by the row that they are of.

/// Keys above which counting beats comparing.
const MANY: usize = 512;

/// The samples of a batch grouped by row: rows ascend, the samples of a row keep their order.
#[derive(Debug, Default)]
pub struct Groups {
    /// The distinct rows, ascending: `[N]`.
    pub rows: Vec<u32>,
    /// Where the samples of each row start in [`samples`](Self::samples), and where the last one's end: `[N + 1]`.
    pub starts: Vec<u32>,
    /// `[B]`.
    pub samples: Vec<u32>,
    keys: Vec<u64>,
    spare: Vec<u64>,
}

impl Groups {
    /// Groups the samples of a batch; `row_of_sample` is `[B]`, fewer than 2^32. Time `B` where rows are below 2^22.
    pub fn fill(&mut self, row_of_sample: &[i32]) {
        if row_of_sample.len() < MANY {
            self.keys.clear();
            self.keys.extend(keys_of(row_of_sample));
            self.keys.sort_unstable();
        } else {
            self.sort_by_digits(row_of_sample);
        }
        let n_samples = self.keys.len();
        self.rows.resize(n_samples, 0);
        self.starts.resize(n_samples + 1, 0);
        self.samples.resize(n_samples, 0);
        // Where a row begins is anybody's guess, so none is made: each key writes a row and its end, which stay if the next key is of
        // another row.
        let mut n_rows = 0;
        for (place, key) in self.keys.iter().enumerate() {
            let row = (key >> 32) as u32;
            self.rows[n_rows] = row;
            self.starts[n_rows + 1] = place as u32 + 1;
            self.samples[place] = *key as u32;
            let is_last = self.keys.get(place + 1).is_none_or(|next| (next >> 32) as u32 != row);
            n_rows += usize::from(is_last);
        }
        self.starts[0] = 0;
        self.rows.truncate(n_rows);
        self.starts.truncate(n_rows + 1);
    }

    /// Places at which the distinct rows can be cut into at most `n_pieces` (at least 1) of about as many samples: for piece
    /// `i` from element `i` to element `i + 1`.
    pub fn cut(&self, n_pieces: usize) -> Vec<usize> {
        let n_samples = self.samples.len();
        let border =
            |piece: usize| self.starts.partition_point(|start| (*start as usize) < n_samples * piece / n_pieces);
        (0..=n_pieces).map(|piece| border(piece).min(self.rows.len())).collect()
    }

    /// A stable counting sort of the keys by their rows, digit by digit from the lowest.
    fn sort_by_digits(&mut self, row_of_sample: &[i32]) {
        let highest = row_of_sample.iter().map(|row| *row as u32).max().unwrap_or(0);
        let n_bits = (u32::BITS - highest.leading_zeros()).max(1);
        let n_digits = n_bits.div_ceil(MOST_BITS);
        // Digits of about as many bits: the fewer values one has, the more of the places that are next stay in cache.
        let bits = n_bits.div_ceil(n_digits);
        let Self { keys, spare, .. } = self;
        keys.resize(row_of_sample.len(), 0);
        spare.resize(row_of_sample.len(), 0);
        for number in 0..n_digits {
            let digit = |row: u32| (row >> (bits * number)) as usize & ((1 << bits) - 1);
            let mut next = [0u32; 1 << MOST_BITS];
            row_of_sample.iter().for_each(|row| next[digit(*row as u32)] += 1);
            let mut sum = 0;
            for place in &mut next[..1 << bits] {
                (*place, sum) = (sum, sum + *place);
            }
            let mut put = |key: u64| {
                let place = &mut next[digit((key >> 32) as u32)];
                spare[*place as usize] = key;
                *place += 1;
            };
            match number {
                0 => keys_of(row_of_sample).for_each(&mut put),
                _ => keys.iter().copied().for_each(&mut put),
            }
            std::mem::swap(keys, spare);
        }
    }
}

/// The most bits of a digit of a row.
const MOST_BITS: u32 = 11;

/// Row and sample in one number, the row first.
#[inline(always)]
fn keys_of(row_of_sample: &[i32]) -> impl Iterator<Item = u64> {
    row_of_sample.iter().enumerate().map(|(sample, row)| u64::from(*row as u32) << 32 | sample as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(rows: &[i32]) -> Vec<(u32, Vec<u32>)> {
        let mut groups = Groups::default();
        groups.fill(&[7, 7, 7]);
        groups.fill(rows);
        let samples = |place: usize| &groups.samples[groups.starts[place] as usize..groups.starts[place + 1] as usize];
        groups.rows.iter().enumerate().map(|(place, row)| (*row, samples(place).to_vec())).collect()
    }

    #[test]
    fn samples_stay_in_order_within_their_row() {
        assert_eq!(grouped(&[5, 2, 5, 0]), [(0, vec![3]), (2, vec![1]), (5, vec![0, 2])]);
        assert!(grouped(&[]).is_empty());
    }

    #[test]
    fn many_samples_are_grouped_as_few_are() {
        // A linear congruential sequence over rows of every size.
        let mut state = 1u32;
        let mut draw = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((u64::from(state) * u64::from(below)) >> 32) as i32
        };
        for below in [1, 3, 2_000, 5_000_000, i32::MAX as u32] {
            let rows: Vec<i32> = (0..3_000).map(|_| draw(below)).collect();
            let mut expected: Vec<(i32, u32)> = rows.iter().copied().zip(0..).collect();
            expected.sort();
            let found = grouped(&rows);
            let flat = found.iter().flat_map(|(row, samples)| samples.iter().map(|sample| (*row as i32, *sample)));
            assert!(flat.eq(expected), "{below}");
        }
    }

    #[test]
    fn pieces_cover_all_rows_once() {
        let mut groups = Groups::default();
        groups.fill(&[0, 0, 0, 0, 0, 1, 2, 3]);
        for n_pieces in 1..6 {
            let cuts = groups.cut(n_pieces);
            assert_eq!((cuts.len(), cuts[0], cuts[n_pieces]), (n_pieces + 1, 0, 4));
            assert!(cuts.is_sorted(), "{cuts:?}");
        }
        assert_eq!(groups.cut(2), [0, 1, 4]);
    }
}
