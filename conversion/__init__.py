"""Everything that writes: the demo, the download, the Parquet folder and its publication. A module or folder each.

It is installed as celeba_dialog_conversion, so imports inside are relative.
"""
