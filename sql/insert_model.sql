INSERT INTO {store}.models (
    id, name, format_version, spec, seed, device, operators, updates, n_users, n_items, n_ratings, n_validation, n_skipped,
    mean, mu, lo, hi, valid_loss, rmse, mae, accuracy, cofi_version, duckdb_version, onnxruntime_version, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, make_timestamp(epoch_us(now())));
