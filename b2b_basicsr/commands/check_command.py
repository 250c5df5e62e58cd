"""``b2b check``: everything that a training needs, tried before it is started."""

from __future__ import annotations

from pathlib import Path

import click

from b2b_basicsr.commands.force_yml_option import force_yml_option, forced_entries
from b2b_basicsr.commands.stop_signals import end_as_by_ctrl_c


@click.command()
@click.option(
    '-opt', 'option_file', type=click.Path(path_type=Path), required=True, help='An option file of a training or test.'
)
@click.option('--json', 'as_json', is_flag=True, help='Print everything again, as JSON, on the last line.')
@force_yml_option
@click.pass_context
def check(
    context: click.Context, option_file: Path, as_json: bool, force_yml: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """Try an option file without training it.

    Every picture is opened and decoded, the networks are built and their weights loaded, a few steps are done and one
    picture of each validation set (of a test file: each test set) is restored and scored. Then: what was found, memory,
    seconds a step, days to total_iter, room on the disk.

    Nothing is left behind: experiments/, results/ and tb_logger/ stay as they are. Pictures that cannot be read are
    told one and all, with exit status 2.
    """
    forced = forced_entries(force_yml, more, 'check')
    end_as_by_ctrl_c(context)

    # Late, as all of torch and BasicSR comes with it.
    import basicsr  # noqa: F401 (whose import makes the mends)

    from b2b_basicsr import __version__
    from b2b_basicsr.bench.timing_table import print_tables
    from b2b_basicsr.trial.trial_report import trial_tables
    from b2b_basicsr.trial.trial_run import run_trial

    tables = trial_tables(run_trial(option_file, forced))
    print_tables(f'b2b_basicsr {__version__}: {option_file}', tables, as_json)
