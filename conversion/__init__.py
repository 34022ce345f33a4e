"""The reader of the official files, and the commands around it. A module or folder each.

It is installed as celeba_dialog_conversion, so imports inside are relative.
"""
