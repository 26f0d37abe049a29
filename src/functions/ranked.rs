//! Ranked results: `LIST(STRUCT(id, score FLOAT, rank INTEGER))`, ids in the type of the id argument.

use crate::error::Result;
use crate::functions::host::{Type, Vector};
use crate::functions::scalar::Input;
use crate::ids::{Id, IdKind, Vocabulary};
use crate::score::Scored;

/// The type of a ranked list whose ids are named `what` and whose scores are named `score`.
pub fn ranked_type(what: &'static str, id: &Type, score: &'static str) -> Type {
    Type::StructList(vec![(what, id.clone()), (score, Type::Float), ("rank", Type::Integer)])
}

/// Writes a ranked list to a row; the ids' type is that of the first argument.
pub fn write_ranked(
    output: Vector,
    row: usize,
    input: &Input,
    vocabulary: &Vocabulary,
    ranked: &[Scored],
) -> Result<()> {
    let (structs, first) = output.push_list(row, ranked.len())?;
    let (ids, scores, ranks) = (structs.field(0), structs.field(1), structs.field(2));
    for (position, scored) in ranked.iter().enumerate() {
        let at = first + position;
        match (vocabulary.id(scored.index), input.id_kind(0)) {
            (Some(Id::Integer(id)), IdKind::Integer) => ids.set(at, id),
            (Some(Id::Integer(id)), IdKind::Text) => ids.set_text(at, &id.to_string()),
            (Some(Id::Text(id)), IdKind::Text) => ids.set_text(at, id),
            // Refused before anything is ranked.
            (Some(Id::Text(_)), IdKind::Integer) | (None, _) => ids.set_null(at),
        }
        scores.set(at, scored.score);
        ranks.set(at, position as i32 + 1);
    }
    Ok(())
}
