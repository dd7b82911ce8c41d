"""Mutants that have the same next state as the design in each state that it reaches."""

import re


def together(blif: str) -> str:
    """Put the mutant into the design's state in each cycle; the output is 1 one cycle after any next value differs.

    Suppose that this never happens from the second cycle on, and that :func:`vsq.tb.formal.after_reset.matched` holds.
    The first cycle is a reset. After it the mutant's registers hold y, and so may the design's, since every y that a
    mutant can hold then is one that the design can; the design's run from y is among those considered here, since its
    registers start from anything. If both hold the same in one cycle, the design reaches this state, so both have the
    same next state for all inputs, and the same pins: by induction the mutant's run is that run of the design.

    A register of the mutant that has none beside it in the design is no part of this comparison: it goes on from its
    own value. One that stands for both designs, since Yosys has merged them, stays as it is.
    """
    following = {q: data for data, q in re.findall(r"^\.latch (\S+) (\S+) re clk \d$", blif, flags=re.MULTILINE)}
    parted: list[str] = []

    def latch(match: re.Match[str]) -> str:
        data, q = match.groups()
        partner = q.replace("other_design.", "design.", 1)
        if partner not in following:
            return match[0]
        parted.append(f".names {data} {following[partner]} parted{len(parted)}\n10 1\n01 1\n")
        return f".names {partner} {q}\n1 1"

    text = re.sub(r"^\.latch (\S+) (other_design\.\S+) re clk \d$", latch, blif, flags=re.MULTILINE)
    names = [f"parted{number}" for number in range(len(parted))]
    rows = [f"{'1':->{number + 1}}".ljust(len(names), "-") + " 1\n" for number in range(len(names))]
    parts = [
        *parted,
        f".names {' '.join(names)} part\n",
        *rows,
        ".names part started parts_now\n11 1\n",
        ".latch parts_now had_parted re clk 0\n",
    ]
    text = text.replace("\n.outputs differs\n", "\n.outputs parts\n")
    return text.replace("\n.end", f"\n{''.join(parts)}.names differs had_parted parts\n1- 1\n-1 1\n.end")
