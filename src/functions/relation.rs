//! The tables that callers name: found, or the reason why one that the caller may see cannot be read.

use crate::error::{Error, Result};
use crate::functions::caller::Visibility;
use crate::functions::table::Call;
use crate::store::{NamedColumns, Relation, Session, Source, is_missing};

/// What ratings are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To learn from: weights and times count.
    Training,
    /// To measure on.
    Measuring,
}

/// Looks up a relation and its columns; `argument` names it in errors.
///
/// # Errors
/// A relation that is not there, is temporary or not yet committed; columns that are not there or cannot be used.
pub fn resolve(
    call: &Call<'_>,
    session: &Session,
    argument: &str,
    text: &str,
    columns: &NamedColumns,
    purpose: Purpose,
) -> Result<Source> {
    let source = |relation| match purpose {
        Purpose::Training => Source::resolve(session, argument, relation, columns),
        Purpose::Measuring => Source::resolve_to_measure(session, argument, relation, columns),
    };
    find(call, session, argument, Relation::parse(argument, text)?, source)
}

/// Looks up a relation by `read`; `argument` names it in errors.
///
/// # Errors
/// A relation that is not there, is temporary or not yet committed; those of `read`.
pub fn find<T>(
    call: &Call<'_>,
    session: &Session,
    argument: &str,
    relation: Relation,
    read: impl FnOnce(Relation) -> Result<T>,
) -> Result<T> {
    let Relation::Named(name) = &relation else { return read(relation) };
    let name = name.clone();
    let place = session.current_place()?;
    let visible = call.context.look_up(&name, &place);
    if visible == Some(Visibility::Temporary) {
        return Err(Error::new(format!(
            "{argument} = '{name}': a temporary table or view cannot be read: cofi reads through a connection of its own, which does not \
             see it; make it a permanent one (CREATE TABLE ... AS FROM {name}), drop it if it only hides one of that name, or give its \
             query in parentheses"
        )));
    }
    read(relation).map_err(|error| match (is_missing(&error), visible) {
        (true, Some(_)) if !session.knows(name.table()).unwrap_or(true) => Error::new(format!(
            "{argument} = '{name}': the table was created by this transaction, which is not yet committed: cofi reads through a \
             connection of its own, which does not see it; COMMIT first"
        )),
        (true, None) => Error::new(format!("{argument} = '{name}': there is no such table or view")).with_source(error),
        // A view over a table that is gone, say, in the host's own words.
        (true, Some(_)) => error.context(format_args!("{argument} = '{name}'")),
        (false, _) => error,
    })
}
