"""Restoring pictures with a trained translator and the deblurrer it was trained for."""

# First, and whole: importing it imports all of ours, which it must not find half imported.
import basicsr  # noqa: F401

from b2b_basicsr.restore.pipeline import Blur2BlurPipeline

__all__ = ['Blur2BlurPipeline']
