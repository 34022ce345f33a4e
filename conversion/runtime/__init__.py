"""What several commands need of the machine: files, streams, processes and their end."""
