"""``python -m jobman_cli`` is the command ``jobman``."""

from __future__ import annotations

from jobman_cli.cli.main import main

if __name__ == "__main__":
    main()
