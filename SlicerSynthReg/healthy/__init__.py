"""Healthy reconstruction (UNA): healthy T1 and anomaly map from a scan of any contrast."""
