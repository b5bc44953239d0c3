"""Anomalies: shapes that flow and spread within the brain, and what they look like in a scan (UNA, section 3)."""
