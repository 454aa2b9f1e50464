from sgi2v_lab.course import predict


def test_a_prediction_is_set_beside_what_came_out():
    outcome = predict("Which frame?", 3).beside("frame", 0, "off by", 2.0 / 3)
    assert repr(outcome) == "Which frame?\n    you expected:   3\n    what came out:  frame 0 off by 0.667"
    assert "<td" in outcome._repr_html_() and ">frame 0 off by 0.667<" in outcome._repr_html_()


def test_any_answer_is_kept_as_it_was_typed():
    assert predict("Which?", ["aligned", 2]).beside((1, 0.5)).expected == "aligned, 2"
    assert predict("Is x < y?", "<b>no</b>").beside("yes")._repr_html_().count("&lt;") == 3


def test_no_answer_stops_nothing():
    for question in (predict("Which frame?"), predict("Which frame?", ...)):
        assert "no prediction was typed" in repr(question.beside(0))
