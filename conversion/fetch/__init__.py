"""The command `fetch`: the release from Google Drive."""
