"""Mixed precision of MiniLM's weights: ``python -m benchmarks.mixed [--bits B] [--every N]``.

Layers get 3, 4, 6 or 8 bits of weights, activations have 8, scales 6 and 10. Every N-th of the sentences that weights
are fitted to chooses; neither the evaluation's nor the held-out ones do.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from vsq.golden.nn.methods.mixed import Sensitivities
from vsq.golden.nn.quantize import quantize
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.scheme import Scheme
from vsq.golden.workloads import minilm
from vsq.golden.workloads.metrics import similarity
from vsq.golden.workloads.minilm import CALIBRATION, EVALUATION, HELD_OUT, WEIGHT_CALIBRATION, Encoder

WIDTHS = (3, 4, 6, 8)
GPTQ: dict[str, Any] = {"weight_codes": "gptq", "bias_correction": True}


def main() -> None:
    """Print the scores of the choice, and of the same number of bits in every layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=float, default=4.0, metavar="B")
    parser.add_argument("--every", type=int, default=5, metavar="N")
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder = minilm.load_encoder()

    def loop(sentences: Sequence[str], packed: bool = False) -> Callable[[nn.Module], torch.Tensor]:
        return lambda model: Encoder(model, encoder.tokenizer).embed(sentences, packed)

    start = time.process_time()
    schemes = [Scheme(config=f"{width}/8/6/10") for width in WIDTHS]  # type: ignore[arg-type]  # a text is parsed
    found = Sensitivities.of(encoder.model, schemes, loop(WEIGHT_CALIBRATION[:: args.every], packed=True))
    mix = found.choose(args.bits)
    print(f"chosen in {time.process_time() - start:.0f} s of CPU: {mix.bits:.2f} bits on average")
    uniform = dict.fromkeys(mix.schemes, Scheme(config=f"{int(args.bits)}/8/6/10"))  # type: ignore[arg-type]
    for name, chosen in (("mixed", mix.schemes), ("uniform", uniform)):
        for codes, options, fitted in (("nearest", {}, CALIBRATION), ("gptq", GPTQ, WEIGHT_CALIBRATION)):
            rules = [Rule(pattern=layer, scheme=Scheme(config=one.config, **options)) for layer, one in chosen.items()]
            model = quantize(encoder.model, schemes[0], loop(fitted), rules=rules)
            for what, sentences in (("evaluation", EVALUATION), ("held out", HELD_OUT)):
                reference, ours = (loop(sentences)(one).numpy() for one in (encoder.model, model))
                print(f"{name}, {codes}, {what}: {similarity(reference, ours)['cosine']:.4f}")


if __name__ == "__main__":
    main()
