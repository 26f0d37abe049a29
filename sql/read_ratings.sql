-- The caller's ratings in the types that training reads. The relation is a quoted name or query('...').
SELECT {user}::{user_type} AS "user", {item}::{item_type} AS "item", {rating}::DOUBLE AS "rating"{weighted}{sided}
FROM {relation}
