"""Photographs that ship with libraries which are installed anyway: no download, no copy of ours.

Licences, as the libraries state them. scikit-learn, both CC BY 2.0: china by danielbuechele, flower by vultilion.
scikit-image (https://scikit-image.org/docs/stable/api/skimage.data.html): astronaut (NASA), clock (S. van der Walt)
and hubble_deep_field (NASA) are in the public domain; camera (Lav Varshney), cell (P. Müller et al.), chelsea, coffee,
retina (M. Häggström) and rocket are CC0; coins (Brooklyn Museum) and immunohistochemistry (CMMI) have no known
restrictions; of moon nothing is stated. matplotlib: grace_hopper, a portrait by the United States Navy.
"""

from functools import cache
from pathlib import Path

import PIL.Image

from sgi2v_lab.errors import InputError, needs
from sgi2v_lab.images.read import to_tensor
from sgi2v_lab.shapes import Image

__all__ = ["LIBRARY_OF", "read_photograph"]

LIBRARY_OF = {
    **dict.fromkeys(("china", "flower"), "scikit-learn"),
    **dict.fromkeys(("astronaut", "camera", "cell", "chelsea", "clock", "coffee", "coins"), "scikit-image"),
    **dict.fromkeys(("hubble_deep_field", "immunohistochemistry", "moon", "retina", "rocket"), "scikit-image"),
    "grace_hopper": "matplotlib",
}


@cache
def read_photograph(name: str) -> Image:
    """A whole photograph, (3, height, width) in 0..1; a grey one has three equal channels.

    It is read once, and all callers get the same tensor: do not change it in place.

    Raises:
        InputError: a name that is not in `LIBRARY_OF`.
    """
    if name not in LIBRARY_OF:
        raise InputError(f"there is no photograph {name!r}; there are {', '.join(sorted(LIBRARY_OF))}")
    # the libraries take long to import, and most work needs none of them
    if LIBRARY_OF[name] == "scikit-learn":
        from sklearn.datasets import load_sample_image

        return to_tensor(PIL.Image.fromarray(load_sample_image(f"{name}.jpg")))
    if LIBRARY_OF[name] == "scikit-image":
        with needs("evaluation"):
            import skimage.data

        return to_tensor(PIL.Image.fromarray(getattr(skimage.data, name)()))
    import matplotlib

    with PIL.Image.open(Path(matplotlib.get_data_path()) / "sample_data" / f"{name}.jpg") as picture:
        return to_tensor(picture)
