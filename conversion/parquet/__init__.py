"""The command `build`: the Parquet folder from the official files."""
