import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus.stream import Beats, beats
from vsq.tb.interface.mac import MacInterface
from vsq.tb.interface.pace import flowing, random_bursts
from vsq.tb.scoreboard.mac import MacScoreboard

CONFIG = MacConfig.parse("4/4U/4/6:V=3,R=6,acc=15")


def result_words(config, stream):
    """The words that a right design puts on its output port."""
    result = mac(config, **vars(stream))
    accs = [int(acc) % 2**config.acc_bits for acc in result.acc]
    return [(acc, int(flag)) for acc, flag in zip(accs, result.overflow, strict=True)]


def played(config, stream, results):
    """A scoreboard that has seen the beats, each result right after its last beat."""
    board, results = MacScoreboard(config, "the run"), iter(results)
    interface = MacInterface(config)
    for words in interface.inputs["in"].words(interface.streams(stream)["in"]):
        board.on_beat("in", words)
        if words[-1]:
            board.on_result(next(results))
    board.check()
    return board


@pytest.mark.parametrize("text", ["4/4U/4/6:V=3,R=6,acc=15", "8/8/-/-:V=1,acc=16", "16/16/-/16:V=5"])
def test_right_results_pass(text):
    config = MacConfig.parse(text)
    stream = beats(config, 2000, seed=1)
    board = played(config, stream, result_words(config, stream))
    assert (board.beats["in"], board.results, board.expected) == (2000, stream.last.sum(), stream.last.sum())
    directions = mac(config, **vars(stream), trace=True).trace.direction
    assert [board.directions[d] for d in (1, -1)] == [(directions == d).sum() for d in (1, -1)]


def test_wrap_has_no_flag():
    config = MacConfig.parse("4/4U/4/6:V=3,acc=15,overflow=wrap")
    stream = beats(config, 500, seed=1)
    played(config, stream, [words[:1] for words in result_words(config, stream)])


@pytest.mark.parametrize("field", [0, 1])
def test_one_wrong_bit_is_reported_with_its_beats(field):
    weights, activations = np.array([[-8, 0, 7], [1, 2, 3]]), np.array([[15, 1, 0], [0, 4, 5]])
    scales = np.array([4, 15]), np.array([10, 63])
    stream = Beats(weights, activations, *scales, np.array([True, False]), np.array([False, True]))
    words = list(result_words(CONFIG, stream)[0])
    words[field] ^= 1
    with pytest.raises(AssertionError) as error:
        played(CONFIG, stream, [tuple(words)])
    # d = -8*15 = -120, p = 4*10, r = round(40/16) = 3;  d = 2*4+3*5 = 23, p = 15*63 = 945, r = round(945/16) = 59
    expected = -120 * 3 + 23 * 59
    got = expected ^ (field == 0), int(field == 1)
    assert str(error.value).splitlines() == [
        "the run: result 1 (beat 1) is wrong",
        f"  got      acc {got[0]} overflow {got[1]}",
        f"  expected acc {expected} overflow 0",
        "  beat 0 first: sw=4 sa=10 d=-120 p=40 r=3 t=-360 acc=-360 overflow=0",
        "    w = [-8, 0, 7]",
        "    a = [15, 1, 0]",
        f"  beat 1 last: sw=15 sa=63 d=23 p=945 r=59 t=1357 acc={expected} overflow=0",
        "    w = [1, 2, 3]",
        "    a = [0, 4, 5]",
    ]


def test_a_wrong_result_far_into_the_stream_is_found():
    stream = beats(CONFIG, 3000, seed=2)
    results = result_words(CONFIG, stream)
    results[-1] = (results[-1][0] ^ 4, results[-1][1])
    with pytest.raises(AssertionError, match=rf"result {len(results)} \(beat 2999\) is wrong"):
        played(CONFIG, stream, results)


def test_a_result_before_its_last_beat_is_refused():
    board = MacScoreboard(CONFIG, "the run")
    with pytest.raises(AssertionError, match="the run: result 1 came before its last beat"):
        board.on_result((0, 0))


def test_words_follow_the_ports():
    config = MacConfig.parse("4/4U/-/6:V=2")
    stream = Beats(np.array([[-1, 2]]), np.array([[3, 15]]), None, np.array([42]), np.array([True]), np.array([False]))
    interface = MacInterface(config)
    layout = interface.inputs["in"]
    assert list(layout.fields) == ["weights", "activations", "activation_scale", "first", "last"]
    assert layout.words(interface.streams(stream)["in"]) == [(0x2F, 0xF3, 42, 1, 0)]


def test_bursts_flow_or_pause():
    drawn = [next(bursts) for bursts in [random_bursts(np.random.default_rng(0))] for _ in range(500)]
    assert all(pause >= 0 and run >= 1 for pause, run in drawn)
    assert {0, 1, 20} <= {pause for pause, _ in drawn}
    assert next(flowing())[0] == 0
