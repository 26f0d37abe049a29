-- What an 'mlp' or a classifier has besides: a row for each tensor. Weights have a row for each input, users' factors first.
CREATE TABLE {store}.layers_{id} (
    position INTEGER NOT NULL,       -- 1, 2, 3, ...
    name VARCHAR NOT NULL,           -- layer1.weights, layer1.bias, ..., class_values, class_weights, class_offsets
    n_columns INTEGER NOT NULL,
    "values" FLOAT[] NOT NULL        -- row by row
);
