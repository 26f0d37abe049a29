-- The casts are for a table that somebody has altered.
SELECT epoch::INTEGER, train_loss::DOUBLE, valid_loss::DOUBLE, rmse::DOUBLE, mae::DOUBLE, accuracy::DOUBLE, seconds::DOUBLE,
    device::VARCHAR
FROM {store}.history
WHERE model_id = (SELECT id FROM {store}.models WHERE name = ?)
ORDER BY epoch ASC
