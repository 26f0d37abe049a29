SELECT epoch, train_loss, valid_loss, rmse, mae, accuracy, seconds, device
FROM {store}.history
WHERE model_id = (SELECT id FROM {store}.models WHERE name = ?)
ORDER BY epoch
