"""Checks of option files. Importing this package registers them where BasicSR parses options."""

from b2b_basicsr.checks.blur2blur_check import check_options

__all__ = ['check_options']
