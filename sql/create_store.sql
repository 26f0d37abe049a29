-- The public format of what cofi stores, version 1. The store is "database"."cofi_store".
CREATE SCHEMA IF NOT EXISTS {store};
CREATE SEQUENCE IF NOT EXISTS {store}.model_ids;
CREATE TABLE IF NOT EXISTS {store}.models (
    id BIGINT NOT NULL,              -- n in users_n, items_n and seen_n; never used again
    name VARCHAR NOT NULL,
    format_version INTEGER NOT NULL, -- of this row and of its tables
    spec VARCHAR NOT NULL,           -- JSON: everything needed to train the model again
    seed BIGINT NOT NULL,
    device VARCHAR NOT NULL,         -- where it was trained
    operators VARCHAR NOT NULL,      -- which kind of operators trained it
    updates VARCHAR NOT NULL,        -- which rows a step moved: 'dense' all, 'sparse' those of its batch
    n_users BIGINT NOT NULL,
    n_items BIGINT NOT NULL,
    n_ratings BIGINT NOT NULL,       -- training rows
    n_validation BIGINT NOT NULL,    -- validation rows
    n_skipped BIGINT NOT NULL,       -- rows with a NULL
    mean DOUBLE NOT NULL,            -- of the training ratings
    mu FLOAT NOT NULL,               -- the constant inside the range
    lo FLOAT,                        -- NULL: predictions have no range
    hi FLOAT,
    valid_loss DOUBLE,               -- NULL: there were no validation rows
    rmse DOUBLE,
    mae DOUBLE,
    accuracy DOUBLE,
    cofi_version VARCHAR NOT NULL,
    duckdb_version VARCHAR NOT NULL,
    onnxruntime_version VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL    -- UTC
);
CREATE TABLE IF NOT EXISTS {store}.history (
    model_id BIGINT NOT NULL,
    epoch INTEGER NOT NULL,
    train_loss DOUBLE NOT NULL,
    valid_loss DOUBLE,
    rmse DOUBLE,
    mae DOUBLE,
    accuracy DOUBLE,
    seconds DOUBLE NOT NULL,
    device VARCHAR NOT NULL
);
