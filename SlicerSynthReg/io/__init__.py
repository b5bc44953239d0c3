"""Volumes, transforms and landmarks on disk. Everything inside is RAS mm; lps.py holds the only flip."""
