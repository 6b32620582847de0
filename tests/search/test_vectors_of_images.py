"""`darac describe`: a folder as clip-retrieval writes it, or a file of eval.py."""

from pathlib import Path

import numpy as np
import pytest

from darac_tf.commands.main import main
from darac_tf.data.labelled import read_csv, write_rows
from darac_tf.describing.contents import describe_contents
from darac_tf.describing.feature_file import load_feature_file
from darac_tf.describing.vector_files import load_vectors
from darac_tf.errors import UserError
from darac_tf.serving.client import split_images
from tests.helpers import write_image
from tests.search.collection import write_file
from tests.search.small_model import StandIn, vector_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("describe") / "photos"
    for number in range(5):
        write_image(folder / f"{number}.png", seed=number)
    write_file(folder / "2 broken.png", b"broken")
    write_file(folder / "3 again.png", (folder / "3.png").read_bytes())
    return folder


def test_a_folder_for_others(photos, model, tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "vectors"
    command = ["describe", str(photos), f"--model={model.folder}", f"--out={out}"]
    assert main([*command, "--dtype=float16", "--batch_images=2"]) == 0
    output, errors = capsys.readouterr()
    assert output == f"{out}: 6 images, 48 dimensions, 1 bad\n"
    assert f"\n{photos / '2 broken.png'}: cannot be decoded" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]
    found = {p.relative_to(out).as_posix() for p in out.rglob("*.*")}
    assert found == {"img_emb/img_emb_0.npy", "metadata/metadata_0.parquet"}
    vectors = np.load(out / "img_emb/img_emb_0.npy")
    names = parquet.read_table(out / "metadata/metadata_0.parquet").to_pydict()["image_path"]
    assert names == [str(p) for p in sorted(photos.iterdir()) if "broken" not in p.name]
    for name, vector in zip(names, vectors, strict=True):
        expected = model([Path(name).read_bytes()])[0][0]
        np.testing.assert_array_equal(vector, expected.astype(np.float16))
    assert main(command) == 1
    assert "is a folder that is not empty" in capsys.readouterr().err

    write_rows(tmp_path / "set.csv", [(path, "a", "") for path in names])
    assert main(["describe", str(tmp_path / "set.csv"), *command[2:-1], f"--out={out}.npz"]) == 0
    file = load_feature_file(f"{out}.npz")
    assert file.provenance["orientation"] == "stored" and file.valid.all()
    images = read_csv(tmp_path / "set.csv").image_list()
    by_path = load_vectors(str(out))
    assert by_path.rows_of(images).tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(by_path.vectors, file.vectors, atol=1e-3)
    assert main([*command[:-1], "--out=a.npz", "--dtype=float16"]) == 1
    assert "--dtype=float16 is for a folder" in capsys.readouterr().err


def test_an_interrupted_call_goes_on(tmp_path):
    contents = [b"0", b"1", b"2", b"3", b"bad", b"5", b"6"]
    paths = [str(write_file(tmp_path / f"{n}.jpg", data)) for n, data in enumerate(contents)]
    paths.append(str(write_file(tmp_path / "8.jpg", b"2")))
    model = StandIn()

    def describe_each(batches):
        for batch in batches:
            if b"6" in batch and b"0" in model.described:
                raise UserError("ended")
            yield model(batch)

    def split(sizes):
        return split_images(sizes, 2, 1000)

    how = (describe_each, paths, tmp_path / "kept", {"model": "a"}, split, False)
    with pytest.raises(UserError, match="ended"):
        describe_contents(*how)
    assert len(model.described) == 6
    model.described.clear()
    vectors, valid, _ = describe_contents(*how)
    assert model.described == [b"bad", b"6"]
    assert valid.tolist() == [place != 4 for place in range(8)]
    for path, vector in zip(paths, vectors[:], strict=True):
        content = Path(path).read_bytes()
        np.testing.assert_array_equal(
            vector, 0 * vector if content == b"bad" else vector_of(content)
        )
    with pytest.raises(UserError, match="model is 'a' and not 'b'"):
        describe_contents(describe_each, paths, tmp_path / "kept", {"model": "b"}, split)
