"""Processes that train on large batches start with settings of the C library that keep their memory small."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from prunetui.execute.executors.workers import heap_settings
from prunetui.execute.executors.workers.fork_client import ForkClient
from prunetui.execute.executors.workers.heap_settings import NO_SMALL_CACHES, has_large_batches, heap_environment


def test_small_batches_keep_the_environment_as_it_is() -> None:
    assert heap_environment(False, {"A": "1", "GLIBC_TUNABLES": "x=1"}) == {"A": "1", "GLIBC_TUNABLES": "x=1"}


def test_large_batches_turn_the_caches_off_and_a_user_who_sets_them_has_the_last_word() -> None:
    assert heap_environment(True, {"A": "1"}) == {"A": "1", "GLIBC_TUNABLES": NO_SMALL_CACHES}
    users = {"GLIBC_TUNABLES": "glibc.malloc.mxfast=64"}
    assert heap_environment(True, users) == {"GLIBC_TUNABLES": f"{NO_SMALL_CACHES}:glibc.malloc.mxfast=64"}


def test_batches_are_large_from_128_examples_on_and_only_where_the_cpu_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heap_settings, "NVIDIA", str(tmp_path / "none"))
    assert [has_large_batches(size, "cpu") for size in (127, 128)] == [False, True]
    assert has_large_batches(128, "auto")
    assert not has_large_batches(512, "cuda:0")
    monkeypatch.setattr(heap_settings, "NVIDIA", str(tmp_path))
    assert not has_large_batches(512, "auto")


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
@pytest.mark.parametrize("large", [True, False])
def test_the_server_that_workers_are_forked_from_starts_with_the_settings(
    large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    client = ForkClient(large)
    try:
        # glibc ends the text at the first colon when it has read it.
        started_with = Path(f"/proc/{client.process.pid}/environ").read_bytes().decode().split("\0")
    finally:
        client.close()
    assert any(entry.startswith("GLIBC_TUNABLES=glibc.malloc.tcache_count=0") for entry in started_with) == large
    assert "GLIBC_TUNABLES" not in os.environ
