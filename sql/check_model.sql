-- Prepared, never run: fails where one of the tables of model n is gone.
SELECT users.idx, items.idx, seen.user_idx
FROM {store}.users_{id} AS users, {store}.items_{id} AS items, {store}.seen_{id} AS seen
