-- The numbers of all tensors, one a row.
SELECT position::INTEGER AS position, name::VARCHAR AS name, n_columns::INTEGER AS n_columns,
    generate_subscripts("values", 1)::INTEGER AS place, unnest("values")::FLOAT AS number
FROM {store}.layers_{id}
ORDER BY position ASC, place ASC
