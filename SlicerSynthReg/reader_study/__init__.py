"""Blinded reading studies: study file, reading sessions, tamper-evident response logs, unblinding and statistics."""
