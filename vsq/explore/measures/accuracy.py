"""Accuracy of a workload's model, quantized after training."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vsq.explore.measures.measure import Measure, file_digest, numerics
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.golden.quantizer.scheme import Scheme
from vsq.golden.workloads.workload import WORKLOADS, Workload, load
from vsq.synth.measure.records import Record, records


@dataclass(frozen=True, kw_only=True)
class AccuracyMeasure(Measure):
    """Scores of a quantized model, by name; the workload's metric is the one that designs are compared by.

    Args:
        workload: One of the project's, or a user's own as ``module:function``, a function that returns a
            :class:`vsq.golden.workloads.workload.Workload`.
        glance: Whether the scores are of a part of the data, where the workload has one: MiniLM's of a third.
        weight_scales, weight_codes, bias_correction, smoothing, feedback, input_gamma, calibration: As in
            :class:`vsq.golden.quantizer.scheme.Scheme`; ``default`` scales are its default.
    """

    name = "accuracy"
    summary = f"scores of a quantized model: workload={' or '.join(WORKLOADS)}, or module:function of your own"
    quantity = "accuracy"
    higher_is_better = True
    noise = 5e-4  # of cosines of MiniLM: what another order of float32 sums does
    slack = 1e-2
    packages = ("numpy", "torch")

    workload: str = "digits"
    glance: bool = False
    weight_scales: str = "default"
    weight_codes: str = "nearest"
    bias_correction: bool = False
    smoothing: float = 0.0
    feedback: float = 0.0
    input_gamma: str = "static"
    calibration: str = "max"

    def __post_init__(self) -> None:
        if find_spec("torch") is None:
            raise ModuleNotFoundError("torch is needed", name="torch")  # now, and not in each worker
        if ":" in self.workload:
            self.inputs()
        elif self.workload not in WORKLOADS:
            load(self.workload)  # which says what there is
        self._scheme("4/4/4/6")

    def preview(self) -> Measure:
        """Return the measure of scores on a part of the data."""
        return replace(self, glance=True)

    def doubt(self, look: Mapping[str, Any], figure: float) -> float:
        """Return three standard errors of a score on a part of the data; a share of the score where there is none."""
        records = look["records"]
        name = f"standard error of {records[0]['unit']}"
        errors = [record["value"] for record in records if record["quantity"] == name]
        return max(3 * errors[0], self.noise) if errors else super().doubt(look, figure)

    def inputs(self) -> dict[str, str]:
        """Return the digest of the file that a user's own workload is in.

        Raises:
            InputError: If there is no such module, or it is no file.
        """
        module, colon, function = self.workload.partition(":")
        if not colon:
            return {}
        try:
            spec = find_spec(module) if module else None
        except (ImportError, ValueError):  # ValueError: of __main__
            spec = None
        if spec is None or not spec.origin or not function:
            rule = f"there is no module {module!r} here or on PYTHONPATH" if function else "it names no function"
            raise InputError(f"workload {self.workload!r}: {rule}; give module:function")
        if not spec.has_location:
            raise InputError(f"workload {self.workload!r}: {module} is part of the interpreter; give your own")
        return {module: file_digest(Path(spec.origin))}

    def _scheme(self, config: Any) -> Scheme:
        names = [each.name for each in fields(self) if each.name not in ("workload", "glance")]
        options = {name: value for name in names if (value := getattr(self, name)) != "default"}
        return Scheme(config=config, **options)

    def subject(self, config: Configuration) -> Configuration:
        """Return the configuration of the values alone."""
        return numerics(config)

    def figures(self, config: Configuration) -> list[Record]:
        """Return the scores with their standard errors, where the workload knows them."""
        from vsq.golden.nn.quantize import quantize

        task, scheme = _task(self.workload), self._scheme(config.mac)
        loop = task.fit if scheme.fitted and task.fit else task.calibrate
        scores = task.scores(quantize(task.model(), scheme, loop, inplace=True), self.glance)
        found = [("total", self.quantity, scores[task.metric].value, task.metric)]
        for name, score in scores.items():
            found.append(("total", name, score.value, "1"))
            if score.error is not None:
                found.append(("total", f"standard error of {name}", score.error, "1"))
        return records(config.full_name, found)


@cache
def _task(name: str) -> Workload:
    """Return a workload, loaded once in a process."""
    if ":" not in name:
        return load(name)
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise InputError(f"workload {name!r}: {error}; give module:function that can be imported") from None
    if not isinstance(found, Workload):
        raise InputError(f"workload {name!r}: it returned {type(found).__name__}, not a Workload; return one")
    return found
