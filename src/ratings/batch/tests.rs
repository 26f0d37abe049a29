use super::*;

const AS_IS: WorkingScale = WorkingScale { origin: 0.0, factor: 1.0 };

fn ratings(n: u32) -> Arc<Ratings> {
    let mut ratings = Ratings::default();
    (0..n).for_each(|row| ratings.push(row / 3, row % 3, row as f32, 1.0));
    Arc::new(ratings)
}

/// As if they had been dealt.
fn dealt(n: u32) -> Arc<Ratings> {
    Arc::new(Ratings { is_dealt: true, ..Ratings::clone(&ratings(n)) })
}

fn epoch(batches: &mut Batches) -> (Vec<usize>, Vec<f32>) {
    batches.start_epoch();
    let (mut sizes, mut values) = (Vec::new(), Vec::new());
    while let Some(batch) = batches.next_batch() {
        let fields = batch.users.iter().zip(batch.items).zip(batch.values).zip(batch.ratings);
        for (((&user, &item), &value), &rating) in fields {
            assert_eq!((user, item, value), (rating as i32 / 3, rating as i32 % 3, rating));
        }
        assert!(batch.weights.is_empty());
        sizes.push(batch.ratings.len());
        values.extend_from_slice(batch.ratings);
    }
    (sizes, values)
}

#[test]
fn an_epoch_deals_every_rating_once_in_a_new_order() {
    let many = 3 * WINDOW + 1_000;
    for (train, batch_size) in [
        (ratings(10), 4),
        (dealt(10), 4),
        (dealt(1_000), 1),
        (dealt(many as u32), 100),
        (dealt(many as u32), WINDOW - 1),
        (dealt(many as u32), 2 * WINDOW),
        (dealt(many as u32), many),
    ] {
        let mut batches = Batches::new(Arc::clone(&train), batch_size, AS_IS, Rng::new(1));
        assert!(batches.next_batch().is_none());
        let (sizes, first) = epoch(&mut batches);
        let (_, second) = epoch(&mut batches);
        assert_eq!(sizes.len(), batches.per_epoch());
        assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == batch_size));
        assert!(first != second && first != train.values());
        for mut values in [first, second] {
            values.sort_by(f32::total_cmp);
            assert_eq!(values, train.values());
        }
    }
}

#[test]
fn runs_are_far_apart_after_an_epoch_was_shuffled() {
    let n = 8 * WINDOW;
    let (_, values) = epoch(&mut Batches::new(dealt(n as u32), 256, AS_IS, Rng::new(5)));
    let run = |value: &f32| *value as usize / RUN;
    let same = values.windows(2).filter(|pair| run(&pair[0]) == run(&pair[1])).count() as f64;
    // In a window each of the 63 others of a rating's run is its neighbour with probability 1 / 65,536.
    let expected = n as f64 * 63.0 / WINDOW as f64;
    assert!((same - expected).abs() < 5.0 * expected.sqrt(), "{same}, not {expected}");
    // Each of the eight windows has its share of every eighth of the ratings.
    for window in values.chunks(WINDOW) {
        for eighth in 0..8 {
            let share = window.iter().filter(|value| **value as usize / WINDOW == eighth).count() as f64;
            // 1,024 runs in eight cells: deviation sqrt(1,024 * 7 / 64) runs.
            assert!((share - WINDOW as f64 / 8.0).abs() < 5.0 * 10.6 * RUN as f64, "{share}");
        }
    }
}

#[test]
fn a_seed_gives_the_same_order_and_another_seed_another() {
    for train in [ratings(50), dealt(500)] {
        let order = |seed| epoch(&mut Batches::new(Arc::clone(&train), 7, AS_IS, Rng::new(seed))).1;
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}

#[test]
fn ratings_in_order_are_dealt_as_they_always_were() {
    // From an implementation of the generator and the shuffle in Python; models were trained in this order.
    let (_, values) = epoch(&mut Batches::new(ratings(8), 3, AS_IS, Rng::new(42)));
    assert_eq!(values, [7.0, 0.0, 1.0, 4.0, 3.0, 5.0, 2.0, 6.0]);
}

#[test]
fn weights_go_with_their_ratings() {
    for is_dealt in [false, true] {
        let mut train = Ratings { weights: Some(Vec::new()), is_dealt, ..Ratings::default() };
        (0..100).for_each(|row| train.push(row / 3, row % 3, row as f32, row as f32 / 4.5));
        let mut batches = Batches::new(Arc::new(train), 4, AS_IS, Rng::new(1));
        batches.start_epoch();
        while let Some(batch) = batches.next_batch() {
            let expected: Vec<f32> = batch.ratings.iter().map(|rating| rating / 4.5).collect();
            assert_eq!(batch.weights, expected);
        }
    }
}

#[test]
fn batches_are_the_same_when_they_are_dealt_ahead() {
    for (train, batch_size) in [(ratings(50), 7), (dealt(500), 7), (dealt(3 * WINDOW as u32), 20_000)] {
        let batches = || Batches::new(Arc::clone(&train), batch_size, AS_IS, Rng::new(1));
        let (mut plain, mut pipelined) = (batches(), batches());
        for _ in 0..2 {
            let (_, expected) = epoch(&mut plain);
            pipelined.start_epoch();
            let mut found = Vec::new();
            while let Some((batch, mut ahead)) = pipelined.next_batch_and_ahead() {
                // Not always, as a program may refuse a step.
                if !(batch.values[0] as u32).is_multiple_of(3) {
                    ahead();
                }
                found.extend_from_slice(batch.values);
            }
            assert!(found == expected);
        }
    }
}

#[test]
fn what_was_dealt_ahead_is_forgotten_with_its_epoch() {
    let mut batches = Batches::new(dealt(500), 7, AS_IS, Rng::new(1));
    batches.start_epoch();
    batches.next_batch_and_ahead().unwrap().1();
    let (_, mut values) = epoch(&mut batches);
    values.sort_by(f32::total_cmp);
    assert_eq!(values, dealt(500).values());
}

#[test]
fn odd_batch_sizes_work() {
    for train in [ratings(3), dealt(3)] {
        assert_eq!(epoch(&mut Batches::new(Arc::clone(&train), usize::MAX, AS_IS, Rng::new(1))).0, [3]);
        assert_eq!(epoch(&mut Batches::new(Arc::clone(&train), 0, AS_IS, Rng::new(1))).0, [1, 1, 1]);
    }
    assert!(epoch(&mut Batches::new(Arc::default(), 4, AS_IS, Rng::new(1))).0.is_empty());
}

#[test]
fn the_working_scale_is_exact_where_32_bits_would_not_be() {
    let scale = WorkingScale { origin: f64::from(f32::MIN), factor: 1.0 / (2.0 * f64::from(f32::MAX)) };
    assert_eq!((scale.apply(f32::MIN), scale.apply(0.0), scale.apply(f32::MAX)), (0.0, 0.5, 1.0));
}
