SELECT name, id, n_users, n_items, n_ratings, valid_loss, rmse, mae, accuracy, mu, lo, hi, device, operators, seed, spec,
    format_version, cofi_version, duckdb_version, onnxruntime_version, created_at
FROM {store}.models
ORDER BY name
