"""The commands that show rows, `preview` and `browse`, and what both need."""
