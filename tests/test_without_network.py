"""A training, a restoration and a report ask no network for anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import data, options, write  # noqa: F401  fixtures
from tests.compat.conftest import Script, run_python  # noqa: F401
from tests.losses.conftest import filled_torch_home  # noqa: F401

RUN = """
import socket, sys

LOCAL = ('localhost', '127.0.0.1', '::1', socket.gethostname(), '', None)
connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

def told(host):
    with open('asked.txt', 'a') as file:
        file.write(f'{host}\\n')
    raise OSError(f'no network: {host}')

def refusing_connect(self, address):
    if self.family != getattr(socket, 'AF_UNIX', None) and address[0] not in LOCAL:
        told(address[0])
    return connect(self, address)

def refusing_getaddrinfo(host, *arguments, **others):
    return getaddrinfo(host, *arguments, **others) if host in LOCAL else told(host)

socket.socket.connect = socket.socket.connect_ex = refusing_connect
socket.getaddrinfo = refusing_getaddrinfo

from b2b_basicsr.commands.cli import b2b

option_file, deblurrer, picture = sys.argv[1:]
model = 'experiments/tiny/models/net_g_latest.pth'
for arguments in (
    ['train', '-opt', option_file],
    ['restore', picture, '-o', 'restored', '--translator', model, '--deblurrer', deblurrer, '--device', 'cpu'],
    ['report', 'experiments/tiny'],
):
    b2b.main(arguments, standalone_mode=False)
"""


@pytest.mark.slow
def test_nothing_asks_the_network(
    options: dict[str, Any],  # noqa: F811
    write: Callable[[dict[str, Any]], Path],  # noqa: F811
    run_python: Script,  # noqa: F811
    data: Path,  # noqa: F811
    filled_torch_home: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """With LPIPS as a loss and a metric, whose weights are there; a loss of VGG says `download` or names a file."""
    options['train']['lpips_opt'] = {'type': 'LPIPSLoss', 'net': 'squeeze'}
    options['datasets']['train']['gt_size'] = 80
    options['datasets']['train']['resize'] = 96
    options['val']['metrics']['lpips'] = {'type': 'calculate_lpips', 'net': 'alex'}
    options['logger']['use_tb_logger'] = True
    options['network_deblur'] = {'type': 'NAFNet', 'width': 4, 'enc_blk_nums': [1], 'dec_blk_nums': [1]}
    arguments = [write(options), data / 'deblur.pth', data / 'test_lq' / '0.png']
    done = run_python('-c', RUN, *arguments, TORCH_HOME=str(filled_torch_home))
    assert done.returncode == 0, done.stderr[-2000:]
    assert not (tmp_path / 'asked.txt').exists()
    assert (tmp_path / 'restored' / '0.png').is_file()
    assert (tmp_path / 'experiments' / 'tiny' / 'report.html').is_file()
    assert '# lpips:' in done.stderr + done.stdout


@pytest.mark.slow
def test_the_watch_sees_who_asks(run_python: Script, tmp_path: Path) -> None:  # noqa: F811
    asking = RUN.partition('from b2b_basicsr')[0] + 'import urllib.request\nurllib.request.urlopen("http://x.invalid")'
    assert run_python('-c', asking).returncode == 1
    assert (tmp_path / 'asked.txt').read_text() == 'x.invalid\n'
