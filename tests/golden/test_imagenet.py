"""The image folder's loader, on tiny images made here."""

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")

from vsq.golden.workloads import imagenet
from vsq.golden.workloads.metrics import Score


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """Three classes of plain colours; pictures of two shapes and modes."""
    for i, name in enumerate(["n01", "n02", "n03"]):
        colour = np.zeros((20, 30, 3), np.uint8)
        colour[..., i] = 255
        save(tmp_path / name / "a.png", colour)
        save(tmp_path / name / "b.JPEG", colour.transpose(1, 0, 2).copy())
    (tmp_path / "n01" / "notes.txt").write_text("no image")
    return tmp_path


class Brightest(torch.nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3))


def test_images_come_with_labels_and_a_model_is_scored(root):
    found = imagenet.images(root)
    assert [(path.parent.name, label) for path, label in found] == [(f"n0{1 + i // 2}", i // 2) for i in range(6)]
    shapes = [pixels.shape for pixels, _ in imagenet.batches(found, 4)]
    assert shapes == [(4, 3, 224, 224), (2, 3, 224, 224)]
    assert imagenet.accuracy(Brightest(), imagenet.batches(found, 4)) == Score(1.0, 0.0)


def test_labels_follow_the_given_classes(root):
    found = imagenet.images(root, classes=["n03", "n00", "n01", "n02"])
    assert [label for _, label in found] == [2, 2, 3, 3, 0, 0]
    with pytest.raises(InputError, match="n03: its name is not among the 2 classes"):
        imagenet.images(root, classes=["n01", "n02"])


def test_pixels_are_resized_cropped_and_normalized(tmp_path):
    """A ramp from left to right in a 512x256 image: the crop keeps its middle 224 columns of 512."""
    ramp = np.broadcast_to((np.arange(512) // 2).astype(np.uint8)[None, :, None], (256, 512, 3)).copy()
    save(tmp_path / "ramp.png", ramp)
    pixels = imagenet.read(tmp_path / "ramp.png")
    columns = np.arange(144, 368) // 2 / 255
    for channel in range(3):
        expected = (columns - imagenet.MEAN[channel]) / imagenet.DEVIATION[channel]
        np.testing.assert_allclose(pixels[channel, 100].numpy(), expected, atol=1e-5)


def test_a_grey_image_has_three_channels(tmp_path):
    save(tmp_path / "grey.png", np.full((300, 300), 128, np.uint8))
    assert imagenet.read(tmp_path / "grey.png").shape == (3, 224, 224)


def test_errors_name_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        imagenet.images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no image in any of its 0 folders"):
        imagenet.images(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"broken\.png: cannot be read as an image"):
        imagenet.read(tmp_path / "broken.png")
    with pytest.raises(InputError, match="got no images"):
        imagenet.accuracy(Brightest(), [])
