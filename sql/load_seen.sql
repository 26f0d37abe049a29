SELECT user_idx::INTEGER AS user_idx, item_idx::INTEGER AS item_idx
FROM {store}.seen_{id}
ORDER BY user_idx ASC, item_idx ASC
