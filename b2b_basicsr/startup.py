"""What every interpreter of the environment runs at its start: a watch for ``import basicsr``, and nothing else.

``setup.py`` writes the text of this module into ``b2b_basicsr_autoload.pth``. It is not imported from there: to look
for a module and to read it would take longer than all that is done here.
"""

import sys


class Startup:
    """A finder that brings in the package when ``basicsr`` is looked for."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> object:
        """Hand the search for ``basicsr`` to :mod:`b2b_basicsr.autoload`; know no other name."""
        if fullname != 'basicsr':
            return None
        sys.meta_path = [finder for finder in sys.meta_path if finder is not self]
        try:
            from b2b_basicsr import autoload
        except Exception:  # the checkout of an editable install may be gone
            return None
        return autoload.FINDER.find_spec(fullname)


if not any(type(finder).__module__ == __name__ for finder in sys.meta_path):  # a venv's .pth files are read twice
    sys.meta_path.insert(0, Startup())  # type: ignore[arg-type]
