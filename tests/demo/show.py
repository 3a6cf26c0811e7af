"""Show what `make demo` selected: shares of the topics in the corpus, in the subset, and weighted; a few records."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq


def main() -> None:
    """Print a table and three records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("subset", type=Path)
    arguments = parser.parse_args()
    with arguments.corpus.open(encoding="utf-8") as file:
        corpus = Counter(json.loads(line)["topic"] for line in file)
    records = pq.read_table(arguments.subset).to_pylist()
    taken: Counter[str] = Counter()
    weighted: Counter[str] = Counter()
    for record in records:
        taken[record["topic"]] += 1
        weighted[record["topic"]] += record["weight"]
    total = sum(corpus.values())
    out = sys.stdout.write
    out(f"\n{'topic':<12}{'in the corpus':>15}{'in the subset':>15}{'by weight':>12}\n")
    for topic, count in corpus.most_common():
        out(f"{topic:<12}{count / total:>15.1%}{taken[topic] / len(records):>15.1%}{weighted[topic] / total:>12.1%}\n")
    out("\nThree of the records:\n")
    for record in records[:: max(1, len(records) // 3)][:3]:
        out(f"  weight {record['weight']:6.2f}  {record['messages'][0]['content']}\n")


if __name__ == "__main__":
    main()
