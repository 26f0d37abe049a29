-- The users or items of a model. The casts are for tables that somebody has edited.
SELECT id::{id_type} AS id, idx::INTEGER AS idx, bias::FLOAT AS bias, deviation::FLOAT AS deviation,
    n_ratings::INTEGER AS n_ratings, factors::FLOAT[{width}] AS factors
FROM {store}.{table}
ORDER BY idx ASC
