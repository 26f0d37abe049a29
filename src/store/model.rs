//! A stored model in memory.

use std::sync::Arc;

use crate::ids::{Id, ItemIdx, UserIdx, Vocabulary};
use crate::ratings::Seen;
use crate::score::{Baseline, Embeddings, Table};
use crate::store::schema::ModelVersion;
use crate::train::Spec;

/// Users or items: what is stored of both has one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `users_n`.
    Users,
    /// `items_n`.
    Items,
}

/// Everything that predictions and recommendations read, whole and of one moment.
#[derive(Debug)]
pub struct StoredModel {
    /// Which model it is.
    pub version: ModelVersion,
    /// How it was made.
    pub spec: Spec,
    /// The mean of its training ratings.
    pub mean: f64,
    /// The ids of users.
    pub users: Vocabulary,
    /// The ids of items.
    pub items: Vocabulary,
    /// Training ratings of each user, `[U]`.
    pub user_counts: Vec<u32>,
    /// Training ratings of each item, `[I]`.
    pub item_counts: Vec<u32>,
    /// The factors, biases, layers and constants.
    pub embeddings: Arc<Embeddings>,
    /// What each user has rated.
    pub seen: Seen,
}

impl StoredModel {
    /// The dense index of a user, where the model knows it.
    pub fn user(&self, id: Id<'_>) -> Option<UserIdx> {
        self.users.get(id).map(UserIdx)
    }

    /// The dense index of an item, where the model knows it.
    pub fn item(&self, id: Id<'_>) -> Option<ItemIdx> {
        self.items.get(id).map(ItemIdx)
    }

    /// The ids of one side.
    pub fn vocabulary(&self, side: Side) -> &Vocabulary {
        match side {
            Side::Users => &self.users,
            Side::Items => &self.items,
        }
    }

    /// The numbers of training ratings of one side.
    pub fn counts(&self, side: Side) -> &[u32] {
        match side {
            Side::Users => &self.user_counts,
            Side::Items => &self.item_counts,
        }
    }

    /// The factors and biases of one side.
    pub fn table(&self, side: Side) -> &Table {
        side_table(&self.embeddings, side)
    }
}

/// The factors and biases of one side.
pub(super) fn side_table(embeddings: &Embeddings, side: Side) -> &Table {
    match side {
        Side::Users => &embeddings.parts().users,
        Side::Items => &embeddings.parts().items,
    }
}

/// The damped deviations of one side, where the baseline is made of them.
pub(super) fn side_deviations(embeddings: &Embeddings, side: Side) -> Option<&[f32]> {
    match (&embeddings.parts().baseline, side) {
        (Baseline::OwnBiases, _) => None,
        (Baseline::DampedMeans { users, .. }, Side::Users) => Some(users),
        (Baseline::DampedMeans { items, .. }, Side::Items) => Some(items),
    }
}
