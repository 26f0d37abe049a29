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
}

impl ObservedScale {
    pub(super) fn new() -> Self {
        Self { levels: Some(Vec::new()), lowest: f32::INFINITY, highest: f32::NEG_INFINITY }
    }

    pub(super) fn note(&mut self, value: f32) {
        self.lowest = self.lowest.min(value);
        self.highest = self.highest.max(value);
        let Some(levels) = &mut self.levels else { return };
        if let Err(place) = levels.binary_search_by(|level| level.total_cmp(&value)) {
            if levels.len() < MOST_LEVELS {
                levels.insert(place, value);
            } else {
                self.levels = None;
            }
        }
    }
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
    fn too_many_levels_are_a_continuum() {
        let mut scale = ObservedScale::new();
        (0..1_000).chain(0..1_000).for_each(|value| scale.note(value as f32));
        assert_eq!(scale.levels.as_ref().map(Vec::len), Some(1_000));
        [0.5, 7.0].into_iter().for_each(|value| scale.note(value));
        assert_eq!((scale.levels, scale.lowest, scale.highest), (None, 0.0, 999.0));
    }
}
