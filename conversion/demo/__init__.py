"""The command `demo`: a made-up release in the official layout."""
