"""The SQuAD loader and its scores, on a tiny file made here."""

import json

import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.workloads import squad

CONTEXT = "The Nile flows north. Its length is 6,650 km."


@pytest.fixture
def path(tmp_path):
    questions = [
        {
            "id": "1",
            "question": "Which way?",
            "answers": [{"text": "north", "answer_start": 15}, {"text": "the north"}],
        },
        {"id": "2", "question": "How long?", "answers": [{"text": "6,650 km", "answer_start": 36}]},
        {"id": "3", "question": "How deep?", "is_impossible": True, "answers": []},
    ]
    file = tmp_path / "dev.json"
    file.write_text(json.dumps({"version": "v2.0", "data": [{"paragraphs": [{"context": CONTEXT, "qas": questions}]}]}))
    return file


def test_questions_are_read(path):
    first, _, last = squad.load(path)
    assert first == squad.Question("1", "Which way?", CONTEXT, ("north", "the north"))
    assert last.answers == ("",)


@pytest.mark.parametrize(
    ("answers", "exact_match", "f1"),
    [
        (["North!", "6650 km", ""], 100, 100),
        (["to the north", "km", "deep"], 0, 100 * (2 / 3 + 2 / 3 + 0) / 3),
        (["", "6,650 km", ""], 200 / 3, 200 / 3),
        (["south", "a length of 6,650 km", "the"], 100 / 3, 100 * (0 + 2 / 3 + 1) / 3),
    ],
)
def test_scores_by_hand(path, answers, exact_match, f1):
    """Case, punctuation and articles do not count; shared words do."""
    given = iter(answers)
    scores = squad.evaluate(squad.load(path), lambda question, context: next(given))
    assert scores["exact match"].value == pytest.approx(exact_match)
    assert scores["F1"].value == pytest.approx(f1)


def test_the_model_sees_question_and_context(path):
    seen = []
    squad.evaluate(squad.load(path), lambda *pair: seen.append(pair) or "")
    assert seen[1] == ("How long?", CONTEXT)


def test_errors_name_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: cannot be read"):
        squad.load(tmp_path / "none.json")
    for content in ("{", "{}", '{"data": [{"paragraphs": 1}]}', "[]"):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(InputError, match=r"bad\.json: not in SQuAD's form") as error:
            squad.load(tmp_path / "bad.json")
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="got no questions"):
        squad.evaluate([], lambda question, context: "")
