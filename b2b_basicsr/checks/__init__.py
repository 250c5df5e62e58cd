"""Checks of option files. Importing this package registers them where BasicSR parses options."""

# First, and whole: importing it imports all of ours, which it must not find half imported.
import basicsr  # noqa: F401

from b2b_basicsr.checks.option_check import check_options

__all__ = ['check_options']
