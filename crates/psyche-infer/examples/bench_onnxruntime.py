"""onnxruntime on the texts of bench_encoder.rs, one thread: pip install onnxruntime tokenizers numpy, then

    python3 bench_onnxruntime.py MODEL.onnx ../src/wordpiece/vocabulary.txt
"""

import re
import sys
import time
from pathlib import Path

import numpy
import onnxruntime
from tokenizers import BertWordPieceTokenizer

model, vocabulary = sys.argv[1:]
source = Path(__file__).with_name("bench_encoder.rs").read_text()
texts = [re.sub(r"\\\n\s*", "", re.search(f'const {name}: &str = "(.*?)";', source, re.S)[1]) for name in ("MESSAGE", "SENTENCE")]
tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def milliseconds(text, copies, runs):
    ids = numpy.array([tokenizer.encode(text).ids] * copies)
    inputs = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, inputs)
        best = min(best, time.perf_counter() - start)
    return best * 1e3


message, sentence = texts
print(f"{len(message.split())} words       {milliseconds(message, 1, 40):7.2f} ms")
batch = milliseconds(sentence, 64, 10) / 64
print(f"a sentence     {milliseconds(sentence, 1, 40):7.2f} ms alone, {1e3 / batch:.0f} a second in batches")
