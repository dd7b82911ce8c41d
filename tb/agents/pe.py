"""The monitor of a processing element's results."""

from vsq.tb.agents.pe_words import Words
from vsq.tb.agents.streams import OutputMonitor


class ResultMonitor(OutputMonitor):
    """Reads the fields of :func:`vsq.tb.agents.pe_words.result_fields` that matter of a result; the others are -1."""

    def payload(self) -> Words:
        """Return the words of the result on offer. Only registers that matter must be defined."""
        fields = self._fields
        illegal = bool(fields["illegal"].value)
        raw = "raw" not in fields or bool(fields["raw"].value)
        unused = {"codes", "scale"} if illegal or raw else set()
        if illegal or not raw:
            unused |= {"acc", "overflow"}
        return tuple(-1 if name in unused else int(field.value) for name, field in fields.items())
