"""Byte-level fuzzing of everything that reads a stranger's file."""
