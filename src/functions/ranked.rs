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

/// What a row wants ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// How many results.
    pub k: usize,
    /// An argument that other rows may have otherwise.
    pub option: bool,
    /// For whom, where the model knows it.
    pub index: Option<u32>,
    /// The row that asks.
    pub row: usize,
}

/// Asks questions that differ in their index alone at once, and equal ones once; `write` takes the row of each and its answer.
/// `ask` gets how many results are wanted, the option and the indices.
///
/// # Errors
/// Those of `ask` and `write`.
pub fn answer(
    questions: &mut [Question],
    mut ask: impl FnMut(usize, bool, &[Option<u32>]) -> Result<Vec<Vec<Scored>>>,
    mut write: impl FnMut(usize, &[Scored]) -> Result<()>,
) -> Result<()> {
    questions.sort_unstable();
    for questions in questions.chunk_by(|one, other| (one.k, one.option) == (other.k, other.option)) {
        let equal = || questions.chunk_by(|one, other| one.index == other.index);
        let indices: Vec<_> = equal().map(|equal| equal[0].index).collect();
        let answers = ask(questions[0].k, questions[0].option, &indices)?;
        for (equal, answer) in equal().zip(answers) {
            equal.iter().try_for_each(|question| write(question.row, &answer))?;
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_questions_are_asked_once_and_answered_each() {
        let question = |row, k, option, index| Question { k, option, index, row };
        let mut questions = [
            question(0, 2, true, Some(7)),
            question(1, 1, true, Some(7)),
            question(2, 2, true, None),
            question(3, 2, true, Some(7)),
            question(4, 2, false, Some(7)),
            question(5, 2, true, Some(3)),
        ];
        let (mut asked, mut written) = (Vec::new(), Vec::new());
        let ask = |k, option, indices: &[Option<u32>]| {
            asked.push((k, option, indices.to_vec()));
            Ok(indices.iter().map(|index| vec![Scored { index: index.unwrap_or(99), score: 0.0 }; k]).collect())
        };
        let write = |row, ranked: &[Scored]| {
            written.push((row, ranked.len(), ranked[0].index));
            Ok(())
        };
        answer(&mut questions, ask, write).unwrap();
        let expected = [(1, true, vec![Some(7)]), (2, false, vec![Some(7)]), (2, true, vec![None, Some(3), Some(7)])];
        assert_eq!(asked, expected);
        written.sort_unstable();
        assert_eq!(written, [(0, 2, 7), (1, 1, 7), (2, 2, 99), (3, 2, 7), (4, 2, 7), (5, 2, 3)]);
    }
}
