"""CT of the abdomen and lower thorax, native and with contrast, from drawn anatomies, label maps or real native scans."""
