//! What to recommend: the items that a user is expected to rate highest.

use super::predictor::PAIRS_AT_A_TIME;
use super::search::Search;
use super::top_k::{Scored, TopK};
use super::{Embeddings, Interaction, Predictor};
use crate::error::Result;
use crate::ids::{ItemIdx, UserIdx};
use crate::kernels::product::Panels;
use crate::kernels::{Judge, Level, prefetch_all};

/// The items a user is not to be recommended, ascending.
pub type Excluded<'a> = &'a dyn Fn(UserIdx) -> &'a [u32];

/// The items as searches for recommendations read them.
#[derive(Clone, Debug)]
pub(super) struct Offers {
    /// `q_i`, and `b_i` as its offset.
    panels: Panels,
    /// The largest `|q_i|`.
    longest: f64,
    /// The largest `|b_i|`.
    largest_bias: f64,
}

impl Predictor {
    /// The `k` items that a user is expected to rate highest, best first, without those in `exclude` (ascending). The
    /// scores are predicted ratings. Items rank by the sum before the range, as ratings near its end may look equal; in a
    /// classifier by the expected rating. Where these are equal the lower index comes first.
    ///
    /// Time `I K`.
    ///
    /// # Errors
    /// A failure of the network.
    pub fn recommend(&mut self, user: UserIdx, k: usize, exclude: &[u32]) -> Result<Vec<Scored>> {
        let found = self.recommend_each(&[user], k, &|_| exclude)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    /// The same for each of some users, as one product of matrices where the model has neither layers nor classes. The first call
    /// copies the table of items.
    ///
    /// # Errors
    /// A failure of the network.
    pub fn recommend_each(&mut self, users: &[UserIdx], k: usize, exclude: Excluded) -> Result<Vec<Vec<Scored>>> {
        let embeddings = &self.embeddings;
        if embeddings.parts.interaction == Interaction::Dot && embeddings.parts.classes.is_none() {
            return Ok(embeddings.best_rated(Level::best(), users, k, exclude));
        }
        users.iter().map(|user| self.go_through_items(*user, k, exclude(*user))).collect()
    }

    fn go_through_items(&mut self, user: UserIdx, k: usize, exclude: &[u32]) -> Result<Vec<Scored>> {
        let n_items = self.embeddings.n_items() as u32;
        let mut excluded = exclude.iter().peekable();
        let mut candidates = (0..n_items).filter(move |item| {
            while excluded.next_if(|excluded| **excluded < *item).is_some() {}
            excluded.peek() != Some(&item)
        });
        let is_classifier = self.embeddings.parts.classes.is_some();
        let mut top = TopK::new(k, n_items as usize);
        let (mut items, mut users, mut worths) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            items.clear();
            items.extend(candidates.by_ref().take(PAIRS_AT_A_TIME));
            if items.is_empty() {
                break;
            }
            users.resize(items.len(), user.0);
            self.sums(&users, &items, &mut worths)?;
            if is_classifier {
                worths.iter_mut().for_each(|worth| *worth = self.embeddings.rating(*worth));
            }
            items.iter().zip(&worths).for_each(|(item, worth)| top.offer(*item, *worth));
        }
        let mut best = top.into_sorted();
        if !is_classifier {
            best.iter_mut().for_each(|scored| scored.score = self.embeddings.rating(scored.score));
        }
        Ok(best)
    }
}

impl Embeddings {
    fn best_rated(&self, level: Level, users: &[UserIdx], k: usize, exclude: Excluded) -> Vec<Vec<Scored>> {
        let offers = self.prepared.offers.get_or_init(|| Offers::of(self));
        let width = self.parts.items.width;
        let judge = Tastes { embeddings: self, users, excluded: users.iter().map(|user| exclude(*user)).collect() };
        let search = Search { level, panels: &offers.panels, width, k, judge };
        let fill = |place: usize, query: &mut [f32]| query.copy_from_slice(self.user_factors(users[place]));
        let mut found = search.run(users.len(), fill, |place| offers.slack(self, users[place]));
        for scored in found.iter_mut().flatten() {
            scored.score = self.rating(scored.score);
        }
        found
    }
}

impl Offers {
    fn of(embeddings: &Embeddings) -> Self {
        let (mut longest, mut largest_bias) = (0.0f64, 0.0f64);
        let items = &embeddings.parts.items;
        let panels = Panels::pack(embeddings.n_items(), items.width, |index, row| {
            let item = ItemIdx(index as u32);
            row.copy_from_slice(embeddings.item_factors(item));
            let bias = embeddings.item_bias(item).unwrap_or(0.0);
            longest = longest.max(length(row));
            largest_bias = largest_bias.max(f64::from(bias.abs()));
            bias
        });
        Self { panels, longest, largest_bias }
    }

    /// Twice how far the sums of a user's products may be from those that rank, by the bound of rounding errors of a sum (N. J.
    /// Higham, Accuracy and Stability of Numerical Algorithms, section 3.1) for both, and doubled.
    fn slack(&self, embeddings: &Embeddings, user: UserIdx) -> f32 {
        let width = embeddings.parts.items.width as f64;
        let product = length(embeddings.user_factors(user)) * self.longest;
        let own = f64::from(embeddings.own_biases(Some(user), None).abs()) + f64::from(embeddings.parts.mu.abs()) * 2.0;
        let terms = product + own + self.largest_bias;
        // Products too small for a float may count as 0.
        ((width + 4.0) * (terms * 8.0 * f64::from(f32::EPSILON) + f64::from(f32::MIN_POSITIVE))) as f32
    }
}

/// What a search asks about users and items.
struct Tastes<'a> {
    embeddings: &'a Embeddings,
    users: &'a [UserIdx],
    excluded: Vec<&'a [u32]>,
}

impl Judge for Tastes<'_> {
    fn allows(&self, query: usize, row: u32) -> bool {
        self.excluded[query].binary_search(&row).is_err()
    }

    fn fetch(&self, row: u32) {
        prefetch_all(self.embeddings.item_factors(ItemIdx(row)));
    }

    fn exact(&self, query: usize, row: u32) -> f32 {
        self.embeddings.sum_of_products(self.users[query], ItemIdx(row))
    }
}

/// `|x|`.
pub(super) fn length(row: &[f32]) -> f64 {
    row.iter().map(|number| f64::from(*number) * f64::from(*number)).sum::<f64>().sqrt()
}
