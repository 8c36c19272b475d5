"""A .pt2 file is data: what torch's own loader executes is refused, and what is a network computes the same."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hostile_pt2 as hostile
import pytest
import torch
from torch import nn

from prunetui.cli.measure_checkpoint import evaluate_checkpoint
from prunetui.engine.loading import load
from prunetui.errors import UsageError

Program = dict[str, Any]


@pytest.fixture(scope="module")
def tiny() -> tuple[nn.Module, bytes]:
    """A network, and plain torch's file of it."""
    return hostile.tiny()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Torch logs what it could not read, and goes on."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "net.pt2"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("attack", hostile.ATTACKS, ids=lambda attack: attack.__name__)
def test_nothing_in_a_crafted_file_is_executed(
    tiny: tuple[nn.Module, bytes], attack: Callable[[bytes, Path], bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    path = saved(tmp_path, attack(tiny[1], marker))
    with pytest.raises(UsageError, match=r"as data: .*nothing in it was run.*--trust") as caught:
        load(path)
    with pytest.raises(UsageError, match=r"as data: .*nothing in it was run.*--trust"):
        evaluate_checkpoint(path, None, None, [], "cpu", True)
    assert not marker.exists()
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "attack", [hostile.pickled_inputs, hostile.pickled_weights, hostile.expression, hostile.node_name, hostile.guards]
)
@pytest.mark.usefixtures("quiet")
def test_the_attacks_are_real_and_trust_opens_the_door(
    tiny: tuple[nn.Module, bytes], attack: Callable[[bytes, Path], bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    path = saved(tmp_path, attack(tiny[1], marker))
    with contextlib.suppress(UsageError):  # some payloads leave no program behind
        load(path, trust=True)(torch.rand(2, 1, 4, 4))
    assert marker.read_text() == "executed"


def test_a_file_of_plain_torch_computes_the_same_to_the_bit(tiny: tuple[nn.Module, bytes], tmp_path: Path) -> None:
    net, content = tiny
    path = saved(tmp_path, content)
    images = torch.rand(5, 1, 4, 4)
    loaded, trusted = load(path), load(path, trust=True)
    assert torch.equal(loaded(images), trusted(images))
    torch.testing.assert_close(loaded(images), net(images))
    assert loaded.state_dict().keys() == net.state_dict().keys() == trusted.state_dict().keys()
    assert not loaded.training
    with pytest.raises(NotImplementedError, match="cannot be trained"):
        loaded.train()
    with pytest.raises(ValueError, match="takes images of shape any x 1 x 4 x 4; got 2 x 1 x 8 x 8"):
        loaded(torch.rand(2, 1, 8, 8))


def test_the_layout_of_torch_2_6(tiny: tuple[nn.Module, bytes], tmp_path: Path) -> None:
    from torch._export.serde.serialize import serialize

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = serialize(torch.export.load(io.BytesIO(tiny[1])))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("version", "8.8")
        archive.writestr("serialized_exported_program.json", parts.exported_program)
        archive.writestr("serialized_state_dict.pt", parts.state_dict)
        archive.writestr("serialized_constants.pt", parts.constants)
        archive.writestr("serialized_example_inputs.pt", parts.example_inputs)
        archive.writestr("extra_files/prunetui.json", "{}")
    images = torch.rand(3, 1, 4, 4)
    torch.testing.assert_close(load(saved(tmp_path, out.getvalue()))(images), tiny[0](images))


def node(index: int, **entries: object) -> Callable[[Program], object]:
    return lambda program: program["graph_module"]["graph"]["nodes"][index].update(entries)


def made(target: str, kind: str, sizes: list[int]) -> Callable[[Program], object]:
    return node(1, target=target, inputs=[{"name": "size", "arg": {kind: sizes}, "kind": 1}])


def squares(program: Program) -> None:
    """A size, squared 64 times: a number that no memory holds."""
    nodes = program["graph_module"]["graph"]["nodes"]
    size = {"name": "self", "arg": {"as_tensor": {"name": "pixels"}}, "kind": 1}
    first = [size, {"name": "dim", "arg": {"as_int": 2}, "kind": 1}]
    made = {"target": "torch.ops.aten.sym_size.int", "inputs": first, "metadata": {}}
    more = [{**made, "outputs": [{"as_sym_int": {"as_name": "n0"}}]}]
    for index in range(64):
        factor = {"name": "", "arg": {"as_sym_int": {"as_name": f"n{index}"}}, "kind": 1}
        result = [{"as_sym_int": {"as_name": f"n{index + 1}"}}]
        more.append({"target": "_operator.mul", "inputs": [factor, factor], "outputs": result, "metadata": {}})
    nodes[:0] = more


def two_outputs(program: Program) -> None:
    specs = program["graph_module"]["signature"]["output_specs"]
    specs.append(specs[0])


def name_of_a_weight(name: str) -> Callable[[Program], object]:
    def change(program: Program) -> None:
        program["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = name

    return change


GRAPH = {"as_graph": {"name": "true_graph_0", "graph": {}}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (node(1, target="torch.ops.aten.from_file.default"), "calls 'torch.ops.aten.from_file.default'"),
        (node(1, target="torch.ops.higher_order.cond"), "calls 'torch.ops.higher_order.cond'"),
        (node(1, target="math.sqrt"), "calls 'math.sqrt'"),
        (node(1, target="torch.ops.aten.relu.__class__"), "has no operator"),
        (node(1, target="torch.ops.aten.add.out"), "does not make a tensor"),
        (node(1, target="torch.ops.aten.mul.left_t"), "does not make a tensor"),
        (node(1, target=["torch"]), "list where a text is expected"),
        (node(1, inputs=[{"name": "self", "arg": GRAPH}]), "takes 'as_graph'"),
        (node(1, inputs=[{"name": "self", "arg": {"as_operator": "torch.os.system"}}]), "takes 'as_operator'"),
        (node(1, inputs=[{"name": "self", "arg": {"as_tensor": {"name": "later"}}}]), "before it is computed"),
        (node(1, inputs=[]), "cannot be run"),
        (node(0, target="torch.ops.aten.relu_.default", inputs=[{"name": "self", "arg": {"as_tensor": {
            "name": "p_conv_weight"}}}]), "changes its own weights"),
        (made("torch.ops.aten.zeros.default", "as_ints", [1 << 20, 1 << 20]), "numbers of one image"),
        (made("torch.ops.aten.zeros.default", "as_ints", [-1]), "cannot be run"),
        (made("torch.ops.aten.zeros.default", "as_ints", [1 << 64]), "integer of 64 bits"),
        (squares, "more than 64 bits"),
        (two_outputs, "2 outputs"),
        (name_of_a_weight("forward.weight"), "means something else"),
        (name_of_a_weight("__class__"), "means something else"),
        (name_of_a_weight("../x"), "tensor of the name '../x'"),
        (name_of_a_weight("nothing"), "no tensor nothing"),
        (lambda program: program.clear(), "cannot read"),
    ],
)  # fmt: skip
def test_programs_that_do_more_than_networks_are_refused(
    tiny: tuple[nn.Module, bytes], change: Callable[[Program], object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        load(saved(tmp_path, hostile.with_program(tiny[1], change)))


def compressed(archive: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr(hostile.MODEL, bytes(1 << 20))
    return out.getvalue()


def twice(archive: bytes) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hostile.rewritten(archive, {}, **{hostile.MODEL: b"{}"})


def with_table(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        table = json.loads(content)
        change(table["config"]["conv.weight"])
        return json.dumps(table).encode()

    return lambda archive: hostile.rewritten(archive, {hostile.WEIGHTS: edit})


def sized(sizes: list[int], strides: list[int], offset: int = 0) -> Callable[[bytes], bytes]:
    as_ints = {"sizes": [{"as_int": n} for n in sizes], "strides": [{"as_int": n} for n in strides]}
    return with_table(lambda entry: entry["tensor_meta"].update(as_ints, storage_offset={"as_int": offset}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (compressed, "is compressed"),
        (twice, "is twice in its archive"),
        (lambda a: hostile.rewritten(a, {}, **{"archive/data/aotinductor/m/m.so": b"\x7fELF"}), "compiled code"),
        (lambda a: hostile.rewritten(a, {}, **{"archive/models/second.json": b"{}"}), "is not part of the files"),
        (lambda a: hostile.rewritten(a, {hostile.MODEL: lambda _: b"[" * 100_000}), "nested more than 64 deep"),
        (lambda a: hostile.rewritten(a, {hostile.MODEL: lambda _: b"1" * 5000}), "integer of 5,000 digits"),
        (lambda a: hostile.rewritten(a, {}, **{"archive/extra/prunetui.json": b'{"mean": [NaN]}'}), "holds NaN"),
        (with_table(lambda entry: entry.update(path_name="../../models/model.json")), "has no"),
        (with_table(lambda entry: entry["tensor_meta"].update(dtype=99)), "of the type 99"),
        (sized([1 << 30, 1 << 9], [0, 0]), "lies outside its file"),
        (sized([2, 1, 3, 3], [9, 9, 3, 1], 1), "lies outside its file"),
        (sized([-1], [1]), "sizes that are no numbers"),
        (lambda a: a[: len(a) // 2], "cannot read the exported program"),
    ],
)
def test_archives_that_torch_would_not_write_are_refused(
    tiny: tuple[nn.Module, bytes], change: Callable[[bytes], bytes], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        load(saved(tmp_path, change(tiny[1])))
