//! `cofi_recommend_all(k, ...)`: what every user of a model would rate highest.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::functions::arguments::Arguments;
use crate::functions::host::{Chunk, Type, Vector};
use crate::functions::prediction::predictor_of;
use crate::functions::table::{Call, Column, Execution, Rows, TableFunction, id_column};
use crate::ids::{Id, UserIdx, Vocabulary};
use crate::runtime::Wanted;
use crate::score::{Interaction, Predictor, Scored};
use crate::store::{ModelName, StoredModel};
use crate::train::OptionValue;

/// Users whose recommendations are computed together: enough for the products to be fast, few enough to stop soon.
const USERS_AT_A_TIME: usize = 192;

/// A row for each user and each of the items that `cofi_recommend` gives them.
pub struct RecommendAll {
    name: ModelName,
    k: usize,
    remove_seen: bool,
    /// The setting `cofi_onnxruntime`.
    library: Option<String>,
    columns: Vec<Column>,
}

impl TableFunction for RecommendAll {
    const NAME: &'static str = "cofi_recommend_all";
    const POSITIONAL: &'static [&'static str] = &["k"];

    fn named() -> Vec<&'static str> {
        vec!["model", "remove_seen"]
    }

    fn bind(call: &Call<'_>, mut arguments: Arguments) -> Result<(Self, Vec<Column>)> {
        let k = match arguments.positional("k") {
            OptionValue::Integer(k) if k >= 1 => k as usize,
            other => {
                let way_out = "it is the number of items for each user";
                return Err(Error::argument("k", other, "a whole number of at least 1", way_out));
            }
        };
        let remove_seen = match arguments.named("remove_seen") {
            None => true,
            Some(OptionValue::Boolean(remove_seen)) => remove_seen,
            Some(other) => return Err(Error::argument("remove_seen", other, "true or false", "")),
        };
        let name = arguments.model()?;
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &name)?;
        let (library, columns) = (call.context.library(), columns(&model));
        Ok((Self { name, k, remove_seen, library, columns: columns.clone() }, columns))
    }

    fn start(&self, call: Execution) -> Result<Box<dyn Rows>> {
        let model = call.database.model(call.caller.connection_id, &call.caller.search_path, &self.name)?;
        if columns(&model) != self.columns {
            return Err(Error::new(format!(
                "model '{}' has been trained again with other ids since this statement was prepared; prepare it again",
                self.name
            )));
        }
        let library = call.library(self.library.as_deref())?;
        let (k, remove_seen, next_user) = (self.k, self.remove_seen, AtomicUsize::new(0));
        let n_users = users_at_a_time(&model);
        Ok(Box::new(Recommended::new(Arc::new(Shared { model, library, k, remove_seen, n_users, next_user }))?))
    }
}

fn columns(model: &StoredModel) -> Vec<Column> {
    let (user, item) = (id_column(model.users.kind()), id_column(model.items.kind()));
    vec![("user", user), ("item", item), ("score", Type::Float), ("rank", Type::Integer)]
}

/// How many users a thread takes at a time: as many as products of blocks want; where every pair goes through layers or classes, so
/// few that the host can end a query between them.
fn users_at_a_time(model: &StoredModel) -> usize {
    /// Pairs that layers take some tenths of a second for.
    const PAIRS: usize = 1 << 20;
    let parts = model.embeddings.parts();
    match (&parts.interaction, &parts.classes) {
        (Interaction::Dot, None) => USERS_AT_A_TIME,
        _ => (PAIRS / model.items.len().max(1)).clamp(1, USERS_AT_A_TIME),
    }
}

/// What the threads of one execution share.
struct Shared {
    model: Arc<StoredModel>,
    library: Wanted,
    k: usize,
    remove_seen: bool,
    /// How many users a thread takes.
    n_users: usize,
    /// The first user that nobody has taken.
    next_user: AtomicUsize,
}

/// The recommendations of one thread.
struct Recommended {
    shared: Arc<Shared>,
    predictor: Predictor,
    /// Users that the thread has taken, of whom nothing is known yet.
    users: Range<usize>,
    /// Rows to write: the user and rank of each item.
    rows: Vec<(u32, i32, Scored)>,
    written: usize,
}

impl Recommended {
    fn new(shared: Arc<Shared>) -> Result<Self> {
        let predictor = predictor_of(&shared.model, || Ok(shared.library.clone()))?;
        Ok(Self { shared, predictor, users: 0..0, rows: Vec::new(), written: 0 })
    }

    /// Computes some more rows; `false` where no users are left.
    fn fill(&mut self) -> Result<bool> {
        let Shared { model, k, remove_seen, n_users, next_user, .. } = &*self.shared;
        let end = model.users.len();
        if self.users.is_empty() {
            let first = next_user.fetch_add(*n_users, Ordering::Relaxed).min(end);
            self.users = first..end.min(first + n_users);
        }
        // Where each user has many rows, fewer users at a time: the rows of one chunk.
        let n = self.users.len().min((USERS_AT_A_TIME * 100 / *k).max(1));
        let users: Vec<_> = self.users.by_ref().take(n).map(|user| UserIdx(user as u32)).collect();
        let seen = |user| if *remove_seen { model.seen.items(user) } else { &[] };
        let ranked = self.predictor.recommend_each(&users, *k, &seen)?;
        self.rows.clear();
        self.written = 0;
        for (user, ranked) in users.iter().zip(ranked) {
            self.rows.extend((1..).zip(ranked).map(|(rank, scored)| (user.0, rank, scored)));
        }
        Ok(!users.is_empty())
    }
}

impl Rows for Recommended {
    fn next(&mut self, chunk: &mut Chunk) -> Result<()> {
        // Users who have rated everything have no rows.
        while self.written == self.rows.len() {
            if !self.fill()? {
                return Ok(());
            }
        }
        let model = &self.shared.model;
        let rows = &self.rows[self.written..];
        let rows = &rows[..rows.len().min(Chunk::capacity())];
        let (users, items) = (chunk.column(0), chunk.column(1));
        for (row, (user, _, scored)) in rows.iter().enumerate() {
            write_id(users, row, &model.users, *user);
            write_id(items, row, &model.items, scored.index);
        }
        chunk.column(2).set_each(rows.iter().map(|(.., scored)| scored.score).enumerate());
        chunk.column(3).set_each(rows.iter().map(|(_, rank, _)| *rank).enumerate());
        chunk.set_len(rows.len());
        self.written += rows.len();
        Ok(())
    }

    fn threads(&self) -> usize {
        self.shared.model.users.len().div_ceil(self.shared.n_users)
    }

    fn share(&self) -> Result<Option<Box<dyn Rows>>> {
        Ok(Some(Box::new(Self::new(Arc::clone(&self.shared))?)))
    }
}

fn write_id(column: Vector, row: usize, vocabulary: &Vocabulary, index: u32) {
    match vocabulary.id(index) {
        Some(Id::Integer(id)) => column.set(row, id),
        Some(Id::Text(id)) => column.set_text(row, id),
        None => column.set_null(row),
    }
}
