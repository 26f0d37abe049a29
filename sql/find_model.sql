-- Which model has a name now: the id, and when it was made, for an id counts from 1 again in a store that was dropped.
SELECT id, format_version, epoch_us(created_at) FROM {store}.models WHERE name = ?
