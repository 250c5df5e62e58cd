"""The hook, in fresh interpreters: with stand-ins for basicsr where its own import is beside the point."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# Stands in for the two modules that do the work, so that a stand-in for basicsr can be imported without torch.
STAND_INS = """
import sys, types
calls = []
compat = types.ModuleType('b2b_basicsr.compat')
compat.apply_before_import = lambda: calls.append(('before', 'basicsr.utils' in sys.modules))
compat.apply_after_import = lambda: calls.append(('after', 'basicsr.utils' in sys.modules))
registration = types.ModuleType('b2b_basicsr.registration')
registration.register = lambda: calls.append(('register', 'basicsr.utils' in sys.modules))
sys.modules['b2b_basicsr.compat'] = compat
sys.modules['b2b_basicsr.registration'] = registration
def hooked():
    return any(type(finder).__module__.startswith('b2b_basicsr') for finder in sys.meta_path)
"""
HOOKED = STAND_INS + 'import b2b_basicsr\n'
ALL_CALLS = "[('before', False), ('after', True), ('register', True)]"


def run(code: str, *path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter whose environment hook is off, with ``path`` before this repository."""
    return subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)],
        env={
            **os.environ,
            'B2B_BASICSR_AUTOLOAD': '0',
            'PYTHONPATH': os.pathsep.join(map(str, (*path, REPOSITORY))),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def check(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    """Run code that must succeed without a word on standard error."""
    done = run(code, *path)
    assert (done.returncode, done.stderr) == (0, '')
    return done


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(textwrap.dedent(text))
    return root


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder with a package that looks like BasicSR to the hook."""
    return write(
        tmp_path / 'host',
        {
            'basicsr/__init__.py': 'from basicsr import utils\nclass Thing: pass\n',
            'basicsr/utils/__init__.py': '',
            'basicsr/utils/registry.py': '',
            'basicsr/train.py': 'if __name__ == "__main__": print("trains as", __spec__.name)\n',
            'basicsr/note.txt': 'a resource',
        },
    )


def test_import_registers_at_the_end_and_leaves_no_trace(host: Path) -> None:
    check(
        HOOKED
        + f"""
assert hooked()
import basicsr
assert calls == {ALL_CALLS}, calls
assert not hooked()
assert 'exec_module' not in vars(basicsr.__loader__)
assert type(basicsr.__loader__).__name__ == 'SourceFileLoader'
assert basicsr.__spec__.loader is basicsr.__loader__
""",
        host,
    )


def test_a_submodule_imported_first_registers_too(host: Path) -> None:
    check(HOOKED + f'import basicsr.utils.registry\nassert calls == {ALL_CALLS}, calls', host)


def test_import_of_the_package_after_basicsr_registers_at_once(host: Path) -> None:
    check(
        'import basicsr\n'
        + HOOKED
        + "assert calls == [('after', True), ('register', True)], calls\nassert not hooked()",
        host,
    )


def test_installing_twice_puts_one_finder(host: Path) -> None:
    check(
        HOOKED
        + """
from b2b_basicsr.autoload import HostFinder, install
install()
assert sum(isinstance(finder, HostFinder) for finder in sys.meta_path) == 1
""",
        host,
    )


def test_the_package_itself_is_light(host: Path) -> None:
    done = check(
        'import sys, b2b_basicsr\n'
        'print([name for name in ("basicsr", "torch", "numpy", "b2b_basicsr.compat") if name in sys.modules])',
        host,
    )
    assert done.stdout.strip() == '[]'


def test_the_interpreter_start_only_watches(host: Path) -> None:
    """``startup.py`` is what the ``.pth`` file holds; an interpreter may run that file twice."""
    text = (REPOSITORY / 'b2b_basicsr' / 'startup.py').read_text()
    check(
        f"""
import sys
finders = len(sys.meta_path)
for _ in range(2):
    exec({text!r}, {{'__name__': 'b2b_basicsr.startup'}})
assert len(sys.meta_path) == finders + 1
import json.tool
assert 'b2b_basicsr' not in sys.modules
sys.modules['b2b_basicsr'] = None  # as if the checkout were gone
import basicsr
assert basicsr.Thing and len(sys.meta_path) == finders
""",
        host,
    )
    check(
        STAND_INS
        + f"""
exec({text!r}, {{'__name__': 'b2b_basicsr.startup'}})
assert hooked() and 'b2b_basicsr' not in sys.modules
import basicsr
assert calls == {ALL_CALLS}, calls
assert not hooked()
""",
        host,
    )


def test_looking_for_basicsr_without_importing_it_is_no_import(host: Path) -> None:
    check(
        HOOKED
        + f"""
import importlib.util, pkgutil
spec = importlib.util.find_spec('basicsr')
assert spec.origin.endswith('__init__.py') and spec.submodule_search_locations
assert type(spec.loader).__name__ == 'SourceFileLoader' and spec.loader.get_source('basicsr')
assert 'basicsr' in [module.name for module in pkgutil.iter_modules()]
assert calls == [] and hooked()
import basicsr
assert calls == {ALL_CALLS}, calls
""",
        host,
    )


def test_the_usual_tools_work_on_an_import_that_was_watched(host: Path) -> None:
    check(
        HOOKED
        + f"""
import basicsr, importlib, importlib.resources, importlib.util, inspect, pickle, pkgutil
assert importlib.reload(basicsr) is basicsr and calls == {ALL_CALLS}, calls
assert importlib.util.find_spec('basicsr') is not None
assert pkgutil.get_data('basicsr', 'note.txt') == b'a resource'
assert importlib.resources.files('basicsr').joinpath('note.txt').read_text() == 'a resource'
assert [m.name for m in pkgutil.iter_modules(basicsr.__path__)] == ['train', 'utils']
assert isinstance(pickle.loads(pickle.dumps(basicsr.Thing())), basicsr.Thing)
assert inspect.getsource(basicsr).startswith('from basicsr')
""",
        host,
    )


def test_a_lazy_import_registers_when_it_is_used(host: Path) -> None:
    check(
        HOOKED
        + f"""
import importlib.util
spec = importlib.util.find_spec('basicsr')
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
sys.modules['basicsr'] = module
spec.loader.exec_module(module)
assert calls == []
module.Thing
assert calls == {ALL_CALLS}, calls
""",
        host,
    )


def test_run_as_a_module(host: Path) -> None:
    code = HOOKED + "import runpy\nsys.argv = ['x']\nrunpy.run_module('basicsr.train', run_name='__main__')\n"
    done = check(code + f'assert calls == {ALL_CALLS}, calls', host)
    assert done.stdout == 'trains as basicsr.train\n'


def test_an_import_that_fails_is_watched_again(host: Path) -> None:
    check(
        HOOKED
        + f"""
import pathlib
init = pathlib.Path({str(host / 'basicsr/__init__.py')!r})
good = init.read_text()
init.write_text('raise ImportError("no torch")  # longer than the good one, so that no cached byte code fits it' * 2)
try:
    import basicsr
except ImportError as error:
    assert str(error) == 'no torch'
assert hooked() and [name for name, _ in calls] == ['before']
calls.clear()
init.write_text(good)
import basicsr
assert [name for name, _ in calls] == ['before', 'after', 'register'] and not hooked()
""",
        host,
    )


def test_a_missing_basicsr_is_the_usual_error(tmp_path: Path) -> None:
    done = run(
        HOOKED + "sys.path = [p for p in sys.path if 'site-packages' not in p]\nimport importlib.util\n"
        "assert importlib.util.find_spec('basicsr') is None\nimport basicsr"
    )
    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'basicsr'"
    assert done.returncode == 1


def test_a_zip_file(host: Path, tmp_path: Path) -> None:
    archive = tmp_path / 'host.zip'
    with zipfile.ZipFile(archive, 'w') as file:
        for path in host.rglob('*.py'):
            file.write(path, path.relative_to(host))
        file.writestr('neighbour.py', 'there = True\n')
    check(
        HOOKED
        + f"""
import importlib.util
importlib.util.find_spec('basicsr')
import neighbour
assert neighbour.there and calls == []
import basicsr
assert calls == {ALL_CALLS}, calls
assert 'exec_module' not in vars(basicsr.__loader__)
""",
        archive,
    )


def test_many_threads_register_once_and_see_it_done(host: Path) -> None:
    (host / 'basicsr/__init__.py').write_text('import time\ntime.sleep(0.2)\nfrom basicsr import utils\n')
    check(
        HOOKED
        + f"""
import threading
seen = []
def work():
    import basicsr.utils
    seen.append(list(calls))
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert calls == {ALL_CALLS}, calls
assert seen == [calls] * 8, seen
""",
        host,
    )


@pytest.mark.parametrize('position', [0, 1])
def test_another_hook_of_the_same_kind(host: Path, position: int) -> None:
    """Two hooks that each ask all other finders must not send each other in circles."""
    check(
        HOOKED
        + f"""
class Other:
    def find_spec(self, fullname, path=None, target=None):
        if fullname == 'basicsr':
            for finder in sys.meta_path:
                if finder is not self:
                    spec = finder.find_spec(fullname, path, target)
                    if spec is not None:
                        return spec
sys.meta_path.insert({position}, Other())
import basicsr
assert calls == {ALL_CALLS}, calls
""",
        host,
    )


@pytest.mark.parametrize('order', ['import b2b_basicsr, basicsr', 'import basicsr, b2b_basicsr'])
def test_an_old_fork_is_left_alone_with_one_line(tmp_path: Path, order: str) -> None:
    fork = write(tmp_path / 'fork', {'basicsr/__init__.py': 'fork = True', 'basicsr/utils/__init__.py': ''})
    done = run(f"{order}\nimport sys\nassert basicsr.fork and 'b2b_basicsr.registration' not in sys.modules", fork)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert 'old fork' in done.stderr
    assert str(fork) in done.stderr


def test_looking_for_an_old_fork_says_nothing(tmp_path: Path) -> None:
    fork = write(tmp_path / 'fork', {'basicsr/__init__.py': '', 'basicsr/utils/__init__.py': ''})
    check("import b2b_basicsr, importlib.util\nassert importlib.util.find_spec('basicsr')", fork)


def test_a_failure_of_ours_leaves_basicsr_working_with_one_warning(host: Path) -> None:
    failing = """
def fail():
    raise RuntimeError('the cause')
registration.register = fail
import basicsr
assert basicsr.Thing and not hooked()
"""
    done = run(HOOKED + failing, host)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert 'RuntimeError: the cause' in done.stderr


def test_registration_itself_raises(host: Path) -> None:
    """``host`` has no ``Registry``, so nothing can be registered in it."""
    done = run(
        STAND_INS + "del sys.modules['b2b_basicsr.registration']\nimport basicsr, logging\nlogging.disable()\n"
        'from b2b_basicsr.registration import register\nregister()',
        host,
    )
    assert done.returncode == 1
    assert "ImportError: cannot import name 'Registry'" in done.stderr.splitlines()[-1]
