//! Which ratings there are: the steps of a scale of stars, or a continuum.

/// More distinct ratings than these are a continuum.
const MOST_LEVELS: usize = 1_000;

/// The distinct ratings seen so far, as long as they are few, and their bounds.
#[derive(Debug)]
pub(super) struct ObservedScale {
    /// Ascending; `None` once they are too many.
    pub(super) levels: Option<Vec<f32>>,
    /// Infinite before the first rating.
    pub(super) lowest: f32,
    /// Minus infinite before the first rating.
    pub(super) highest: f32,
    /// Ratings that were met before, by a few of their bits: nearly all are one of a few.
    recent: [Option<f32>; RECENT],
}

/// Places for ratings that were met before.
const RECENT: usize = 64;

impl ObservedScale {
    pub(super) fn new() -> Self {
        Self { levels: Some(Vec::new()), lowest: f32::INFINITY, highest: f32::NEG_INFINITY, recent: [None; RECENT] }
    }

    #[inline]
    pub(super) fn note(&mut self, value: f32) {
        let recent = &mut self.recent[(value.to_bits().wrapping_mul(0x9e37_79b9) >> 26) as usize];
        if *recent != Some(value) {
            *recent = Some(value);
            self.note_new(value);
        }
    }

    /// Notes what others have.
    pub(super) fn merge(&mut self, other: &Self) {
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
        match &other.levels {
            Some(levels) => levels.iter().for_each(|level| self.note_new(*level)),
            None => self.levels = None,
        }
    }

    fn note_new(&mut self, value: f32) {
        self.lowest = self.lowest.min(value);
        self.highest = self.highest.max(value);
        let Some(levels) = &mut self.levels else { return };
        if let Err(place) = place_of(levels, value) {
            if levels.len() < MOST_LEVELS {
                levels.insert(place, value);
            } else {
                self.levels = None;
            }
        }
    }
}

/// The class of a rating: its place among the distinct ratings, ascending; `None` where it is none of them.
///
/// Levels and ratings of a [`Dataset`](super::Dataset) are equal to the bit, so nothing is rounded.
pub fn class_of(levels: &[f32], value: f32) -> Option<u32> {
    place_of(levels, value).ok().map(|place| place as u32)
}

fn place_of(levels: &[f32], value: f32) -> Result<usize, usize> {
    levels.binary_search_by(|level| level.total_cmp(&value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_distinct_and_ascending() {
        let mut scale = ObservedScale::new();
        [3.0, 0.5, 5.0, 3.0, 0.5].into_iter().for_each(|value| scale.note(value));
        assert_eq!((scale.levels, scale.lowest, scale.highest), (Some(vec![0.5, 3.0, 5.0]), 0.5, 5.0));
    }

    #[test]
    fn a_class_is_the_place_of_its_level() {
        let levels = [-1.5, 0.0, 0.5, 5.0];
        assert_eq!(levels.map(|level| class_of(&levels, level)), [0, 1, 2, 3].map(Some));
        for none in [-2.0, 0.25, 5.000_001, f32::NAN] {
            assert_eq!(class_of(&levels, none), None, "{none}");
        }
        assert_eq!(class_of(&[], 1.0), None);
    }

    #[test]
    fn too_many_levels_are_a_continuum() {
        let mut scale = ObservedScale::new();
        (0..1_000).chain(0..1_000).for_each(|value| scale.note(value as f32));
        assert_eq!(scale.levels.as_ref().map(Vec::len), Some(1_000));
        [0.5, 7.0].into_iter().for_each(|value| scale.note(value));
        assert_eq!((scale.levels, scale.lowest, scale.highest), (None, 0.0, 999.0));
    }

    #[test]
    fn scales_are_merged_as_if_one_had_seen_all() {
        let scale = |values: std::ops::Range<u32>| {
            let mut scale = ObservedScale::new();
            values.for_each(|value| scale.note(value as f32));
            scale
        };
        for (first, second, all) in [(0..3, 2..9, 0..9), (0..600, 500..1_001, 0..1_001), (0..2_000, 5..6, 0..2_000)] {
            let (mut merged, second, all) = (scale(first), scale(second), scale(all));
            merged.merge(&second);
            assert_eq!((merged.levels, merged.lowest, merged.highest), (all.levels, all.lowest, all.highest));
        }
        let mut merged = ObservedScale::new();
        merged.merge(&ObservedScale::new());
        assert_eq!((merged.levels, merged.lowest), (Some(Vec::new()), f32::INFINITY));
    }
}
