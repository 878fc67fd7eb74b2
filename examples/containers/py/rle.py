"""Run-length coding of text: "aaab" is "3a1b"."""

import itertools
import re


def encode(text):
    return "".join(f"{len(list(run))}{char}" for char, run in itertools.groupby(text))


def decode(code):
    return "".join(char * int(n) for n, char in re.findall(r"(\d+)(\D)", code))
