import io
import struct
import warnings
import zlib

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from jaxtyping import config as jaxtyping_config

from sgi2v_lab.errors import InputError
from sgi2v_lab.images.read import Fit, fit_image, read_image, to_pil, to_tensor


def gradient(width=60, height=40) -> PIL.Image.Image:
    y, x = np.mgrid[:height, :width]
    return PIL.Image.fromarray(np.stack([x * 4, y * 6, 255 - x * 4], axis=-1).astype(np.uint8))


def encoded(image: PIL.Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and has next to nothing behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_reads_lossless_files_exactly(tmp_path, kind):
    path = tmp_path / "picture"
    path.write_bytes(encoded(gradient(), kind))
    for source in (path, str(path), path.read_bytes(), gradient()):
        found = read_image(source)
        assert found.mode == "RGB" and np.array_equal(np.asarray(found), np.asarray(gradient()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_reads_lossy_files(kind):
    found = read_image(encoded(gradient(), kind))
    assert found.size == (60, 40) and np.abs(np.asarray(found).astype(int) - np.asarray(gradient())).mean() < 8


def test_an_image_given_stays_as_it_is():
    image = PIL.Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert read_image(image).getpixel((0, 0)) == (255, 255, 255)
    assert image.mode == "RGBA" and image.getpixel((0, 0)) == (255, 0, 0, 0)


def test_exif_rotation_is_applied():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    found = read_image(encoded(gradient(), "PNG", exif=exif))
    assert np.array_equal(np.asarray(found), np.rot90(np.asarray(gradient()), k=-1))


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (PIL.Image.new("RGBA", (3, 3), (200, 0, 0, 0)), (255, 255, 255)),
        (PIL.Image.new("RGBA", (3, 3), (255, 0, 0, 128)), (255, 127, 127)),
        (PIL.Image.new("LA", (3, 3), (0, 0)), (255, 255, 255)),
        (PIL.Image.new("L", (3, 3), 77), (77, 77, 77)),
        (PIL.Image.new("1", (3, 3), 1), (255, 255, 255)),
        (PIL.Image.new("RGB", (3, 3), (1, 2, 3)).quantize(4), (1, 2, 3)),
        (PIL.Image.fromarray(np.full((3, 3), 257 * 50, np.uint16)), (50, 50, 50)),
        (PIL.Image.fromarray(np.full((3, 3), 257 * 50, np.int32)), (50, 50, 50)),
        (PIL.Image.fromarray(np.full((3, 3), 200, np.int32)), (200, 200, 200)),
        (PIL.Image.fromarray(np.full((3, 3), 0.4, np.float32)), (102, 102, 102)),
        (PIL.Image.fromarray(np.full((3, 3), 51, np.float32)), (51, 51, 51)),
        (PIL.Image.new("CMYK", (3, 3), (0, 0, 0, 0)), (255, 255, 255)),
    ],
    ids=["clear", "half clear", "grey alpha", "grey", "bits", "palette", "16", "32 as 16", "32 as 8", "0..1", "0..255",
         "cmyk"],
)  # fmt: skip
def test_every_kind_of_pixel_becomes_rgb(image, colour):
    found = read_image(image)
    assert found.mode == "RGB" and found.size == (3, 3) and found.getpixel((1, 1)) == colour


def test_a_16_bit_file_is_not_saturated():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    found = np.asarray(read_image(encoded(PIL.Image.fromarray(ramp))))
    assert np.array_equal(found[..., 0].ravel(), np.arange(256))


RGB = np.array([[[10, 60, 110], [160, 210, 250]]], np.uint8)  # a picture of 2 x 1


@pytest.mark.parametrize(
    "held",
    [
        RGB,
        torch.from_numpy(RGB),
        RGB[None],  # a batch of one
        np.moveaxis(RGB, 2, 0),
        RGB.astype(np.int64),
        RGB.astype(np.uint16) * 257,
        (RGB.astype(np.uint16) * 257).astype(">u2"),
        RGB.astype(np.int32) * 257,
        RGB / 255,
        (RGB / 255).astype(np.float16).astype(np.float32),
        RGB.astype(np.float32),
        torch.from_numpy(RGB / 255).permute(2, 0, 1),
        torch.from_numpy(RGB / 255).permute(2, 0, 1).bfloat16(),
        RGB[:, ::-1, ::-1][:, ::-1, ::-1],  # negative strides, as of [..., ::-1] for OpenCV
        np.dstack([RGB, np.full((1, 2), 255, np.uint8)]),
    ],
    ids=lambda held: f"{type(held).__name__} {held.dtype} {tuple(held.shape)}",
)
def test_arrays_of_every_kind_are_pictures(held):
    found = np.asarray(read_image(held)).astype(int)
    assert found.shape == (1, 2, 3) and np.abs(found - RGB).max() <= (1 if "float" in str(held.dtype) else 0)


def test_grey_arrays_and_masks_are_pictures():
    assert read_image(np.full((4, 6), 77, np.uint8)).getpixel((5, 3)) == (77, 77, 77)
    assert read_image(np.full((4, 6, 1), 0.4)).getpixel((5, 3)) == (102, 102, 102)
    assert read_image(np.full((4, 6), True)).getpixel((5, 3)) == (255, 255, 255)


def test_open_files_and_buffers_are_pictures(tmp_path):
    gradient().save(tmp_path / "picture.png")
    with open(tmp_path / "picture.png", "rb") as file:
        sources = (file, io.BytesIO(encoded(gradient())), bytearray(encoded(gradient())))
        assert all(np.array_equal(read_image(source), gradient()) for source in sources)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.float32, 1 / 255), (np.float32, 1), (np.float32, 257), (np.int32, 257)]
)
def test_tiffs_of_other_numbers_keep_their_greys(tmp_path, dtype, scale):
    values = (np.array([[0, 51, 102], [153, 204, 255]]) * scale).astype(dtype)
    PIL.Image.fromarray(values).save(tmp_path / "scan.tiff")
    assert np.asarray(read_image(tmp_path / "scan.tiff"))[..., 0].tolist() == [[0, 51, 102], [153, 204, 255]]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.array([[0, 1e6]], np.float32), "from 0 to 1e\\+06: expected 0..1, 0..255 or 0..65535"),
        (np.array([[0, 2**30]], np.int32), "expected 0..1, 0..255 or 0..65535"),
        (np.array([[-1, 1]], np.float32), "from -1 to 1"),
        (np.array([[0, 1.5]], np.float32), "from 0 to 1.5"),
        (np.array([[0, np.nan]], np.float32), "NaN"),
    ],
)
def test_numbers_that_say_no_brightness_are_refused(tmp_path, values, told):
    PIL.Image.fromarray(values).save(tmp_path / "scan.tiff")
    for source in (tmp_path / "scan.tiff", values):
        with pytest.raises(InputError, match=told):
            read_image(source)


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (np.zeros((2, 3, 4, 5)), r"shape \(2, 3, 4, 5\)"),
        (np.zeros((0, 4, 3)), "shape"),
        (np.array([["a", "b"]]), "type <U1"),
        (np.zeros((2, 2, 3), complex), "complex"),
        (5, "5 is a int: expected the path of a picture"),
        (None, "expected the path of a picture"),
        ("https://example.org/cat.png", "address on the web.*download it"),
        ("", "no path"),
        (io.StringIO("text"), "open it by"),
    ],
)
def test_what_is_no_picture_at_all(held, told, monkeypatch):
    monkeypatch.setattr(jaxtyping_config, "jaxtyping_disable", True)  # users have no run-time checker
    with pytest.raises(InputError, match=told):
        read_image(held)


def test_a_palette_with_a_transparent_colour():
    image = PIL.Image.new("P", (3, 3), 0)
    image.putpalette([10, 20, 30])
    assert read_image(encoded(image, "GIF", transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*nowhere.png"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello, I am a text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_picture(tmp_path, content):
    (tmp_path / "notes.png").write_bytes(content)
    with pytest.raises(InputError, match=r"notes.png is not a picture that can be read: expected one of PNG, JPEG"):
        read_image(tmp_path / "notes.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM"])
def test_truncated_files(kind):
    whole = encoded(PIL.Image.effect_noise((64, 64), 80).convert("RGB"), kind)
    with pytest.raises(InputError, match=r"the picture is (damaged|not a picture)"):
        read_image(whole[: len(whole) // 2])


@settings(max_examples=60)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF"]), st.integers(8, 400), st.binary(min_size=1, max_size=8))
def test_damaged_files_give_a_picture_or_an_input_error(kind, where, rubbish):
    content = bytearray(encoded(gradient(), kind))
    content[where : where + len(rubbish)] = rubbish
    try:
        assert read_image(bytes(content), max_pixels=10_000).mode == "RGB"
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_by_the_header_alone(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own bomb warning must not reach the caller either
        with pytest.raises(InputError, match=r"expected .* so scale it down"):
            read_image(png_header(*size))


def test_the_limit_is_the_callers():
    assert read_image(gradient(), max_pixels=2400).size == (60, 40)
    for source in (gradient(), encoded(gradient())):
        with pytest.raises(InputError, match="60 x 40 pixels: expected at most 2399"):
            read_image(source, max_pixels=2399)


# --- fitting ---------------------------------------------------------------------------------------------------------


def marked(size, box) -> PIL.Image.Image:
    image = PIL.Image.new("RGB", size, "white")
    image.paste((255, 0, 0), box)
    return image


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(128, 128), (200, 100), (90, 170), (1024, 576)])
def test_the_picture_and_its_boxes_move_together(how, size):
    box = (120, 80, 180, 140)
    fitted, fit = fit_image(marked((300, 200), box), size, how)
    assert fitted.size == size == fit.target and fit.source == (300, 200)
    pixels = np.asarray(fitted).astype(int)
    ys, xs = np.nonzero((pixels[..., 0] > 128) & (pixels[..., 1] < 128))
    found = torch.tensor([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]).float()
    assert torch.allclose(found, fit.apply(torch.tensor(box).float()), atol=1.0)


def test_pad_draws_black_bars_and_crop_none():
    white = PIL.Image.new("RGB", (200, 100), "white")
    padded, fit = fit_image(white, (100, 100), "pad")
    assert fit.content == (0, 25, 100, 75)
    rows = np.asarray(padded)[:, 50, 0]
    assert (rows[:25] == 0).all() and (rows[25:75] == 255).all() and (rows[75:] == 0).all()
    assert np.asarray(fit_image(white, (100, 100), "crop")[0]).min() == 255


def test_the_same_size_changes_nothing():
    for how in ("stretch", "crop", "pad"):
        fitted, fit = fit_image(gradient(), (60, 40), how)
        assert np.array_equal(np.asarray(fitted), np.asarray(gradient()))
        assert fit == Fit((60, 40), (60, 40), (1.0, 1.0), (0.0, 0.0))


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(1, 300), st.integers(1, 300)), st.sampled_from(["stretch", "crop", "pad"]))
def test_any_size_can_be_fitted(size, how):
    fitted, _ = fit_image(PIL.Image.new("RGB", size, "white"), (64, 48), how)
    assert fitted.size == (64, 48) and np.asarray(fitted).max() == 255


def test_unknown_fit():
    with pytest.raises(InputError, match="unknown way to fit"):
        fit_image(gradient(), (64, 64), "squash")


# --- tensors ---------------------------------------------------------------------------------------------------------


def test_tensor_round_trip():
    tensor = to_tensor(gradient())
    assert tensor.shape == (3, 40, 60) and tensor.dtype == torch.float32 and tensor.min() >= 0 and tensor.max() <= 1
    assert tensor[0, 7, 11] == 44 / 255
    assert np.array_equal(np.asarray(to_pil(tensor)), np.asarray(gradient()))


def test_to_pil_clips_rounds_and_detaches():
    tensor = torch.tensor([-1.0, 0.5, 7.0]).view(3, 1, 1).requires_grad_()
    assert to_pil(tensor).getpixel((0, 0)) == (0, 128, 255)


@pytest.mark.parametrize("tensor", [torch.zeros(1, 4, 4), torch.zeros(4, 4, 3), torch.zeros(3, 0, 4)])
def test_to_pil_wants_a_picture(tensor):
    with pytest.raises((InputError, TypeCheckError), match=r"shape|checking"):
        to_pil(tensor)


def test_to_pil_refuses_nan():
    with pytest.raises(InputError, match="NaN"):
        to_pil(torch.full((3, 2, 2), float("nan")))
