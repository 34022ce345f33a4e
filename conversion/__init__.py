"""Everything that writes: the demo, the download, the Parquet folder and its publication. One module per command."""
