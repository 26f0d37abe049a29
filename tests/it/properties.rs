//! What holds for all ids, splits, vocabularies, searches and metrics, on cases that `proptest` makes up and then makes small.

use std::collections::{BTreeSet, HashSet};

use cofi::ids::{Id, IdKind, InOrder, ItemIdx, UserIdx, Vocabulary, VocabularyBuilder};
use cofi::kernels::product::{Panels, Queries, search};
use cofi::kernels::{Best, Judge, Level, dot};
use cofi::metrics::{Confusion, Judged, Ranking, RankingTotals, Scores, nearest};
use cofi::ratings::{Dataset, DatasetBuilder, Split, pair_fraction};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

/// An id that belongs to nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Owned {
    Integer(i64),
    Text(String),
}

impl Owned {
    fn id(&self) -> Id<'_> {
        match self {
            Owned::Integer(number) => Id::Integer(*number),
            Owned::Text(text) => Id::Text(text),
        }
    }
}

/// Ids of one kind: integers close together and far apart, texts short, long and of any characters.
fn ids(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Owned>> {
    let integer = prop_oneof![-5i64..20, any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(Owned::Integer);
    let text = prop_oneof!["[ab]{0,3}", ".{0,20}", "[a-z]{15,17}"].prop_map(Owned::Text);
    prop_oneof![vec(integer, n.clone()), vec(text, n)]
}

fn kind(ids: &[Owned]) -> IdKind {
    ids.first().map_or(IdKind::Integer, |id| id.id().kind())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in whichever order to however many builders, the vocabulary is the sorted distinct ids.
    #[test]
    fn vocabularies_are_the_sorted_ids(ids in ids(0..60), n_builders in 1usize..4, others in ids(0..10)) {
        let kind = kind(&ids);
        let mut builders: Vec<_> = (0..n_builders).map(|_| VocabularyBuilder::new(kind)).collect();
        let mut numbers = Vec::new();
        for (place, id) in ids.iter().enumerate() {
            numbers.push(builders[place % n_builders].insert(id.id()).unwrap());
        }
        let in_order: Vec<_> = builders.iter().map(VocabularyBuilder::in_order).collect();
        let vocabulary = InOrder::merge(kind, &in_order, |_, _| true).unwrap();
        let expected: BTreeSet<_> = ids.iter().cloned().collect();
        prop_assert_eq!(vocabulary.iter().collect::<Vec<_>>(), expected.iter().map(Owned::id).collect::<Vec<_>>());
        for (index, id) in expected.iter().enumerate() {
            prop_assert_eq!(vocabulary.get(id.id()), Some(index as u32));
            prop_assert_eq!(vocabulary.id(index as u32), Some(id.id()));
        }
        let indices: Vec<_> = in_order.iter().map(|builder| builder.indices_in(&vocabulary)).collect();
        for (place, id) in ids.iter().enumerate() {
            let index = indices[place % n_builders][numbers[place] as usize];
            prop_assert_eq!(index, vocabulary.get(id.id()));
        }
        // Ids of the other kind: an integer's text is the integer, anything else is unknown.
        for other in &others {
            let known = match (kind, other) {
                (IdKind::Integer, Owned::Text(text)) => text.parse().ok().map(Owned::Integer),
                (IdKind::Text, Owned::Integer(_)) => None,
                _ => Some(other.clone()),
            };
            let place = known.and_then(|known| expected.iter().position(|id| *id == known));
            prop_assert_eq!(vocabulary.get(other.id()), place.map(|place| place as u32));
        }
        if kind == IdKind::Integer {
            let asked: Vec<i64> = expected.iter().map(|id| if let Owned::Integer(n) = id { n.wrapping_add(1) } else { 0 }).collect();
            let mut found = Vec::new();
            vocabulary.get_integers(&asked, &mut found);
            prop_assert_eq!(found, asked.iter().map(|id| vocabulary.get(Id::Integer(*id))).collect::<Vec<_>>());
        }
    }

    /// Only ids that ascend can be pushed, and what is refused changes nothing.
    #[test]
    fn vocabularies_refuse_what_does_not_ascend(ids in ids(1..30)) {
        let mut vocabulary = Vocabulary::new(kind(&ids));
        let mut expected: Vec<Owned> = Vec::new();
        for id in &ids {
            let ascends = expected.last().is_none_or(|last| last.id() < id.id());
            prop_assert_eq!(vocabulary.push(id.id()).is_ok(), ascends);
            expected.extend(ascends.then(|| id.clone()));
            prop_assert_eq!(vocabulary.len(), expected.len());
        }
        prop_assert!(vocabulary.iter().eq(expected.iter().map(Owned::id)));
    }

    /// A pair's side depends on the pair and the seed alone, and grows with the fraction.
    #[test]
    fn a_larger_fraction_holds_out_the_same_and_more(user in ids(1..2), item in ids(1..2), seed in any::<u64>(), one in 0.0..1.0f64, other in 0.0..1.0f64) {
        let (user, item) = (user[0].id(), item[0].id());
        let holds_out = |fraction| Split::Pairs { fraction, seed }.holds_out(user, item).unwrap();
        let drawn = pair_fraction(seed, user, item);
        prop_assert!((0.0..1.0).contains(&drawn));
        prop_assert!(!holds_out(0.0));
        prop_assert!(holds_out(one) <= holds_out(one.max(other)));
        prop_assert_eq!(holds_out(one), drawn < one);
    }

    /// Neither the order of rows nor the number of parts changes anything, and every row is on the side that its pair says.
    #[test]
    fn data_sets_depend_on_their_rows_alone(rows in vec((0i64..8, 0i64..9, 1i32..6), 2..80), fraction in 0.0..0.6f64, seed in any::<u64>()) {
        let build = |rows: &[(i64, i64, i32)], parts: usize| {
            let mut builder = DatasetBuilder::new(IdKind::Integer, IdKind::Integer, Split::Pairs { fraction, seed }).in_parts(parts);
            for (user, item, rating) in rows {
                builder.push_row(Some(Id::Integer(*user)), Some(Id::Integer(*item)), Some(f64::from(*rating)))?;
            }
            builder.finish()
        };
        let mut turned = rows.clone();
        turned.reverse();
        let (found, again) = match (build(&rows, 1), build(&turned, 3)) {
            (Ok(found), Ok(again)) => (found, again),
            (one, other) => {
                // Too few users, items or values: so it is either way.
                prop_assert_eq!(one.err().map(|error| error.to_string()), other.err().map(|error| error.to_string()));
                return Ok(());
            }
        };
        prop_assert!(found.users.iter().eq(again.users.iter()) && found.items.iter().eq(again.items.iter()));
        prop_assert_eq!(&found.train, &again.train);
        prop_assert_eq!(&found.valid, &again.valid);
        prop_assert_eq!(&found.seen, &again.seen);
        check_sides(&found, &rows, Split::Pairs { fraction, seed })?;
    }

    /// A search finds what sorting everything finds, at every level.
    #[test]
    fn searches_find_the_best((width, table, queries) in (1usize..20).prop_flat_map(|width| (
        Just(width), vec(vec(-4i32..5, width), 0..70), vec(vec(-4i32..5, width), 1..4))), k in 0usize..80, forbidden in 0u32..7) {
        let halves = |rows: &[Vec<i32>]| -> Vec<Vec<f32>> { rows.iter().map(|row| row.iter().map(|n| *n as f32 / 2.0).collect()).collect() };
        let world = World { table: halves(&table), queries: halves(&queries), forbidden };
        for level in Level::available() {
            let panels = Panels::pack(world.table.len(), width, |row, slot| {
                slot.copy_from_slice(&world.table[row]);
                world.offset(row as u32)
            });
            let packed = Queries::pack(level, world.queries.len(), width, |query, slot| slot.copy_from_slice(&world.queries[query]));
            // Halves up to 2 are exact.
            let mut searches = vec![Best::new(k, world.table.len(), 0.0); world.queries.len()];
            search(&panels, &packed, &mut searches, &world);
            for (query, best) in searches.into_iter().enumerate() {
                let found: Vec<_> = best.finish(&world, query).into_iter().map(|best| (best.row, best.score)).collect();
                let mut expected: Vec<_> = (0..world.table.len() as u32).filter(|row| world.allows(query, *row)).map(|row| (row, world.exact(query, row))).collect();
                expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                expected.truncate(k);
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn errors_keep_their_order(pairs in vec((-50i32..50, -50i32..50), 1..40), levels in btree_set(-50i32..50, 0..12)) {
        let levels: Vec<f32> = levels.into_iter().map(|level| level as f32 / 4.0).collect();
        let judged = |(rating, prediction): &(i32, i32)| Judged { rating: *rating as f32 / 4.0, prediction: *prediction as f32 / 4.0, level: None };
        let scores = Scores::of(pairs.iter().map(judged), Some(&levels)).unwrap();
        prop_assert_eq!(scores.n, pairs.len());
        prop_assert!(0.0 <= scores.mae && scores.mae <= scores.rmse() * (1.0 + 1e-12));
        let largest = pairs.iter().map(|(a, b)| f64::from((a - b).abs()) / 4.0).fold(0.0, f64::max);
        prop_assert!(scores.rmse() <= largest * (1.0 + 1e-12));
        prop_assert!((0.0..=1.0).contains(&scores.accuracy.unwrap()));
        prop_assert_eq!(scores.mse == 0.0, pairs.iter().all(|(a, b)| a == b));
        // Sums of quarters and sixteenths are exact, so that their order makes no difference.
        prop_assert_eq!(Scores::of(pairs.iter().rev().map(judged), Some(&levels)), Some(scores));
        let mut confusion = Confusion::new(&levels);
        let n_counted = pairs.iter().filter(|pair| confusion.add(judged(pair))).count() as u64;
        prop_assert_eq!(confusion.cells().map(|cell| cell.n).sum::<u64>(), n_counted);
        for (_, value) in &pairs {
            let value = *value as f32 / 4.0;
            let by_distance = levels.iter().copied().min_by(|a, b| (a - value).abs().total_cmp(&(b - value).abs()).then(a.total_cmp(b)));
            prop_assert_eq!(nearest(&levels, value), by_distance);
        }
    }

    #[test]
    fn rankings_stay_between_nothing_and_the_best(ranked in Just((0..20u8).collect::<Vec<_>>()).prop_shuffle(), length in 0usize..21,
        relevant in btree_set(0..30u8, 0..20), k in 1usize..25) {
        let relevant: HashSet<u8> = relevant.into_iter().collect();
        let list = &ranked[..length];
        let found = Ranking::of(list, &relevant, k);
        prop_assert_eq!(found.is_none(), relevant.is_empty());
        let mut totals = RankingTotals::new(k);
        totals.add(list, &relevant);
        prop_assert_eq!(totals.means(), found);
        let Some(found) = found else { return Ok(()) };
        let all = |ranking: &Ranking| [ranking.precision, ranking.recall, ranking.ndcg, ranking.map, ranking.hit_rate];
        prop_assert!(all(&found).iter().all(|metric| (0.0..=1.0 + 1e-12).contains(metric)), "{:?}", found);
        let n_hits = list.iter().take(k).filter(|item| relevant.contains(item)).count();
        prop_assert!((found.precision * k as f64 - n_hits as f64).abs() < 1e-9);
        prop_assert!((found.recall * relevant.len() as f64 - n_hits as f64).abs() < 1e-9);
        // The same hits in front are never worse, and with nothing missed everything that can be 1 is.
        let mut best: Vec<u8> = list.iter().take(k).copied().collect();
        best.sort_by_key(|item| !relevant.contains(item));
        let ideal = Ranking::of(&best, &relevant, k).unwrap();
        prop_assert!(all(&ideal).iter().zip(all(&found)).all(|(ideal, found)| *ideal >= found - 1e-12));
        let perfect: Vec<u8> = relevant.iter().copied().collect();
        let perfect = Ranking::of(&perfect, &relevant, k).unwrap();
        prop_assert!((perfect.ndcg - 1.0).abs() < 1e-12 && (perfect.map - 1.0).abs() < 1e-12 && perfect.hit_rate == 1.0);
    }
}

/// Each row is where the split says, counted and seen.
fn check_sides(found: &Dataset, rows: &[(i64, i64, i32)], split: Split) -> Result<(), TestCaseError> {
    let held_out =
        |(user, item, _): &&(i64, i64, i32)| split.holds_out(Id::Integer(*user), Id::Integer(*item)) == Some(true);
    let n_held_out = rows.iter().filter(held_out).count();
    prop_assert_eq!((found.valid.len(), found.train.len()), (n_held_out, rows.len() - n_held_out));
    let known: BTreeSet<i64> = rows.iter().filter(|row| !held_out(row)).map(|row| row.0).collect();
    prop_assert!(found.users.iter().eq(known.iter().map(|user| Id::Integer(*user))));
    let index =
        |(user, item, _): &(i64, i64, i32)| (found.users.get(Id::Integer(*user)), found.items.get(Id::Integer(*item)));
    let mut expected: Vec<_> = rows.iter().filter(|row| !held_out(row)).map(|row| (index(row), row.2 as f32)).collect();
    let mut train: Vec<_> =
        found.train.iter().map(|(UserIdx(u), ItemIdx(i), value)| ((Some(u), Some(i)), value)).collect();
    let order = |a: &((Option<u32>, Option<u32>), f32), b: &((Option<u32>, Option<u32>), f32)| {
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    };
    expected.sort_by(order);
    train.sort_by(order);
    prop_assert_eq!(train, expected);
    let seen: BTreeSet<_> = rows.iter().filter_map(|row| Some((index(row).0?, index(row).1?))).collect();
    prop_assert!(found.seen.pairs().eq(seen));
    prop_assert_eq!(found.user_counts.iter().sum::<u32>() as usize, found.train.len());
    prop_assert_eq!(found.item_counts.iter().sum::<u32>() as usize, found.train.len());
    Ok(())
}

/// A table and queries of halves.
struct World {
    table: Vec<Vec<f32>>,
    queries: Vec<Vec<f32>>,
    forbidden: u32,
}

impl World {
    fn offset(&self, row: u32) -> f32 {
        (row % 3) as f32 / 2.0
    }
}

impl Judge for World {
    fn allows(&self, query: usize, row: u32) -> bool {
        (row + query as u32) % 7 != self.forbidden
    }

    fn fetch(&self, _: u32) {}

    fn exact(&self, query: usize, row: u32) -> f32 {
        dot(&self.queries[query], &self.table[row as usize]) + self.offset(row)
    }
}
