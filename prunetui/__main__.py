"""The console script: rewrites ``--batch``, runs a command, tells errors in words."""

import sys

# `python -m` puts the working folder first on the path, where a file socket.py, or even __future__.py, would be run in
# place of the library's: nothing else may be imported before it is gone.
if __name__ == "__main__" and __spec__ is not None and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]

import errno
import gc
import io
import logging
import os
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from prunetui.errors import EXIT_FAILED, EXIT_INTERRUPTED, PrunetuiError
from prunetui.execute.python_process import isolate_imports
from prunetui.terminal.printable import one_line, own_lines

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
    gc.disable()  # nothing that is imported is garbage; whoever runs a command goes on collecting
    isolate_imports()
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode gets question marks, not a crash
    _harmless_python()
    try:
        try:
            code = _run(rewritten(sys.argv[1:]))
        finally:
            gc.enable()
            sys.stdout.flush()
            sys.stderr.flush()
    except PrunetuiError as error:
        _tell(error.told())
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
    raise SystemExit(code)


def _open_what_is_closed() -> None:
    """Where the shell closed a stream (``>&-``), what is written to it is lost; no file of ours may take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _run(argv: Sequence[str]) -> int:
    """Run a command. Typer's own complaints are told as ours are: they quote what was typed, whatever that is."""
    import typer

    from prunetui.cli.main import app

    # Some versions of typer bring a click of their own.
    complaint: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
    try:
        ended = app(args=list(argv), standalone_mode=False)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except complaint as error:
        given: Any = error
        if type(error).__name__ != "NoArgsIsHelpError":  # which has printed the help
            usage = f"{given.ctx.get_usage()}\n" if getattr(given, "ctx", None) else ""
            _tell(f"{own_lines(usage)}prunetui: {one_line(given.format_message())}", "")
        return int(given.exit_code)
    return ended if isinstance(ended, int) else 0


def _tell(words: str, head: str = "prunetui: ") -> None:
    """Say it on stderr; ``words`` are harmless already."""
    print(f"{head}{words}", file=sys.stderr)


def _harmless_python() -> None:
    """What Python itself prints (warnings, logs without a handler, defects) is shown harmlessly, too."""
    as_usual: Callable[..., str] = warnings.formatwarning
    warnings.formatwarning = lambda *given, **more: own_lines(as_usual(*given, **more))
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_HarmlessFormatter())

    def tell_defect(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        _tell(own_lines("".join(traceback.format_exception(kind, error, trace)).rstrip()), "")

    sys.excepthook = tell_defect


class _HarmlessFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return own_lines(super().format(record))


if __name__ == "__main__":
    main()
