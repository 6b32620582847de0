"""Blocks in either precision: which layers are which, and the table."""

import keras

from darac_tf.data.labelled import write_rows
from darac_tf.engines.inference_copy import fused_copy
from studies.backbone_blocks import blocks_of, copies
from tests.helpers import write_backbone, write_image
from tests.studies.study_runner import run_study


def network():
    inputs = x = keras.Input((None, None, 3))
    for name in ("stem_conv", "a_1_expand", "a_1_project", "a_2_expand"):
        x = keras.layers.ReLU()(keras.layers.Conv2D(4, 1, name=name)(x))
    return keras.Model(inputs, x)


def test_each_block_is_alone_in_either_precision():
    model = network()
    blocks = blocks_of(model)
    assert list(blocks) == ["input", "stem_conv", "a_1", "a_2"]
    assert sum(map(len, blocks.values())) == len(model.layers) and len(blocks["a_1"]) == 4
    found = {
        name: {layer.name for layer in fused_copy(model, "bfloat16", exact)[0].layers
               if layer.name in ("stem_conv", "a_1_expand", "a_1_project", "a_2_expand")
               and layer.compute_dtype == "float32"}
        for name, exact in copies(blocks, 3)
    }  # fmt: skip
    convolutions = {"stem_conv", "a_1_expand", "a_1_project", "a_2_expand"}
    assert found["all in float32"] == convolutions and found["all in bfloat16"] == set()
    assert found["float32 up to a_1"] == convolutions - {"a_2_expand"}
    assert found["a_1 alone in float32"] == {"a_1_expand", "a_1_project"}
    assert found["a_1 alone in bfloat16"] == {"stem_conv", "a_2_expand"}
    assert len(found) == 2 + 3 + 2 * 4
    assert [name for name, _ in copies(blocks, 3, False)] == list(found)[:5]


def test_the_table(tmp_path, capsys):
    folder = tmp_path / "buildings"
    folder.mkdir()
    rows = [(write_image(folder / f"{i}.jpg", 60, 80, seed=i), f"{i % 2}", "") for i in range(6)]
    write_rows(folder / "labels.csv", rows)
    status = run_study(
        "precision_by_layer", f"--data_dir={tmp_path}", "--set=buildings", "--size=64",
        f"--backbone={write_backbone(tmp_path / 'small.keras')}", "--poolings=gem", "--timings=1",
        "--prefixes=2", f"--out={tmp_path}/out",
    )  # fmt: skip
    assert status == 0
    table = (tmp_path / "out" / "precision_by_layer.md").read_text().splitlines()
    assert table == capsys.readouterr().out.splitlines()[-len(table) :]
    rows = {
        row[0]: row[1:] for row in ([c.strip() for c in line.split("|")[1:-1]] for line in table)
    }
    assert rows["all in float32"][:2] == ["0.00", "+0.00"] and rows["all in float32"][-1] == "1.000"
    assert float(rows["all in bfloat16"][0]) > 0
    # Two lines of the header, and the network's input is a block, too.
    assert len(rows) == 2 + 2 + 2 + 2 * 3
