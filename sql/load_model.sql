SELECT spec, mean, mu, lo, hi FROM {store}.models WHERE id = {id}
