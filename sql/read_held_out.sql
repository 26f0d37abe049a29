,
-- Whether a row is later than the training. That is the first n * (1 - fraction) rows in time, rounded up, of the n rows without a NULL,
-- and all of the time of the last one. 1 - fraction is decimal arithmetic: a fraction of 0.7 leaves 0.3 and no more.
{time} > (SELECT quantile_disc({time}, 1 - {fraction}) FROM {relation} WHERE {complete}) AS "held_out"
