"""The console script: rewrites ``--batch``, runs a command, tells errors in words."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence

from prunetui.errors import EXIT_FAILED, EXIT_INTERRUPTED, PrunetuiError

OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EBADF)


def rewritten(argv: Sequence[str]) -> list[str]:
    """``--batch [STUDY]`` anywhere becomes the command ``batch``; ``--resume`` alone implies it."""
    words = list(argv)
    if not any(w == "--batch" or w.startswith(("--batch=", "--resume")) for w in words):
        return words
    rest = [w.removeprefix("--batch=") for w in words if w != "--batch"]
    return rest if rest[:1] == ["batch"] else ["batch", *rest]


def main() -> None:
    """Run prunetui and end the process with its exit code."""
    _open_what_is_closed()
    from prunetui.cli import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode gets question marks, not a crash
    try:
        try:
            app(args=rewritten(sys.argv[1:]))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except PrunetuiError as error:
        print(f"prunetui: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except OSError as error:
        if error.filename is not None or error.errno not in OF_OUTPUT:
            raise
        # Who read our output has gone, or it does not fit; python would complain once more when it flushes at exit.
        for descriptor in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        raise SystemExit(EXIT_FAILED) from None


def _open_what_is_closed() -> None:
    """Where the shell closed a stream (``>&-``), what is written to it is lost; no file of ours may take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


if __name__ == "__main__":
    main()
