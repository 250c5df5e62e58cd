from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from b2b_basicsr.compat import one_root


@pytest.mark.parametrize('folder', ['lib/python3.11/site-packages', 'lib/python3/dist-packages', 'target'])
def test_an_installed_basicsr_is_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    root = tmp_path / folder
    (root / 'basicsr-1.4.2.dist-info').mkdir(parents=True)
    work = tmp_path / 'work'
    work.mkdir()
    monkeypatch.chdir(work)
    assert one_root.root_for(str(root)) == str(work)


def test_a_checkout_is_the_root_wherever_it_is_run_from(tmp_path: Path) -> None:
    (tmp_path / 'basicsr.egg-info').mkdir()
    assert one_root.root_for(str(tmp_path)) == str(tmp_path)


def test_paths_and_root_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    parse = one_root._under_one_root(lambda root_path, is_train: root_path)
    assert parse('/usr/lib/site-packages', is_train=True) == str(tmp_path)
    assert capsys.readouterr().out == (
        f'b2b_basicsr: experiments and results go under {tmp_path}, not into /usr/lib/site-packages.\n'
    )

    def load_resume_state(opt: dict[str, Any]) -> str:
        return str(opt['root_path'])

    assert one_root._with_the_same_root(load_resume_state)({'root_path': '/usr/lib/site-packages'}) == str(tmp_path)


def test_a_checkout_is_not_announced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_root._under_one_root(lambda root_path, is_train: (root_path, is_train))(str(tmp_path), False) == (
        str(tmp_path),
        False,
    )
    assert capsys.readouterr().out == ''
