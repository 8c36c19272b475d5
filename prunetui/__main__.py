"""The console script: rewrites ``--batch``, runs a command, tells errors in words."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from prunetui.errors import EXIT_INTERRUPTED, PrunetuiError


def rewritten(argv: Sequence[str]) -> list[str]:
    """``--batch [STUDY]`` anywhere becomes the command ``batch``; ``--resume`` alone implies it."""
    words = list(argv)
    if not any(w == "--batch" or w.startswith(("--batch=", "--resume")) for w in words):
        return words
    rest = [w.removeprefix("--batch=") for w in words if w != "--batch"]
    return rest if rest[:1] == ["batch"] else ["batch", *rest]


def main() -> None:
    """Run prunetui and end the process with its exit code."""
    from prunetui.cli import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode gets question marks, not a crash
    try:
        app(args=rewritten(sys.argv[1:]))
    except PrunetuiError as error:
        print(f"prunetui: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # Who read our output has gone; python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
