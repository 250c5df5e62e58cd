"""``python -m b2b_basicsr``: the same as the console script ``b2b``."""

from b2b_basicsr.commands.cli import main

if __name__ == '__main__':
    main()
