"""A stand-in for a model that scores records: how many bits zlib needs for each character of the answer.

`tithe select --loss 'exec:python score.py'` hands over records as JSON lines and reads back a line with `loss` for each.
"""

from __future__ import annotations

import json
import sys
import zlib


def main() -> None:
    """Score the records of standard input, in order."""
    for line in sys.stdin:
        question, answer = (message["content"] for message in json.loads(line)["messages"])
        context = zlib.compressobj(level=9, zdict=question.encode())
        bits = 8 * len(context.compress(answer.encode()) + context.flush())
        sys.stdout.write(json.dumps({"loss": bits / len(answer)}) + "\n")


if __name__ == "__main__":
    main()
