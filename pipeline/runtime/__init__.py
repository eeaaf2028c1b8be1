"""What every stage runs on: files written whole, Dask workers, and what the user sees meanwhile."""
