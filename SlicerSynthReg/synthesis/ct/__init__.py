"""Abdominal CT, native and with contrast, from drawn anatomies, label maps or real native scans."""
