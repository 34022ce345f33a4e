"""Everything that writes: the demo, the download, the Parquet folder and its publication. A module or a folder per command.

Installed as celeba_dialog_conversion, so imports inside are relative.
"""
