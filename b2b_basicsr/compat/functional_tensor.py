"""torchvision 0.17 took away ``transforms.functional_tensor``, which ``basicsr.data.degradations`` imports."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_loader

from b2b_basicsr.compat.mend import Mend

NAME = 'torchvision.transforms.functional_tensor'


def _needed() -> bool:
    try:
        return NAME not in sys.modules and find_spec(NAME) is None
    except ImportError:  # no torchvision: the import of basicsr itself will say so
        return False


def _apply() -> None:
    """Supply the module, with the functions that torchvision has kept under another name."""
    spec = spec_from_loader(NAME, loader=None)
    assert spec is not None
    module = module_from_spec(spec)
    module.__doc__ = 'Supplied by b2b_basicsr for basicsr: torchvision has renamed it.'
    for source in ('torchvision.transforms.functional', 'torchvision.transforms._functional_tensor'):
        try:
            functions = vars(import_module(source))
        except ImportError:
            continue
        vars(module).update({name: value for name, value in functions.items() if not name.startswith('__')})
    sys.modules[NAME] = module
    import_module('torchvision.transforms').functional_tensor = module  # type: ignore[attr-defined]


MEND = Mend(
    name='functional_tensor',
    affects='torchvision >= 0.17',
    needed=_needed,
    apply=_apply,
    before_import=True,
)
