//! Where a learning rate finder points: into the longest valley of the losses.

/// The index of the rate to take, from the loss at each of a growing series of rates; `None` where no loss is below an
/// earlier one.
///
/// The rule is the `valley` suggestion of fastai's `lr_find` (J. Howard, S. Gugger: "fastai: A Layered API for Deep
/// Learning", Information 11, 2020). The valley ends where the longest strictly descending subsequence does, the first
/// of several that are as long, and is as many points long as it. The rate lies half-way down: past a third of the
/// valley, and half of the next. A loss that is not a number descends from nothing. Time quadratic.
pub fn valley(losses: &[f64]) -> Option<usize> {
    // For each loss, how long the longest descent is that ends with it.
    let mut lengths: Vec<usize> = Vec::with_capacity(losses.len());
    for loss in losses {
        let before = losses.iter().zip(&lengths).filter(|(earlier, _)| loss < *earlier).map(|(_, length)| *length);
        let longest = before.max().unwrap_or(0);
        lengths.push(longest + 1);
    }
    let longest = lengths.iter().copied().max().filter(|longest| *longest > 1)?;
    let end = lengths.iter().position(|length| *length == longest)?;
    // The valley begins a point before its first where it can.
    Some((end + longest / 3 + longest / 6).saturating_sub(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_descent_is_left_half_way() {
        // Twelve points: the valley is 12 long and ends at 11, so 11 - 12 + 4 + 2.
        let losses: Vec<f64> = (0..12).map(|i| -f64::from(i)).collect();
        assert_eq!(valley(&losses), Some(5));
    }

    #[test]
    fn a_plateau_before_and_a_cliff_behind_are_left_out() {
        // A flat stretch of 10, a descent of 9 to index 18, then up: 18 - 9 + 3 + 1. The last point of the plateau
        // takes part: 10 long in all.
        let mut losses = vec![5.0; 10];
        losses.extend((1..=9).map(|i| 5.0 - 0.5 * f64::from(i)));
        losses.extend([2.0, 7.0, 90.0]);
        assert_eq!(valley(&losses), Some(18 - 10 + 3 + 1));
    }

    #[test]
    fn a_bump_does_not_end_the_valley() {
        // 9 8 7 (8) 6 5 (6) 4 3: seven points descend, the valley ends at 8: 8 - 7 + 2 + 1.
        assert_eq!(valley(&[9.0, 8.0, 7.0, 8.0, 6.0, 5.0, 6.0, 4.0, 3.0, 50.0]), Some(4));
    }

    #[test]
    fn of_two_valleys_the_longer_counts_and_of_equal_ones_the_first() {
        // 4 points end at 3; then 6 that begin above them and end at 9: 9 - 6 + 2 + 1.
        assert_eq!(valley(&[4.0, 3.0, 2.0, 1.0, 30.0, 29.0, 28.0, 27.0, 26.0, 25.0]), Some(6));
        // 3 points end at 2, three more at 5: 2 - 3 + 1 + 0.
        assert_eq!(valley(&[3.0, 2.0, 1.0, 30.0, 29.0, 28.0]), Some(0));
    }

    #[test]
    fn losses_that_are_not_numbers_take_no_part() {
        let nan = f64::NAN;
        assert_eq!(valley(&[nan, 6.0, 5.0, nan, 4.0, 3.0, 2.0, f64::INFINITY, nan]), Some(6 - 5 + 1));
    }

    #[test]
    fn without_a_descent_there_is_no_suggestion() {
        for losses in [&[][..], &[1.0], &[1.0, 1.0, 2.0], &[f64::NAN; 4]] {
            assert_eq!(valley(losses), None, "{losses:?}");
        }
        assert_eq!(valley(&[2.0, 1.0]), Some(0));
    }
}
