"""`encapnet explain`: the page on networks with and without capsules and decoders, and wrong arguments."""

import base64
import io
import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.data.sources.digits import load_digits
from PIL import Image

import encapnet_tf as en
from tests.trainers.commands.command import run_command
from tests.trainers.data.image_bytes import encoded

EVIL = "<img onerror=alert(1) src=x>.png"
TINY = {"depths": (0,), "capsule_dims": (4,), "strides": (2,), "num_capsules": 4, "routing": "master"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with models and images of digits."""
    folder = tmp_path_factory.mktemp("explain")
    keras.utils.set_random_seed(0)
    digits = load_digits()
    network = en.models.EncapNet((8, 8, 1), 10, **TINY, include_rescaling=True)
    kernel = network.get_layer("class_capsules").kernel
    kernel.assign(30 * kernel)  # so that the lengths are far from 0 without training
    network.save(folder / "plain.keras")
    en.attach_reconstruction(network).save(folder / "decoder.keras")
    en.models.PlainCNN((8, 8, 1), 3, num_capsules=2, include_rescaling=True).save(folder / "cnn.keras")
    (folder / "images").mkdir()
    for i, pixels in enumerate(digits.test.images[:3, ..., 0]):
        (folder / "images" / f"{i}.png").write_bytes(encoded(pixels))
    (folder / EVIL).write_bytes(encoded(digits.test.images[4, ..., 0]))
    (folder / "model.tflite").write_bytes(b"")
    (folder / "cut.png").write_bytes(encoded(digits.test.images[5, ..., 0])[:60])
    return folder


@pytest.fixture(scope="module")
def explained(folder):
    """The command's result on a network with a decoder, and its page."""
    result = run_command("explain", "decoder.keras", "images/0.png", EVIL, "--out=page.html", cwd=folder)
    assert result.status == 0, result.stderr
    return result, (folder / "page.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_the_answers_and_the_path_are_printed(explained, folder):
    result, page = explained
    *lines, last = result.stdout.splitlines()
    assert last == "page: page.html"
    assert len(lines) == 2
    name, score = lines[0].split()[1:]
    lengths = en.load_model(folder / "decoder.keras")(load_digits().test.images[:1])[0]
    assert name == str(np.argmax(lengths))
    assert float(score) == pytest.approx(np.max(lengths), abs=1e-3)
    assert f"<h2>images/0.png: {name}, length {float(score):.2f}</h2>" in page


@pytest.mark.ci
def test_the_answers_are_those_of_predict(explained, folder):
    predicted = run_command("predict", "decoder.keras", "images/0.png", EVIL, cwd=folder).stdout.splitlines()
    for line, expected in zip(explained[0].stdout.splitlines()[:2], predicted, strict=True):
        assert expected.startswith(line)


def test_the_page_needs_no_network_and_escapes_names(explained):
    _, page = explained
    assert "onerror" in page
    assert "default-src 'none'; img-src data:" in page
    tags = Tags(page).tags
    assert not {"script", "link", "iframe", "a"} & {tag for tag, _ in tags}
    assert not {"style", "onerror", "href"} & {name for _, attributes in tags for name in attributes}
    sources = [attributes["src"] for _, attributes in tags if "src" in attributes]
    assert len(sources) == 2 * (6 + 4 + 4)
    for source in sources:
        assert Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))).width > 100


def test_every_part_is_there(explained):
    _, page = explained
    sections = page.split("<h2>")[1:]
    assert len(sections) == 2
    for section in sections:
        assert re.findall(r"<h3>(.*?)</h3>", section) == ["Reconstruction", "Lower capsules that agree"]
        assert "<h4>Components of the capsule</h4>" in section
        captions = re.findall(r"<figcaption>(\w+ ?\w*)", section)
        assert captions[:4] == ["What the", "Gradient", "Hidden by", "Lower capsules"]
        assert sum(caption.startswith("component") for caption in captions) == 4
        assert section.count("<rect") == 10
        assert section.count('class="marked"') == 1
        assert "of the 64 lower capsules vote" in section


def test_without_a_decoder_and_without_capsules(folder):
    result = run_command("explain", "plain.keras", "images/0.png", cwd=folder)
    assert result.stdout.splitlines()[-1].startswith("page: explanation.html")
    page = (folder / "explanation.html").read_text(encoding="utf-8")
    assert "has no decoder" in page
    assert "--reconstruction=dense" in page
    result = run_command("explain", "cnn.keras", "images/0.png", cwd=folder)
    assert result.status == 0, result.stderr
    page = (folder / "explanation.html").read_text(encoding="utf-8")
    assert "<h3>" not in page
    assert page.count("<img ") == 3
    assert result.stdout.splitlines()[-1] == "page: explanation.html (in place of the earlier page)"
    assert ", score 0." in page


def test_a_class_of_ones_choice(folder, explained):
    best = explained[0].stdout.split()[1]  # the networks share their weights
    other = str((int(best) + 1) % 10)
    result = run_command("explain", "plain.keras", "images/0.png", f"--class={other}", cwd=folder)
    assert result.stdout.split()[:2] == ["images/0.png", other]
    page = (folder / "explanation.html").read_text(encoding="utf-8")
    assert f"<h2>images/0.png: {other}, length" in page
    assert f"The network's answer is {best}, length" in page.replace("&#39;", "'")
    result = run_command("explain", "plain.keras", "images/1.png", "--class=cat", cwd=folder)
    assert result.status == 2
    assert "--class=cat is no class. Expected a name (0, 1, " in result.stderr


def test_names_of_the_classes(folder):
    (folder / "names.txt").write_text("zero\none\ntwo\n")
    arguments = ("explain", "cnn.keras", "images/0.png", "--out=names.html", "--class=two")
    result = run_command(*arguments, "--labels=names.txt", cwd=folder)
    assert result.stdout.split()[1] == "two"
    assert ">two</th>" in (folder / "names.html").read_text(encoding="utf-8")
    (folder / "names.txt").write_text("zero\n")
    result = run_command(*arguments, "--labels=names.txt", cwd=folder)
    assert "Received 1 class name for 3 scores. --labels needs one line for each class" in result.stderr


@pytest.mark.ci
def test_folders_and_the_limit(folder):
    result = run_command("explain", "cnn.keras", "images", "--limit=2", "--out=two.html", cwd=folder)
    assert "Explaining the first 2 of 3 images" in result.stdout
    assert (folder / "two.html").read_text(encoding="utf-8").count("<h2>") == 2


def test_images_that_cannot_be_read_are_named(folder):
    result = run_command("explain", "cnn.keras", "cut.png", "images/2.png", "--out=one.html", cwd=folder)
    assert result.status == 1
    assert "1 of 2 images cannot be explained:\ncut.png: " in result.stderr
    assert (folder / "one.html").read_text(encoding="utf-8").count("<h2>") == 1
    result = run_command("explain", "cnn.keras", "cut.png", "--out=none.html", cwd=folder)
    assert result.stderr.startswith("encapnet explain: cut.png: ")
    assert not (folder / "none.html").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cnn.keras"], "Name the images to explain after the model"),
        (["nowhere", "images"], "nowhere is no model"),
        (["images/0.png", "images"], "images/0.png is no model"),
        (["images", "images/0.png"], "images is no model: the folder has neither config.json"),
        (["cnn.keras", "images/*.jpg"], "No file matches images/*.jpg"),
        (["model.tflite", "images"], "is an exported model"),
        (["http://localhost:8501/v1/models/x", "images"], "is a server"),
        (["cnn.keras", "nowhere.png"], "nowhere.png cannot be read"),
        (["cnn.keras", "images", "--limit=0"], "--limit=0: expected at least 1"),
        (["cnn.keras", "images", "--out=nowhere/page.html"], "there is no folder"),
    ],
)
def test_wrong_arguments(arguments, message, folder):
    result = run_command("explain", *arguments, cwd=folder)
    assert result.status == 2
    assert message in result.stderr


def test_models_of_another_kind(folder, tmp_path):
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(2)(inputs)).save(tmp_path / "vectors.keras")
    result = run_command("explain", tmp_path / "vectors.keras", "images", cwd=folder)
    assert "is no classifier of images" in result.stderr


def test_a_run_and_its_export(exported, folder):
    """With the class names of the run; of a run with feedback units and a decoder."""
    result = run_command("explain", exported.run, "images/0.png", "--out=run.html", cwd=folder)
    assert result.status == 0, result.stderr
    page = (folder / "run.html").read_text(encoding="utf-8")
    assert "<h4>Components of the capsule</h4>" in page
    assert "<h2>Reconstructions</h2>" in (exported.run / "report.html").read_text(encoding="utf-8")
    result = run_command("explain", exported.path, "images/0.png", cwd=folder)
    assert "is an exported model" in result.stderr


def test_scores_that_are_no_probabilities(folder):
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(keras.layers.Flatten()(inputs)))
    weights = np.stack([np.full(64, value) for value in (1, -1, 0.5)], axis=1)
    model.set_weights([weights])
    model.save(folder / "logits.keras")
    run_command("explain", "logits.keras", "images/0.png", "--out=logits.html", cwd=folder)
    bars = re.findall(r'<rect width="([\d.]+)"', (folder / "logits.html").read_text(encoding="utf-8"))
    assert bars == ["100.0", "0.0", "50.0"]
    model.set_weights([np.nan * weights])
    model.save(folder / "nan.keras")
    result = run_command("explain", "nan.keras", "images/0.png", cwd=folder)
    assert "encapnet explain: images/0.png: the scores are not finite numbers" in result.stderr


def test_scores_of_the_page_are_those_of_the_model(folder):
    """Of a pixel's occlusion too: computed on what the network sees, with pixels from 0 to 255."""
    from encapnet_tf.export.local_model import LocalModel
    from encapnet_tf.trainers.explanation.explanation import explain_image

    model = LocalModel.load(folder / "decoder.keras")
    image = model.read_image((folder / "images" / "0.png").read_bytes())
    np.testing.assert_array_equal(image, load_digits().test.images[0].astype("float32"))
    explanation = explain_image(model.model, "0.png", image, 7)
    np.testing.assert_allclose(explanation.scores, model.model(image[None])[0], atol=1e-6)
    np.testing.assert_allclose(explanation.occlusion, en.explain.occlusion(model.model, image[None], 7)[0], atol=1e-6)
    assert explanation.agreement.labels.tolist() == [7]
    np.testing.assert_allclose(explanation.reconstruction, en.reconstruct(model.model, image[None], labels=[7])[0])
