"""Byte-level fuzzing of everything that reads a stranger's file: python -m tests.fuzz --seconds N [--target NAME]."""
