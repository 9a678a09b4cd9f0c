"""Makes ``python -m entrepot`` the same as ``entrepot``."""

from __future__ import annotations

from entrepot.cli.main import main

__all__: list[str] = []

if __name__ == "__main__":
    main(prog_name="entrepot")
