"""The data sets: `vitlab/data/sets/<name>.py` holds `make(**spec) -> Dataset`."""
