//! The tables of ratings that callers name: found, or the reason why one that the caller may see cannot be read.

use crate::error::{Error, Result, quoted};
use crate::functions::caller::Visibility;
use crate::functions::table::Call;
use crate::store::{Kept, NamedColumns, Relation, Source, is_missing};

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
    session: &Kept<'_>,
    argument: &str,
    text: &str,
    columns: &NamedColumns,
    purpose: Purpose,
) -> Result<Source> {
    find(call, session, argument, text, |relation| match purpose {
        Purpose::Training => Source::resolve(session, argument, relation, columns),
        Purpose::Measuring => Source::resolve_to_measure(session, argument, relation, columns),
    })
}

/// Reads the name or query of a relation and looks it up by `look_up`; `argument` names it in errors.
///
/// # Errors
/// A relation that is temporary; those of `look_up`, one that is not there with the reason.
pub fn find<T>(
    call: &Call<'_>,
    session: &Kept<'_>,
    argument: &str,
    text: &str,
    look_up: impl FnOnce(Relation) -> Result<T>,
) -> Result<T> {
    let relation = Relation::parse(argument, text)?;
    let Relation::Named(name) = &relation else { return look_up(relation) };
    let name = name.clone();
    let shown = quoted(&name.to_string());
    let place = session.current_place()?;
    let visible = call.context.look_up(&name, &place);
    if visible == Some(Visibility::Temporary) {
        return Err(Error::new(format!(
            "{argument} = {shown}: a temporary table or view cannot be read: cofi reads through a connection of its own, which does not \
             see it; make it a permanent one (CREATE TABLE ... AS FROM {name}), drop it if it only hides one of that name, or give its \
             query in parentheses"
        )));
    }
    // The error has ended the moment.
    let knows = |name| session.anew().and_then(|()| session.knows(name)).unwrap_or(true);
    look_up(relation).map_err(|error| match (is_missing(&error), visible) {
        (true, Some(_)) if !knows(name.table()) => Error::new(format!(
            "{argument} = {shown}: the table was created by this transaction, which is not yet committed: cofi reads through a \
             connection of its own, which does not see it; COMMIT first"
        )),
        (true, None) => Error::new(format!("{argument} = {shown}: there is no such table or view")).with_source(error),
        // A view over a table that is gone, say, in the host's own words.
        (true, Some(_)) => error.context(format_args!("{argument} = {shown}")),
        (false, _) => error,
    })
}
