"""The console script: rewrites ``--batch``, runs a command, tells errors in words."""

import sys

# `python -m` puts the working folder first on the path, where a file socket.py, or even __future__.py, would be run in
# place of the library's: nothing else may be imported before it is gone.
if __name__ == "__main__" and __spec__ is not None and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

from prunetui.python_process import isolate_imports

isolate_imports()

import io  # noqa: E402
import os  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from prunetui.errors import EXIT_INTERRUPTED, PrunetuiError  # noqa: E402


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
