"""Files and folders that are set aside keep their content, under a name that was unused; dry runs write nothing."""

import pytest
from encapnet_tf.trainers.runs.atomic_files import no_writing, replacing, set_aside


def test_a_file_is_renamed_to_the_lowest_unused_number(tmp_path):
    for text in ("first", "second"):
        (tmp_path / "a.ckpt").write_text(text)
        set_aside(tmp_path / "a.ckpt", ".damaged")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.ckpt.damaged1": "first",
        "a.ckpt.damaged2": "second",
    }


def test_a_folder_is_moved_into_another(tmp_path):
    (tmp_path / "trial_1").mkdir()
    (tmp_path / "trial_1" / "record.json").write_text("{")
    aside = set_aside(tmp_path / "trial_1", "-", tmp_path / "damaged")
    assert aside == tmp_path / "damaged" / "trial_1-1"
    assert (aside / "record.json").read_text() == "{"
    assert not (tmp_path / "trial_1").exists()


def test_nothing_is_written_in_a_dry_run(tmp_path):
    with no_writing(), pytest.raises(OSError, match="a dry run writes nothing"), replacing(tmp_path / "a"):
        pass
    assert not list(tmp_path.iterdir())
    with replacing(tmp_path / "a") as path:
        path.write_text("written")
    assert (tmp_path / "a").read_text() == "written"
