-- Prepared, never run: fails where the table of layers of model n is gone.
SELECT layers.position FROM {store}.layers_{id} AS layers
