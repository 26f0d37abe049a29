//! The models that this process has read: a copy that is checked against the database whenever a statement begins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::score::Interaction;
use crate::store::connections::Database;
use crate::store::load::load_model;
use crate::store::model::StoredModel;
use crate::store::names::ModelName;
use crate::store::schema::Store;
use crate::store::session::Session;

/// Models by where they are and what they are called.
#[derive(Debug, Default)]
pub struct ModelCache {
    models: Mutex<HashMap<(Store, String), Arc<StoredModel>>>,
    /// The current database of each search path seen, for when nobody can be asked any more.
    stores: Mutex<HashMap<String, Store>>,
}

impl Database {
    /// The model that a name means to a caller, as it is stored now.
    ///
    /// # Errors
    /// No such model, one that cannot be read, or connections that were let go before it was read.
    pub fn model(&self, connection_id: u64, search_path: &str, model: &ModelName) -> Result<Arc<StoredModel>> {
        let session = match self.reading(connection_id) {
            Ok(session) => session,
            Err(error) if error.is_given_up() => return Err(error),
            Err(error) => return self.cache().remembered(search_path, model).ok_or(error),
        };
        session.use_search_path(search_path)?;
        let store = Store::for_model(&session, model)?;
        if let Some(known) = self.cache().get(&store, &model.name) {
            let is_stored = store.find(&session, &model.name)? == Some(known.version);
            if is_stored && has_its_tables(&session, &store, &known) {
                return Ok(known);
            }
            session.anew()?;
        }
        // Forgotten first: while a model is read, the old one need not be in memory beside it.
        self.cache().forget(&store, &model.name);
        let Some(loaded) = load_model(&session, &store, &model.name)? else {
            return Err(store.missing(&session, &model.name));
        };
        let loaded = Arc::new(loaded);
        self.cache().remember(search_path, model, store, Arc::clone(&loaded));
        Ok(loaded)
    }
}

/// Whether nobody has dropped one of a model's tables.
fn has_its_tables(session: &Session, store: &Store, model: &StoredModel) -> bool {
    let id = model.version.id.to_string();
    let parts = model.embeddings.parts();
    let has_layers = parts.interaction != Interaction::Dot || parts.classes.is_some();
    let is_there = |sql| session.prepare(&store.sql(sql, &[("id", &id)])).is_ok();
    is_there(include_str!("../../sql/check_model.sql"))
        && (!has_layers || is_there(include_str!("../../sql/check_layers.sql")))
}

impl ModelCache {
    fn get(&self, store: &Store, name: &str) -> Option<Arc<StoredModel>> {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.get(&(store.clone(), name.to_owned())).cloned()
    }

    /// Drops the copy of a model that has been replaced or dropped.
    pub fn forget(&self, store: &Store, name: &str) {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.remove(&(store.clone(), name.to_owned()));
    }

    fn remember(&self, search_path: &str, name: &ModelName, store: Store, model: Arc<StoredModel>) {
        if name.database.is_none() {
            let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
            stores.insert(search_path.to_owned(), store.clone());
        }
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.insert((store, name.name.clone()), model);
    }

    /// The model as it was last read, for when the database cannot be asked.
    fn remembered(&self, search_path: &str, name: &ModelName) -> Option<Arc<StoredModel>> {
        let store = match &name.database {
            Some(database) => Store::of(database.clone()),
            None => self.stores.lock().unwrap_or_else(PoisonError::into_inner).get(search_path)?.clone(),
        };
        self.get(&store, &name.name)
    }
}
