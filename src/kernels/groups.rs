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
        self.keys.clear();
        let key = |(sample, row): (usize, &i32)| u64::from(*row as u32) << 32 | sample as u64;
        self.keys.extend(row_of_sample.iter().enumerate().map(key));
        if self.keys.len() < MANY {
            self.keys.sort_unstable();
        } else {
            self.sort_by_digits();
        }
        self.rows.clear();
        self.starts.clear();
        self.samples.clear();
        for (place, key) in self.keys.iter().enumerate() {
            let row = (key >> 32) as u32;
            if self.rows.last() != Some(&row) {
                self.rows.push(row);
                self.starts.push(place as u32);
            }
            self.samples.push(*key as u32);
        }
        self.starts.push(self.keys.len() as u32);
    }

    /// Places at which the distinct rows can be cut into at most `n_pieces` (at least 1) of about as many samples: for piece
    /// `i` from element `i` to element `i + 1`.
    pub fn cut(&self, n_pieces: usize) -> Vec<usize> {
        let n_samples = self.samples.len();
        let border =
            |piece: usize| self.starts.partition_point(|start| (*start as usize) < n_samples * piece / n_pieces);
        (0..=n_pieces).map(|piece| border(piece).min(self.rows.len())).collect()
    }

    /// A stable counting sort of the keys by their rows, eleven bits at a time from the lowest.
    fn sort_by_digits(&mut self) {
        const BITS: u32 = 11;
        let highest = self.keys.iter().map(|key| key >> 32).max().unwrap_or(0);
        self.spare.resize(self.keys.len(), 0);
        let mut shift = 32;
        while shift == 32 || (shift < 64 && highest >> (shift - 32) > 0) {
            let digit = |key: u64| (key >> shift) as usize & ((1 << BITS) - 1);
            let mut next = [0u32; 1 << BITS];
            self.keys.iter().for_each(|key| next[digit(*key)] += 1);
            let mut sum = 0;
            for place in &mut next {
                (*place, sum) = (sum, sum + *place);
            }
            for key in &self.keys {
                let place = &mut next[digit(*key)];
                self.spare[*place as usize] = *key;
                *place += 1;
            }
            std::mem::swap(&mut self.keys, &mut self.spare);
            shift += BITS;
        }
    }
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
