"""Do the losses in 16 bits follow those in 32? Trainings of the demo's translator, and their curves.

    python benchmarks/amp_curves.py -o OUT

trains ``options/b2b_demo.yml``, without its validation, by ``b2b train``: in float32, again with another seed, which
tells how far two trainings are apart anyway, and in bfloat16. It prints the mean of every loss over the last fifth, and
draws the curves as ``OUT/curves.png``. A training that is there, with as many iterations, is not run again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np
import yaml
from matplotlib.figure import Figure
from tqdm import tqdm

from b2b_basicsr.bench.timing_table import Table, Value, print_tables
from b2b_basicsr.demo.picture_sets import make_picture_sets
from b2b_basicsr.errors import UserError, exit_with
from b2b_basicsr.report.basicsr_log import BasicsrLog, Curve, read_log
from b2b_basicsr.shipped_options import shipped_option_files

LAST = 0.2
RUNS: dict[str, tuple[str, ...]] = {
    'fp32': ('train:amp=~', 'manual_seed=0'),
    'fp32, another seed': ('train:amp=~', 'manual_seed=1'),
    'bf16': ('train:amp=bf16', 'manual_seed=0'),
    'fp16': ('train:amp=fp16', 'manual_seed=0'),
}


def lay_out(folder: Path, iterations: int, device: str) -> Path:
    """The demo's picture sets, and its option file without validation."""
    shipped = next(path for path in shipped_option_files() if path.name == 'b2b_demo.yml')
    options: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding='utf-8'))
    if not (folder / 'data').is_dir():
        make_picture_sets(folder / 'data', options['datasets']['train']['synth_known_opt'], seed=0)
    for key in ('val', 'network_deblur'):
        options.pop(key)
    options['datasets'].pop('val')
    options['path'].pop('pretrain_network_deblur')
    options['num_gpu'] = 0 if device == 'cpu' else 1
    options['train']['total_iter'] = iterations
    options['train']['scheduler']['start'] = min(options['train']['scheduler'].get('start') or 0, iterations - 1)
    options['logger']['print_freq'] = 5
    file = folder / 'curves.yml'
    file.write_text(yaml.safe_dump(options, sort_keys=False), encoding='utf-8')
    return file


def trained(folder: Path, options: Path, name: str, iterations: int) -> BasicsrLog:
    """A run's log; the run itself, where it is not there."""
    label = name.replace(', ', '_').replace(' ', '_')

    def log() -> BasicsrLog:
        return read_log(sorted((folder / 'experiments' / label).glob(f'train_{label}_*.log')))

    if log().last_iteration < iterations:
        command = [sys.executable, '-m', 'b2b_basicsr', 'train', '-opt', options.name]
        with open(folder / f'{label}.txt', 'w', encoding='utf-8') as said:
            done = subprocess.run(
                [*command, '--force_yml', f'name={label}', *RUNS[name]],
                cwd=folder,
                stdout=said,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise UserError(f'--runs: {name} failed; {folder / f"{label}.txt"} says why')
    return log()


def end_of(curve: Curve) -> float:
    """The mean over the last fifth."""
    values = [value for _, value in curve]
    return fmean(values[-max(1, round(LAST * len(values))) :])


def table_of(logs: dict[str, BasicsrLog]) -> Table:
    """Every loss at the end of every run."""
    rows: list[dict[str, Value]] = []
    for loss in next(iter(logs.values())).losses:
        rows.append({'loss': loss, **{name: end_of(log.losses[loss]) for name, log in logs.items()}})
    return Table('Mean over the last fifth of the iterations', rows)


def draw(logs: dict[str, BasicsrLog], path: Path) -> None:
    """The curves, each averaged over a twentieth of the run."""
    losses = list(next(iter(logs.values())).losses)
    figure = Figure(figsize=(12, 2.6 * -(-len(losses) // 3)), layout='constrained')
    for place, loss in enumerate(losses):
        axes = figure.add_subplot(-(-len(losses) // 3), 3, place + 1, title=loss)
        for name, log in logs.items():
            iterations, values = np.array(log.losses[loss]).T
            width = max(1, len(values) // 20)
            mean = np.convolve(values, np.ones(width) / width, mode='valid')
            axes.plot(iterations[width - 1 :], mean, label=name, linewidth=1)
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc='outside lower center', ncols=len(logs))
    figure.savefig(path, dpi=110)


@click.command()
@click.option('-o', '--out', type=click.Path(path_type=Path), required=True, help='A folder; it is made.')
@click.option('--iterations', type=click.IntRange(min=20), default=500, show_default=True)
@click.option('--runs', default='fp32;fp32, another seed;bf16', show_default=True, help='With semicolons between.')
@click.option('--device', type=click.Choice(['cpu', 'cuda']), default='cpu', show_default=True)
@click.option('--json', 'as_json', is_flag=True, help='Print everything again as JSON, on the last line.')
def main(out: Path, iterations: int, runs: str, device: str, as_json: bool) -> None:
    """Trains, prints and draws."""
    names = runs.split(';')
    for name in names:
        if name not in RUNS:
            raise UserError(f'--runs: {name!r} is unknown; known are {"; ".join(RUNS)}')
    out.mkdir(parents=True, exist_ok=True)
    options = lay_out(out, iterations, device)
    logs = {name: trained(out, options, name, iterations) for name in tqdm(names, unit='run')}
    draw(logs, out / 'curves.png')
    print_tables(f'Losses of {iterations} iterations, {device}', [table_of(logs)], as_json)


if __name__ == '__main__':
    try:
        main.main(standalone_mode=False)
    except UserError as error:
        exit_with(error)
