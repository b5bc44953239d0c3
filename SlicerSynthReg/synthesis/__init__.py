"""The synthesis engine: every sample is drawn as a frozen record, then applied; the record rebuilds the sample."""
