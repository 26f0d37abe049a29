-- The tables of model n: a row for each user and item of the training ratings, in the order of the dense index.
CREATE TABLE {store}.users_{id} (
    id {user_type} NOT NULL,
    idx INTEGER NOT NULL,            -- 0, 1, 2, ... in ascending order of id
    bias FLOAT,                      -- NULL: the model has no biases of this side
    deviation FLOAT,                 -- where the baseline is not made of biases: the damped deviation from the mean
    n_ratings INTEGER NOT NULL,      -- training rows
    factors FLOAT[{user_width}] NOT NULL
);
CREATE TABLE {store}.items_{id} (
    id {item_type} NOT NULL,
    idx INTEGER NOT NULL,
    bias FLOAT,
    deviation FLOAT,
    n_ratings INTEGER NOT NULL,
    factors FLOAT[{item_width}] NOT NULL
);
-- What users have rated, for recommendations that leave it out: distinct pairs, sorted.
CREATE TABLE {store}.seen_{id} (
    user_idx INTEGER NOT NULL,
    item_idx INTEGER NOT NULL
);
