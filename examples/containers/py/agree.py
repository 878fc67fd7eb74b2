"""Compares the coder in C, whose path is the argument, with the one in Python."""

import random
import subprocess
import sys

import rle

rng = random.Random(11)
texts = ["".join(rng.choice("abc ") for _ in range(rng.randrange(1, 60))) for _ in range(100)]
codes = subprocess.run([sys.argv[1], *texts], check=True, capture_output=True, text=True).stdout.split("\n")[:-1]
for text, code in zip(texts, codes, strict=True):
    if code != rle.encode(text):
        sys.exit(f"py/agree.py: {text!r}: {code!r} in C, {rle.encode(text)!r} in Python")
with open("build/agreed.txt", "w", encoding="ascii") as out:
    out.write(f"{len(texts)} texts\n")
