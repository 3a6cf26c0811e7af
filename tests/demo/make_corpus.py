"""Make a corpus of chat records by code: topics of very different size, near-duplicates, short and long answers.

A stand-in for a fine-tuning corpus that needs no download. Some topics make up most of it, many are rare, and popular
requests come again and again with few words changed.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

TOPICS = {
    "cooking": ("cook", "dough oven butter garlic simmer recipe basil onion flour roast salt broth pan whisk yeast"),
    "python": (
        "code",
        "list function loop dictionary import class decorator generator exception module tuple async lambda",
    ),
    "travel": ("plan", "train hotel passport itinerary museum flight hostel border visa luggage ferry coast harbour"),
    "gardening": ("grow", "soil compost tomato pruning seedling mulch rose hedge frost watering bulb greenhouse slug"),
    "astronomy": (
        "explain",
        "orbit galaxy telescope nebula comet redshift eclipse planet supernova parallax crater quasar",
    ),
    "law": ("clarify", "contract tenant notice liability clause deposit warranty appeal statute lease witness damages"),
    "fitness": ("train", "squat stretch cardio tempo recovery protein marathon plank mobility heart sprint deadlift"),
    "music": ("compose", "chord melody rhythm fugue tempo violin harmony bass interval scale cadence drum octave"),
    "history": ("tell", "empire treaty siege dynasty harvest guild plague charter province revolt archive cathedral"),
    "chess": ("analyse", "gambit endgame rook fork pawn castling zugzwang tempo bishop file sacrifice opening knight"),
    "medicine": ("describe", "dosage symptom artery vaccine antibody fracture insulin diagnosis fever lung scan nerve"),
    "finance": ("compare", "bond dividend inflation mortgage index hedge savings yield currency tax budget pension"),
    "knitting": ("knit", "yarn needle purl gauge sleeve pattern stitch wool cable swatch cuff ribbing button"),
    "sailing": ("sail", "mast rudder tide anchor spinnaker reef knot jib harbour compass leeward keel swell"),
    "beekeeping": ("keep", "hive queen swarm nectar smoker comb brood drone wax pollen super varroa honey"),
    "origami": ("fold", "crease valley mountain petal crane base square reverse pleat paper model corner"),
}
STYLES = ("in two sentences", "for a beginner", "step by step", "with an example", "as a list", "in plain words")
OPENERS = ("How do I", "Can you help me", "Please", "I would like to", "What is the best way to", "Show me how to")
JAPANESE = ("料理", "電車", "庭", "星", "契約", "音楽", "歴史", "将棋", "医学", "貯金")


def record(rng: random.Random, number: int) -> dict[str, object]:
    """One chat about one topic; the first topics are the most frequent."""
    topic = rng.choices(list(TOPICS), weights=[1 / (i + 1) ** 1.3 for i in range(len(TOPICS))])[0]
    verb, words = TOPICS[topic]
    vocabulary = words.split()
    if rng.random() < 0.02:
        subject = rng.choice(JAPANESE)
        question, answer = (
            f"{subject}について教えてください。",
            f"{subject}は" + "、".join(rng.sample(JAPANESE, 4)) + "と関係があります。",
        )
    elif rng.random() < 0.25:  # the popular requests: the same words, hardly changed
        question = f"{rng.choice(OPENERS)} {verb} with {vocabulary[0]} and {vocabulary[1]} {rng.choice(STYLES)}?"
        answer = f"Start with the {vocabulary[0]}, then turn to the {vocabulary[1]}. Mind the {rng.choice(vocabulary)}."
    else:
        chosen = rng.sample(vocabulary, 3)
        question = f"{rng.choice(OPENERS)} {verb} {chosen[0]} when {chosen[1]} meets {chosen[2]} {rng.choice(STYLES)}?"
        length = min(400, int(rng.lognormvariate(3.2, 0.9)) + 5)
        answer = (
            " ".join(rng.choices([*vocabulary, "the", "then", "with", "and", "of", "a"], k=length)).capitalize() + "."
        )
    return {
        "id": number,
        "topic": topic,
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
    }


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with arguments.path.open("w", encoding="utf-8") as file:
        for number in range(arguments.records):
            file.write(json.dumps(record(rng, number), ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
