import random
import secrets
from math import prod

import pytest

pytest.importorskip("bracex")

from vsq.explore.space import MAX_POINTS, expand, read
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import configuration


def test_each_combination_is_a_point_or_left_out():
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(20):
        sides = [
            rng.sample(values, rng.randint(2, 3)) for values in (range(2, 9), range(2, 9), [4, 6, "-"], [4, 8, "-"])
        ]
        roundings = rng.sample(["-", 3, 6, 12], 2)
        pattern = "/".join(f"{{{','.join(map(str, side))}}}" for side in sides)
        space = read([pattern + f":R={{{','.join(map(str, roundings))}}}"])
        assert len(space.points) + sum(space.left_out.values()) == prod(map(len, sides)) * 2
        for point in space.points:
            assert str(point.weight) in map(str, sides[0])
            assert (point.scale_product_bits or "-") in roundings


def test_empty_options_stand_for_the_default():
    assert read(["4/4/4/6:V={16,32},R={-,8}"]).points == [
        configuration(name) for name in ("4/4/4/6", "4/4/4/6:R=8", "4/4/4/6:V=32", "4/4/4/6:V=32,R=8")
    ]
    assert read(["4/4/4/6:R=-@lanes={16,32}", "{headline,baseline}", "4/4/4/6"]).points == [
        configuration(name) for name in ("4/4/4/6@lanes=16", "4/4/4/6@lanes=32", "4/4/4/6", "8/8/-/-")
    ]


def test_reasons_are_counted():
    space = read(["{4,8}/{4,17}/-/{6,-}:R={-,8}"])
    assert space.left_out == {
        "activation: 17 bits: a format has 1 to 16 bits": 8,
        "R = 8: it has a scale product of 6 bits": 2,
        "R = 8: it has no scale product to round": 2,
    }
    assert len(space.points) == 4


def test_a_file_has_limits(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text(
        'space = ["{3,4}/{4,8}/4/6:R={-,8}", "4/4/4/6@reuse={1,2}"]\n[where]\n"weight.bits" = { min = 4 }\n'
        'scale_product_bits = ["none", 8]\nacc_bits = { max = 29 }\nreuse = [1]\n'
    )
    with pytest.raises(InputError, match="'reuse' is no property of 4/4/4/6"):
        read([str(file)])
    file.write_text(file.read_text().replace("reuse = [1]\n", ""))
    space = read([str(file)])
    assert [point.full_name for point in space.points] == ["4/4/4/6", "4/4/4/6:R=8", "4/4/4/6@", "4/4/4/6@reuse=2"]
    assert space.left_out["acc_bits above 29"] == 2
    assert space.left_out["weight.bits below 4"] == 4


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no space: no legal configuration"),
        (["4/4/4"], "a configuration is W/A/ws/as"),
        (["{4,5/4/-/-"], "a brace is not closed"),
        (["{17,18}/4/-/-"], "no legal configuration .weight: 17 bits: a format has 1 to 16 bits; weight: 18 bits"),
        (["{1..3000}/{1..3000}/-/-"], f"more than {MAX_POINTS:,}"),
        (["nothing.toml"], r"nothing.toml: cannot be read \(No such file or directory\); give a TOML file"),
    ],
)
def test_bad_spaces_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        read(texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space = 3", "space is not a list of texts"),
        ("spaces = []", "'spaces' is not known"),
        ('space = ["4/4/-/-"]\nwhere = 3', "where is not a table"),
        ('space = ["4/4/-/-"]\n[where]\nacc_bits = 3', "acc_bits = 3: not a limit"),
        ('space = ["4/4/-/-"]\n[where]\nacc_bits = { least = 3 }', "not a limit"),
        ('space = ["4/4/-/-"]\n[where]\nacc_bits = { min = "a" }', "an end is no number"),
        ('space = ["4/4/-/-"]\n[where]\nbits = { min = 3 }', "'bits' is no property"),
        ('space = ["4/4/-/-"]\n[where]\nacc_bits = { min = nan }', "an end is no number"),
        ('space = ["4/4/-/-"]\n[where]\nacc_bits = { min = true }', "an end is no number"),
        ('space = ["4/4/-/-"]\n[where]\nrounding = { min = 3 }', "'rounding' of 4/4/-/- is half_up, no number"),
        ('space = ["4/4/-/-"]\n[where]\nparse = ["x"]', "'parse' is no property"),
        ("space = [", "cannot be read"),
    ],
)
def test_bad_files_are_refused(text, message, tmp_path):
    file = tmp_path / "space.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read([str(file)])


def test_expand_keeps_the_order():
    assert expand("{b,a}{1..3}") == ["b1", "b2", "b3", "a1", "a2", "a3"]


def test_limits_on_scales_that_are_not_there(tmp_path):
    file = tmp_path / "space.toml"
    file.write_text('space = ["4/4/{-,4,8}/6"]\n[where]\n"weight_scale.bits" = { max = 5 }\n"weight.signed" = [true]\n')
    assert [str(point) for point in read([str(file)]).points] == ["4/4/-/6", "4/4/4/6"]
    file.write_text('space = ["4/4/{-,4,8}/6"]\n[where]\n"weight_scale.bits" = ["none", 8]\n')
    assert [str(point) for point in read([str(file)]).points] == ["4/4/-/6", "4/4/8/6"]


def test_presets_take_options():
    assert read(["{headline,baseline}:V={8,24}"]).points == [
        configuration(name) for name in ("4/4/4/6:V=8", "4/4/4/6:V=24", "8/8/-/-:V=8", "8/8/-/-:V=24")
    ]
