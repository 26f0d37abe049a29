SELECT spec::VARCHAR, mean::DOUBLE, mu::FLOAT, lo::FLOAT, hi::FLOAT FROM {store}.models WHERE id = {id}
