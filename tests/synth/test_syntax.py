import itertools

import pytest

from vsq.synth.library.syntax import truth_table

# Liberty spelling -> the same function in Python's words
SPELLINGS = {
    "!A": lambda a, b, c: not a,
    "A'": lambda a, b, c: not a,
    "A''": lambda a, b, c: a,
    "(A B)": lambda a, b, c: a and b,
    "A & B": lambda a, b, c: a and b,
    "A*B": lambda a, b, c: a and b,
    "A + B": lambda a, b, c: a or b,
    "A|B": lambda a, b, c: a or b,
    "A^B": lambda a, b, c: a != b,
    "A+B C": lambda a, b, c: a or (b and c),
    "A B+C": lambda a, b, c: (a and b) or c,
    "A ^ B & C": lambda a, b, c: (a != b) and c,
    "A & B ^ C": lambda a, b, c: a and (b != c),
    "!A B": lambda a, b, c: (not a) and b,
    "A B'": lambda a, b, c: a and not b,
    "(A+B)'C": lambda a, b, c: not (a or b) and c,
    "!(A B) !C": lambda a, b, c: not (a and b) and not c,
    "(((A B)+(B C))+(C A))": lambda a, b, c: a + b + c >= 2,
    "A^B^C": lambda a, b, c: (a + b + c) % 2,
    "1": lambda a, b, c: True,
    "0": lambda a, b, c: False,
}


@pytest.mark.parametrize("text", SPELLINGS)
def test_every_spelling_has_its_truth_table(text):
    table = truth_table(text, ["A", "B", "C"])
    for c, b, a in itertools.product((0, 1), repeat=3):
        assert table >> (a + 2 * b + 4 * c) & 1 == bool(SPELLINGS[text](a, b, c))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A B)", r"'\)' is left over"),
        ("(A B", "not closed"),
        ("A +", "its end stands where"),
        ("", "its end stands where"),
        ("A D", "'D' stands where"),
        ("A @ B", "'@' is no operator"),
    ],
)
def test_malformed_functions_are_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        truth_table(text, ["A", "B"])
