"""What a fork server and its client say to each other over a socket.

A request is one byte with two descriptors: those of the new process's pipe and of its stderr. An answer is a kind, a
process id and a number.
"""

from __future__ import annotations

import struct

REQUEST = b"f"
ANSWER = struct.Struct("=cii")
STARTED = b"s"
"""The process has started; the number is 0."""
CANNOT_START = b"x"
"""No process has started; the number is the error's."""
EXITED = b"e"
"""The process has ended; the number is its exit code, negative for a signal."""
