-- Everything of model n. A table that somebody dropped by hand is not missed.
DROP TABLE IF EXISTS {store}.users_{id};
DROP TABLE IF EXISTS {store}.items_{id};
DROP TABLE IF EXISTS {store}.seen_{id};
DROP TABLE IF EXISTS {store}.layers_{id};
