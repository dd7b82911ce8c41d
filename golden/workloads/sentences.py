"""English sentences for text encoders: 50 short and 50 longer ones to evaluate on, and 12 others to calibrate with."""

from pathlib import Path

SHORT, LONG, CALIBRATION = (
    tuple(part.splitlines()) for part in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split("\n\n")
)
EVALUATION = SHORT + LONG
