-- The casts are for a table that somebody has altered.
SELECT name::VARCHAR, id::BIGINT, n_users::BIGINT, n_items::BIGINT, n_ratings::BIGINT, n_validation::BIGINT, n_skipped::BIGINT,
    valid_loss::DOUBLE, rmse::DOUBLE, mae::DOUBLE, accuracy::DOUBLE, mu::FLOAT, lo::FLOAT, hi::FLOAT, device::VARCHAR,
    operators::VARCHAR, updates::VARCHAR, seed::BIGINT, spec::VARCHAR, format_version::INTEGER, cofi_version::VARCHAR, duckdb_version::VARCHAR,
    onnxruntime_version::VARCHAR, created_at::TIMESTAMP
FROM {store}.models
ORDER BY name ASC
