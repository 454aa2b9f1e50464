from sgi2v_lab.course import predict


def test_a_prediction_is_set_beside_what_came_out():
    shown = predict("Which frame?", 3).beside("frame", 0, "off by", 2.0 / 3).data
    assert ">Which frame?<" in shown and ">3<" in shown and ">frame 0 off by 0.667<" in shown


def test_any_answer_is_kept_as_it_was_typed():
    assert ">aligned, 2<" in predict("Which?", ["aligned", 2]).beside((1, 0.5)).data
    assert predict("Is x < y?", "<b>no</b>").beside("yes").data.count("&lt;") == 3


def test_no_answer_stops_nothing():
    for question in (predict("Which frame?"), predict("Which frame?", ...)):
        assert "no prediction was typed" in question.beside(0).data
