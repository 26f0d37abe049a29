-- The rows of the caller's ratings that could be learned from. The relation is a quoted name or query('...').
SELECT count(*)
FROM {relation}
WHERE {complete}
