-- The caller's names of items, ids in the kind of a model. The relation is a quoted name or query('...').
SELECT {item}::{item_type} AS item, {title}::VARCHAR AS title
FROM {relation}
WHERE {title} IS NOT NULL
