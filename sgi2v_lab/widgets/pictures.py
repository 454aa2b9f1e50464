"""Pictures on their way to the browser, as a file's content."""

import io

import PIL.Image

__all__ = ["encoded"]

LARGEST_SHOWN = (2048, 1152)  # pixels: what the editor shows, on a screen of two pixels per CSS pixel
LOSSLESS_UP_TO = 512 * 512  # pixels; larger pictures are sent as JPEG, a tenth of the size


def encoded(image: PIL.Image.Image) -> bytes:
    """A file's content to show: PNG, so exact, for small pictures; JPEG for large ones, no larger than the screen."""
    content = io.BytesIO()
    if image.width > LARGEST_SHOWN[0] or image.height > LARGEST_SHOWN[1]:
        image = image.copy()
        image.thumbnail(LARGEST_SHOWN)
    if image.width * image.height <= LOSSLESS_UP_TO:
        image.save(content, format="PNG")
    else:
        image.save(content, format="JPEG", quality=92)
    return content.getvalue()
