"""Damage to files: of bytes, of their structure, of what kind of file they are. The same seed, the same damage."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\nrow\u202e[red]x[/red][@click=app.quit]y[/]\ud800$x^{"
TOKENS = (
    b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[31m", b"null", b"NaN", b"-Infinity", b"1e999", b"-1", b"0",
    b"[" * 300, b"{\"a\":" * 300, b"9" * 5000, b"0x" + b"f" * 5000, b"a." * 1500, b'"', b"'''", b'"""', b",", b"\n",
    b"\r", b"\t", b"=cmd()", b"x" * 140_000, b"..", b"/dev/zero", b"#", b"true", b"[[", b"]", b"1979-05-27",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, [], {}, "", -1, 0, 1, 2**63, 10**30, 1e308, -1e308, float("nan"), float("inf"), EVIL, "x" * 2000,
    [[]], {"a": {}}, "running", "done", "failed", ["a", 1, None], "0.5", "nan", "=1+1", "..", "../../x", "a" * 300,
)  # fmt: skip
Damage = Callable[[bytes, random.Random], bytes]


def flipped(data: bytes, random: random.Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def cut(data: bytes, random: random.Random) -> bytes:
    """Only a part is there."""
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    return data[: random.choice((start, end))] if random.random() < 0.7 else data[start:end]


def put_in(data: bytes, random: random.Random) -> bytes:
    """Something else stands in between, or in place of something."""
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(TOKENS) + data[at + random.choice((0, 0, 1, 5)) :]


def repeated(data: bytes, random: random.Random) -> bytes:
    """Lines are doubled, lost or in another order."""
    lines = data.splitlines(keepends=True)
    for _ in range(random.randint(1, 3)):
        if lines:
            i = random.randrange(len(lines))
            lines[i:i] = random.choice(([lines[i]] * 3, [], [lines[-1]]))
            if random.random() < 0.3:
                random.shuffle(lines)
            elif random.random() < 0.5:
                del lines[random.randrange(len(lines))]
    return b"".join(lines)


def replaced(data: bytes, random: random.Random) -> bytes:
    """Nothing of it is left."""
    return random.choice((*TOKENS, b"[]", b"{}", b"null", b'"a"', b"1", bytes(range(256))))


def of_json(data: bytes, random: random.Random) -> bytes:
    """Values, keys or the whole shape of a JSON document, or of the lines of one, are others."""
    try:
        return json.dumps(_other(json.loads(data), random)).encode()
    except ValueError:
        lines = data.split(b"\n")
    places = [i for i, line in enumerate(lines) if line.startswith(b"{")]
    for i in random.sample(places, min(3, len(places))):
        with contextlib.suppress(ValueError):  # a line that other damage has been done to
            lines[i] = json.dumps(_other(json.loads(lines[i]), random)).encode()
    return b"\n".join(lines)


def of_csv(data: bytes, random: random.Random) -> bytes:
    """Cells, columns or titles are others, or there are more or fewer."""
    try:
        rows = list(csv.reader(io.StringIO(data.decode(errors="replace").replace("\0", ""))))
    except csv.Error:  # other damage has been done to it
        return data
    for _ in range(random.randint(1, 3)):
        row = random.choice(rows) if rows else []
        if row:
            row[random.randrange(len(row))] = str(random.choice(VALUES))
            row += random.choice(([], [], ["more"], ["x"] * 50))
        if row and random.random() < 0.2:
            del row[random.randrange(len(row))]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="surrogatepass")


def _other(plain: Any, random: random.Random) -> Any:
    """The same with one value in it changed, or one key lost."""
    if isinstance(plain, dict) and plain and random.random() < 0.9:
        key = random.choice(list(plain))
        if random.random() < 0.15:
            return {name: value for name, value in plain.items() if name != key}
        if random.random() < 0.1:
            return {**plain, EVIL: plain[key]}
        return {**plain, key: _other(plain[key], random)}
    if isinstance(plain, list) and plain and random.random() < 0.7:
        i = random.randrange(len(plain))
        return [*plain[:i], _other(plain[i], random), *plain[i + 1 :]]
    return random.choice(VALUES)


BYTES: tuple[Damage, ...] = (flipped, cut, put_in, repeated, replaced)
OF_KIND: dict[str, Damage] = {".json": of_json, ".jsonl": of_json, ".csv": of_csv}


def damage(path: Path, random: random.Random) -> str:
    """Damage a file, now and then beyond what is in it; says how."""
    if random.random() < 0.06:
        return _no_file(path, random)
    data = path.read_bytes()
    own = OF_KIND.get(path.suffix)
    ways = [random.choice((own, own, *BYTES)) if own else random.choice(BYTES) for _ in range(random.choice((1, 1, 2)))]
    for way in ways:
        data = way(data, random)
    path.write_bytes(data)
    return f"{path.name} {', '.join(way.__name__ for way in ways)}"


def _no_file(path: Path, random: random.Random) -> str:
    """It is not there, or is a folder, a pipe, a link to a device or to itself."""
    what = random.choice(("missing", "folder", "pipe", "device", "loop"))
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "device":
        path.symlink_to("/dev/zero")
    elif what == "loop":
        path.symlink_to(path)
    return f"{path.name} is {what}"


def copied(source: Path, target: Path) -> Path:
    """A fresh copy to damage."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target
