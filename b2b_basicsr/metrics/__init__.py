"""Metrics that BasicSR lacks. Importing this package registers them in BasicSR's ``METRIC_REGISTRY``."""

# First, and whole: importing it imports all of ours, which it must not find half imported.
import basicsr  # noqa: F401

from b2b_basicsr.metrics.lpips_metric import calculate_lpips
from b2b_basicsr.metrics.sharp_niqe_metric import calculate_sharp_niqe

__all__ = ['calculate_lpips', 'calculate_sharp_niqe']
