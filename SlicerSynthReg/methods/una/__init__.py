"""UNA: the healthy T1 behind a scan of any contrast, and what is abnormal in it."""
