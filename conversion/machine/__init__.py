"""What several commands need of the machine: files and the terminal, and processes."""
