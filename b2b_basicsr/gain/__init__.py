"""``b2b bench gain``: how much Blur2Blur gains, measured on photographs whose sharp twins are known."""
