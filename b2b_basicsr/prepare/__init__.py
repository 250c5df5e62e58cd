"""What ``b2b prepare`` does: data sets laid out as the option files name them."""
