"""The blackboxes that answer from a measured table, on small tables written by Syne Tune."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from contract import BlackboxContract, Case
from helpers import distinct_architectures, equivalent, rewrite_manifest, write_table
from syne_tune.blackbox_repository import add_surrogate
from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular, deserialize

from hwgpt_blackbox.blackboxes.table_blackbox import blackboxes_of
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import METRICS, PREFIX
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.storage.atomic_writes import Outputs
from hwgpt_blackbox.storage.measured_table import (
    ARCHITECTURES,
    MATRIX,
    METADATA,
    OBJECTIVES,
    SIDE,
    Table,
)

NAMES = [PREFIX + name for name in METRICS]


@pytest.fixture(scope="module")
def boxes(table_home):
    """Blackboxes by space and dataset."""
    folders = {space: table_home / f"hwgpt-{space}-tabular" for space in SPACES}
    return {space: blackboxes_of(Table.read(folders[space])) for space in ("s", "m", "l")}


PARAMETERS = [("s", d) for d in (*DEVICES, "all")] + [
    (space, d) for space in ("m", "l") for d in ("rtx2080", "all")
]


@pytest.fixture(params=PARAMETERS, ids="-".join, scope="module")
def case(request, boxes):
    space, dataset = request.param
    return Case(
        space=space,
        dataset=dataset,
        load=boxes[space].__getitem__,
        architectures=lambda n: boxes[space]["a100"].table.matrix[:n],
    )


class TestContract(BlackboxContract):
    """Every tabular blackbox."""


# -- Syne Tune reads the same ------------------------------------------------------------------


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_unmodified_syne_tune_reads_the_same_values(space, table_home, boxes):
    theirs = deserialize(str(table_home / f"hwgpt-{space}-tabular"))
    assert list(theirs) == list(DEVICES)
    for device, plain in theirs.items():
        assert type(plain) is BlackboxTabular
        ours = boxes[space][device]
        assert isinstance(ours, BlackboxTabular)
        assert ours.objectives_names == plain.objectives_names == NAMES
        assert ours.configuration_space == plain.configuration_space
        assert ours.fidelity_space == plain.fidelity_space
        assert ours.fidelity_values.tolist() == plain.fidelity_values.tolist()
        assert ours.num_seeds == plain.num_seeds == 6
        assert ours.num_fidelities == plain.num_fidelities
        assert ours.all_configurations() == plain.all_configurations()
        assert str(ours) == str(plain)
        np.testing.assert_array_equal(ours.objectives_evaluations, plain.objectives_evaluations)
        for one, two in zip(
            ours.hyperparameter_objectives_values(),
            plain.hyperparameter_objectives_values(),
            strict=True,
        ):
            pd.testing.assert_frame_equal(one, two)
    for config in plain.all_configurations()[::5]:
        for seed in range(6):
            np.testing.assert_array_equal(ours(config, seed=seed), plain(config, seed=seed))
            assert ours(config, 1, seed) == plain(config, 1, seed)
    np.testing.assert_array_equal(ours(4, seed=2), plain(4, seed=2))


def test_values_are_those_that_were_written(tmp_path):
    written = write_table(tmp_path / "t", "s", size=5, repeats=3, seed=9)
    boxes = blackboxes_of(Table.read(tmp_path / "t"))
    matrix = distinct_architectures(Encoding(SPACES["s"]), 5, 9)
    for d, device in enumerate(DEVICES):
        box = boxes[device]
        for i, config in enumerate(box.encoding.decode(matrix)):
            for seed in range(3):
                np.testing.assert_array_equal(box(config, seed=seed), written[d, i, seed])


# -- rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_any_name_of_an_architecture_finds_its_row(space, boxes):
    box = boxes[space]["h100"]
    matrix = box.table.matrix
    for seed in range(3):
        other = equivalent(box.encoding, matrix, np.random.default_rng(seed))
        for i, config in enumerate(box.encoding.decode(other)):
            values = box.objectives_evaluations[i, seed]
            np.testing.assert_array_equal(box(config, seed=seed), values)
            np.testing.assert_array_equal(box(i, seed=seed), values)
            np.testing.assert_array_equal(box(np.int64(i), seed=seed), values)


def test_expected_values_are_means_over_the_repeats_in_double_precision(boxes):
    for dataset in ("a100", "all"):
        box = boxes["s"][dataset]
        stored = box.objectives_evaluations[:, :, 0].astype(np.float64)
        order = [5, 0, 11, 5]
        values = box.expected_values(box.table.matrix[order])
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, stored.mean(axis=1)[order], rtol=1e-14)


def test_an_architecture_that_was_not_measured_is_named_with_the_alternative(boxes):
    box = boxes["s"]["a100"]
    absent = distinct_architectures(box.encoding, 40, seed=77)
    known = {row.tobytes() for row in box.table.matrix}
    row = next(row for row in absent if row.tobytes() not in known)
    config = box.encoding.decode_one(row)
    for query in (box, lambda c: box.expected_values([c]), lambda c: box(c, 1, 0)):
        with pytest.raises(InputError) as error:
            query(config)
        assert str(config) in str(error.value)
        assert "'hwgpt-s'" in str(error.value)
        assert "12 measured" in str(error.value)


@pytest.mark.parametrize("row", [-1, 12, 1.5, "0", None, np.zeros(27)], ids=repr)
def test_bad_rows_are_refused(boxes, row):
    with pytest.raises(InputError, match="expected 0 to 11"):
        boxes["s"]["a100"](row, seed=0)


def test_seeds_are_the_repeats_of_the_table(boxes):
    box = boxes["s"]["a100"]
    config = box.all_configurations()[0]
    latency = NAMES.index("metric_latency")
    assert len({box(config, seed=k)[0, latency] for k in range(6)}) == 6
    for seed in (6, 50, 2**40):
        with pytest.raises(InputError, match=f"seed is {seed}; the table has repeats 0 to 5"):
            box(config, seed=seed)
    drawn = {box(config)[0, latency] for _ in range(200)}
    assert drawn == {box(config, seed=k)[0, latency] for k in range(6)}


@pytest.mark.parametrize("dataset", ["a100", "all"])
def test_a_table_without_error_answers_with_the_rest_as_before(dataset, folder):
    # Tables of the version before, and of m and l, where error was measured on some only.
    full = blackboxes_of(Table.read(folder))[dataset]
    at, configs = full.objectives_names.index("metric_error"), full.all_configurations()
    expected = np.delete(full.expected_values(configs), at, axis=1)
    drawn = np.delete(full(configs[1], seed=2), at, axis=1)
    values = np.load(folder / OBJECTIVES)
    np.save(folder / OBJECTIVES, np.delete(values, NAMES.index("metric_error"), axis=-1))
    metadata = json.loads((folder / METADATA).read_text())
    metadata["objectives_names"].remove("metric_error")
    (folder / METADATA).write_text(json.dumps(metadata))
    rewrite_manifest(folder)
    table = Table.read(folder)
    table.check()
    box = blackboxes_of(table)[dataset]
    assert box.objectives_names == [n for n in full.objectives_names if n != "metric_error"]
    np.testing.assert_array_equal(box.expected_values(configs), expected)
    np.testing.assert_array_equal(box(configs[1], seed=2), drawn)
    assert box.objectives_evaluations.shape[-1] == len(box.objectives_names)
    with pytest.raises(InputError, match="unknown objective 'metric_error'"):
        box.rename_objectives({"metric_error": "loss"})
    theirs = deserialize(str(folder))["a100"]
    assert "metric_error" not in theirs.objectives_names


# -- all ---------------------------------------------------------------------------------------


def test_all_measurements_equal_those_of_the_devices(boxes):
    everything = boxes["s"]["all"]
    values = everything.objectives_evaluations
    assert values.shape == (12, 6, 1, 3 * 13 + 7)
    slowest = np.maximum.reduce(
        [boxes["s"][d].objectives_evaluations[..., NAMES.index("metric_elapsed_time")]
         for d in DEVICES]
    )  # fmt: skip
    at = everything.objectives_names.index
    np.testing.assert_array_equal(values[..., at("metric_elapsed_time")], slowest)
    for device in DEVICES:
        own = boxes["s"][device].objectives_evaluations
        for j, name in enumerate(NAMES):
            named = f"{name}_{device}" if METRICS[name.removeprefix(PREFIX)].per_device else name
            np.testing.assert_array_equal(values[..., at(named)], own[..., j])
    np.testing.assert_array_equal(everything(3, seed=4), values[3, 4])
    assert str(everything).startswith("tabular blackbox")


# -- renaming ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["a100", "all"])
def test_renamed_objectives_keep_their_values(boxes, dataset):
    box = boxes["s"][dataset]
    latency = box.objectives_names[1]
    renamed = box.rename_objectives({latency: "runtime", "metric_perplexity": "loss"})
    assert renamed.objectives_names == ["runtime", "loss"]
    columns = [1, box.objectives_names.index("metric_perplexity")]
    config = box.all_configurations()[2]
    np.testing.assert_array_equal(renamed(config, seed=1), box(config, seed=1)[:, columns])
    assert renamed(config, 1, 1)["loss"] == box(config, 1, 1)["metric_perplexity"]
    matrix = box.table.matrix
    np.testing.assert_array_equal(
        renamed.expected_values(matrix), box.expected_values(matrix)[:, columns]
    )
    np.testing.assert_array_equal(
        renamed.objectives_evaluations, box.objectives_evaluations[..., columns]
    )
    x, y = renamed.hyperparameter_objectives_values()
    assert list(y.columns) == ["runtime", "loss"]
    assert len(x) == len(y)
    if dataset == "a100":
        turned = box.rename_objectives({name: name for name in box.objectives_names[::-1]})
        np.testing.assert_array_equal(
            turned.objectives_evaluations, box.objectives_evaluations[..., ::-1]
        )
    again = renamed.rename_objectives({"loss": "metric_perplexity"})
    np.testing.assert_array_equal(again(config, seed=0), box(config, seed=0)[:, columns[1:]])
    np.testing.assert_array_equal(again.expected_values(matrix)[:, 0],
                                  box.expected_values(matrix)[:, columns[1]])  # fmt: skip
    assert box.objectives_names[1] == latency
    assert box.expected_values(matrix).shape == (12, len(box.objectives_names))


def test_renaming_what_is_no_objective_names_it(boxes):
    with pytest.raises(InputError, match="unknown objective 'accuracy'; known: metric_"):
        boxes["s"]["a100"].rename_objectives({"accuracy": "a"})


def test_syne_tune_fits_a_surrogate_to_a_table(boxes):
    box = boxes["s"]["a100"]
    values = add_surrogate(box).objective_function(box.all_configurations()[0])
    assert np.isfinite(values).all()


# -- tables that are not sound -----------------------------------------------------------------


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The files of a sound table."""
    folder = tmp_path_factory.mktemp("sound") / "table"
    write_table(folder, size=6, repeats=3)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(content, tmp_path):
    """A copy of a sound table."""
    copy = tmp_path / "hwgpt-s-tabular"
    copy.mkdir()
    for name, data in content.items():
        (copy / name).write_bytes(data)
    Table.read(copy)
    return copy


def assert_refused(folder, *says: str) -> None:
    with pytest.raises(DataError) as error:
        Table.read(folder)
    for text in (str(folder), "convert or pull", *says):
        assert text in str(error.value)


@pytest.mark.parametrize("name", [ARCHITECTURES, OBJECTIVES, METADATA])
@pytest.mark.parametrize("data", [b"", b"abc", b"PAR1PAR1", b"\x93NUMPY\x01\x00\xff\xff", b"{}"])
def test_files_of_other_bytes_are_refused(folder, name, data):
    (folder / name).write_bytes(data)
    rewrite_manifest(folder)
    assert_refused(folder)


@pytest.mark.parametrize("name", [ARCHITECTURES, OBJECTIVES, METADATA])
def test_missing_files_are_refused(folder, name):
    (folder / name).unlink()
    assert_refused(folder, name)


@pytest.mark.parametrize("name", [ARCHITECTURES, METADATA])
def test_files_that_are_not_those_of_the_manifest_are_refused(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert_refused(folder, name, "sha256")


def test_objectives_truncated_anywhere_are_refused(folder):
    data = (folder / OBJECTIVES).read_bytes()
    for size in (*range(0, 140, 7), len(data) // 2, len(data) - 1):
        (folder / OBJECTIVES).write_bytes(data[:size])
        assert_refused(folder)


def test_a_changed_value_among_the_objectives_is_refused(folder):
    # Only `verify` looked at their checksum.
    data = bytearray((folder / OBJECTIVES).read_bytes())
    data[-9] ^= 1
    (folder / OBJECTIVES).write_bytes(data)
    assert_refused(folder, OBJECTIVES, "sha256")


def test_a_table_that_is_replaced_keeps_its_values_and_takes_nothing_of_the_new(folder, tmp_path):
    table = Table.read(folder)
    before = np.array(table.objectives)
    write_table(tmp_path / "new", size=6, repeats=3, seed=5)
    with Outputs(folder.parent, [folder.name], overwrite=True) as outputs:
        built = outputs.build(folder.name)
        for path in (tmp_path / "new").iterdir():
            (built / path.name).write_bytes(path.read_bytes())
        np.savez(built / SIDE, perplexity_filled=np.ones(6, dtype=bool), accuracy=np.ones(6))
        rewrite_manifest(built)
        outputs.publish()
    np.testing.assert_array_equal(table.objectives, before)
    assert (Table.read(folder).objectives != before).any()
    with pytest.raises(DataError, match="is not the file of its manifest"):
        table.read_side()


def test_headers_that_numpy_does_not_write_are_refused_before_it_evaluates_them(
    folder, monkeypatch
):
    def fail(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(np, "load", fail)
    data = (folder / OBJECTIVES).read_bytes()
    begin = data.index(b"\n")
    for header in (b"{'descr': '<f4', 'fortran_order': False, 'shape': (2**40,), }",
                   b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
                   b"(" * 60):  # fmt: skip
        changed = data[:10] + header.ljust(begin - 10) + data[begin:]
        (folder / OBJECTIVES).write_bytes(changed)
        rewrite_manifest(folder)
        assert_refused(folder)


def save(folder, objectives) -> None:
    np.save(folder / OBJECTIVES, objectives, allow_pickle=True)
    rewrite_manifest(folder)


BAD_OBJECTIVES = {
    "fewer devices": lambda a: a[:12],
    "fewer rows": lambda a: a[:, :5],
    "two levels": lambda a: np.repeat(a, 2, axis=3),
    "fewer objectives": lambda a: a[..., :7],
    "no repeats": lambda a: a[:, :, :0],
    "fewer axes": lambda a: a[0],
    "a number": lambda a: np.float32(3),
    "integers": lambda a: a.astype(int),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype(complex),
}


@pytest.mark.parametrize("change", BAD_OBJECTIVES.values(), ids=BAD_OBJECTIVES)
def test_objectives_of_another_form_are_refused(folder, change):
    save(folder, change(np.load(folder / OBJECTIVES)))
    assert_refused(folder)


def test_an_archive_in_place_of_the_objectives_is_refused(folder):
    # numpy opens it without complaint, as something that is no array
    with (folder / OBJECTIVES).open("wb") as file:
        np.savez(file, a=np.zeros(3))
    rewrite_manifest(folder)
    assert_refused(folder, OBJECTIVES)


BAD_METADATA = {
    "fewer devices": {"task_names": list(DEVICES)[:12]},
    "other order": {"task_names": list(DEVICES)[::-1]},
    "no devices": {"task_names": None},
    "other objectives": {"objectives_names": NAMES[::-1]},
    "no objectives": {"objectives_names": []},
    "no latency": {"objectives_names": [n for n in NAMES if n != "metric_latency"]},
}


@pytest.mark.parametrize("changes", BAD_METADATA.values(), ids=BAD_METADATA)
def test_metadata_of_other_tasks_is_refused(folder, changes):
    metadata = json.loads((folder / METADATA).read_text())
    (folder / METADATA).write_text(json.dumps({**metadata, **changes}))
    rewrite_manifest(folder)
    assert_refused(folder, METADATA)


def test_metadata_of_fewer_objectives_than_are_stored_is_refused(folder):
    metadata = json.loads((folder / METADATA).read_text())
    metadata["objectives_names"].remove("metric_error")
    (folder / METADATA).write_text(json.dumps(metadata))
    rewrite_manifest(folder)
    assert_refused(folder, OBJECTIVES, "(13, 6, repeats, 1, 8)")


def changed(matrix: np.ndarray, column: int, value: int) -> np.ndarray:
    out = matrix.astype(np.int64)
    out[:, column] = value
    return out


BAD_ARCHITECTURES = {
    "a column less": lambda m: m[:, :-1],
    "a value out of range": lambda m: changed(m, 1, 3),
    "a negative value": lambda m: changed(m, 1, -1),
    "beyond 64 bits as signed": lambda m: np.full_like(m, 2**64 - 1, dtype=np.uint64),
    "not integers": lambda m: m.astype(float),
    "truth values": lambda m: m.astype(bool),
    "one axis": lambda m: m[0],
    "no row": lambda m: m[:0],
    "a row less": lambda m: m[1:],
    "the same row twice": lambda m: m[[0, 0, 1, 2, 3, 4]],
    "not canonical": lambda m: changed(changed(m, 0, 0), 3 + 11, 2),
}


@pytest.mark.parametrize("change", BAD_ARCHITECTURES.values(), ids=BAD_ARCHITECTURES)
def test_architectures_of_another_form_are_refused(folder, change):
    matrix = np.load(folder / ARCHITECTURES)[MATRIX]
    np.savez(folder / ARCHITECTURES, **{MATRIX: change(matrix)})
    rewrite_manifest(folder)
    assert_refused(folder)


def test_a_hostile_parquet_file_that_crashed_the_process_is_not_read(folder):
    # fastparquet follows lengths that the file states, past the end of its memory
    (folder / "hyperparameters.parquet").write_bytes(b"PAR1" + b"\xff" * 50 + b"PAR1")
    rewrite_manifest(folder)
    assert len(Table.read(folder).matrix) == 6


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"space": "m"}, ""),
        ({"space": "xxl"}, "xxl"),
        ({"space": None}, ""),
        ({"kind": "surrogate"}, "of kind"),
        ({"schema_version": None}, "schema_version"),
    ],
)
def test_manifests_of_something_else_are_refused(folder, changes, says):
    rewrite_manifest(folder, **changes)
    assert_refused(folder, says)


def test_a_table_of_the_future_says_to_update(folder):
    rewrite_manifest(folder, schema_version=99)
    with pytest.raises(DataError, match="pip install --upgrade"):
        Table.read(folder)
