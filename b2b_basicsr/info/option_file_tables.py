"""What an option file asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from b2b_basicsr.bench.timing_table import Table
from b2b_basicsr.info.network_costs import Size, network_tables
from b2b_basicsr.info.step_costs import step_table
from b2b_basicsr.info.weight_files import weights_table
from b2b_basicsr.options.option_file import force_option, read_option_file
from b2b_basicsr.options.option_lines import option_errors_placed


def option_file_tables(path: Path, forced: Sequence[str], picture: Size) -> list[Table]:
    """Networks, a training step where the model is ours, and weights.

    Args:
        path: the option file.
        forced: entries of ``--force_yml``.
        picture: size of the pictures that are restored.

    Raises:
        UserError: if the file cannot be read, or a network of it cannot be built.
    """
    opt = read_option_file(path)
    for entry in forced:
        force_option(opt, entry, path)
    with option_errors_placed(path, forced):
        tables = [*network_tables(opt, picture), step_table(opt), weights_table(opt)]
    return [table for table in tables if table is not None]
