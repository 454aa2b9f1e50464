"""The course's page offers names of other modules: each is there, and none is a public name."""

import sgi2v_lab
import sgi2v_lab.course


def test_every_name_can_be_imported():
    for name in sgi2v_lab.course.__all__:
        assert getattr(sgi2v_lab.course, name) is not None
    assert not {*sgi2v_lab.course.__all__} & {*sgi2v_lab.__all__}
