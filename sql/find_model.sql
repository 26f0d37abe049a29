-- Which model has a name now: the id, and when it was made, for an id counts from 1 again in a store that was dropped.
SELECT id::BIGINT, format_version::INTEGER, epoch_us(created_at::TIMESTAMP) FROM {store}.models WHERE name = ?
