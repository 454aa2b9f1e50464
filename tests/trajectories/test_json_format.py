import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgi2v_lab.errors import InputError
from sgi2v_lab.trajectories import json_format as trajectory_json
from sgi2v_lab.trajectories.boxes import Trajectories, Trajectory
from sgi2v_lab.trajectories.geometry import EASINGS
from sgi2v_lab.trajectories.json_format import from_json, to_json
from sgi2v_lab.trajectories.trajectory import KeyBox

# strategies build objects whose types are checked, and the checker looks at list items drawn at random
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

names = st.text(max_size=8) | st.just("linear")
coordinates, sides = st.floats(-2000, 2000), st.floats(0.5, 500)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), coordinates, coordinates, sides, sides)
easings = st.sampled_from(sorted(EASINGS))
colours = st.none() | st.just("#1f77b4")
along = st.builds(
    Trajectory.along,
    st.just((1.0, 2.0, 3.0, 4.5)),
    st.lists(st.tuples(coordinates, coordinates), min_size=2, max_size=5),
    scale=st.floats(0.1, 3),
    easing=easings,
    name=names,
    colour=colours,
)


keyed = st.builds(
    lambda times, each, easing, own, name: Trajectory(
        tuple(KeyBox(t, box, own) for t, box in zip(sorted(times), each, strict=False)), name=name, easing=easing
    ),
    st.lists(st.integers(0, 997).map(lambda i: i / 997), min_size=1, max_size=4, unique=True),
    st.lists(boxes, min_size=4, max_size=4),
    easings,
    st.none() | easings,
    names,
)


@given(st.lists(keyed | along, max_size=4), st.tuples(st.integers(1, 5000), st.integers(1, 5000)))
def test_round_trip_is_exact(several, size):
    trajectories = Trajectories(size, tuple(several))
    assert from_json(to_json(trajectories)) == trajectories


def test_frame_counts_are_kept():
    fixed = Trajectories.from_boxes((64, 64), Trajectory.move((0, 0, 9, 9), by=(7, 3)).boxes(14)[None])
    again = from_json(to_json(fixed))
    assert again == fixed and again[0].frames == 14


def test_the_documented_example_is_read():
    example = trajectory_json.__doc__.split("::")[1].split("All coordinates")[0]
    ball, still = from_json(example)
    assert ball.name == "ball" and ball.easing == "ease-in-out" and len(ball.path) == 3 and still.pinned


def valid() -> dict:
    keys = [{"time": 0, "box": [1, 2, 3, 4]}, {"time": 1, "box": [5, 2, 9, 4]}]
    image = {"width": 64, "height": 48}
    return {"format": "sgi2v-trajectories", "version": 1, "image": image, "trajectories": [{"keys": keys}]}


def changed(*path_and_value) -> str:
    """The valid document with one place changed, or removed if the value is None."""
    document = here = valid()
    *path, last, value = path_and_value
    for step in path:
        here = here[step]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return json.dumps(document)


FIRST = ("trajectories", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid JSON at line 1, column 0 .*EOF"),
        ('{\n "format": }', "invalid JSON at line 2, column 12"),
        ("[" * 100_000, "invalid JSON at line 1, column .* .recursion limit"),
        ("1" * 5000, "invalid JSON at line 1, column .* .number out of range"),
        ("[]", 'expected an object with "format"'),
        (changed("format", "geojson"), 'expected an object with "format": "sgi2v-trajectories"'),
        (changed("version", 2), "version is 2: expected 1"),
        (changed("version", None), "version is None"),
        (changed("image", None), 'the file has no "image"'),
        (changed("image", "width", None), '"image" has no "width"'),
        (changed("image", "width", 1.5), '"width" of "image" is 1.5: expected a whole number'),
        (changed("image", "width", 0), "picture's size"),
        (changed("image", "depth", 3), 'unknown field "depth"'),
        (changed("trajectories", None), 'no "trajectories"'),
        (changed("trajectories", {}), '"trajectories" is {}: expected a list'),
        (changed("trajectories", 0, 7), "trajectory 0 is 7: expected an object"),
        (changed(*FIRST, "keys", None), 'trajectory 0 has no "keys"'),
        (changed(*FIRST, "keys", []), "trajectory 0: .*no key box"),
        (changed(*FIRST, "keys", 1, "time", None), 'key 1 of trajectory 0 has no "time"'),
        (changed(*FIRST, "keys", 1, "time", "1"), "\"time\" of key 1 of trajectory 0 is '1': expected a number"),
        (changed(*FIRST, "keys", 1, "time", True), "expected a number"),
        (changed(*FIRST, "keys", 1, "time", 0), "time 0 twice"),
        (changed(*FIRST, "keys", 1, "time", 2), "time 2: expected 0"),
        (changed(*FIRST, "keys", 1, "box", [1, 2, 3]), "has 3 numbers: expected 4"),
        (changed(*FIRST, "keys", 1, "box", [1, 2, 3, "4"]), "box number 3 of key 1 .* is '4': expected a number"),
        (changed(*FIRST, "keys", 1, "box", [1, 2, 3, 4, 5]), "has 5 numbers: expected 4"),
        (changed(*FIRST, "keys", 1, "box", 7), '"box" of key 1 of trajectory 0 is 7: expected a list'),
        (changed(*FIRST, "keys", 1, "box", [1, 2, 1, 4]), "key 1 of trajectory 0: .*x0 < x1"),
        (changed(*FIRST, "keys", 1, "box", [1, 2, 3, float("nan")]), "key 1 of trajectory 0: .*remove the NaN"),
        (changed(*FIRST, "keys", 1, "box", [1, 2, 3, 1e999]), "remove the NaN or infinity"),
        (changed(*FIRST, "keys", 1, "box", [1, 2, 3, 10**400]), "expected 4 numbers"),
        (changed(*FIRST, "keys", 0, "easing", "bouncy"), "unknown easing 'bouncy'"),
        (changed(*FIRST, "easing", "bouncy"), "unknown easing 'bouncy'"),
        (changed(*FIRST, "eazing", "linear"), 'trajectory 0 has an unknown field "eazing"'),
        (changed(*FIRST, "colour", "blue"), "colour 'blue'"),
        (changed(*FIRST, "name", 7), '"name" of trajectory 0 is 7: expected text'),
        (changed(*FIRST, "path", [[1, 2]]), "path of 1 points"),
        (changed(*FIRST, "path", [[1, 2], 3]), "path point 1 of trajectory 0 is 3: expected a list"),
        (changed(*FIRST, "path", [[1, 2], [3]]), "has 1 numbers: expected 2"),
        (changed(*FIRST, "frames", 0), "frame count of a trajectory is 0"),
    ],
)
def test_malformed_files_are_refused_in_one_sentence(text, message):
    assert len(from_json(json.dumps(valid()))) == 1
    with pytest.raises(InputError, match=message) as caught:
        from_json(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
