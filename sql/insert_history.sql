INSERT INTO {store}.history (model_id, epoch, train_loss, valid_loss, rmse, mae, accuracy, seconds, device)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);
