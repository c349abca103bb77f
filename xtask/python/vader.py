#!/usr/bin/env python3
"""Holds the sentiment rules against vaderSentiment on the same texts, in one run: agreement and throughput.

usage: vader.py SCORER (run by `cargo xtask sentiment`; SCORER is the built example `score_sentiment`)
Both score on one thread, by turns, five times; medians are compared. Building the lexicon is not counted for either.
"""
import csv, json, pathlib, statistics, subprocess, sys, time
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

data = pathlib.Path("crates/psyche-core/tests/data/sentiment")
texts = []
for corpus in ("amazon", "movie", "nyt", "tweets"):
    with open(data / f"{corpus}.csv", newline="", encoding="utf8") as file:
        texts += [row["text"] for row in csv.DictReader(file)]
lines = "".join(json.dumps(text) + "\n" for text in texts).encode()

analyzer = SentimentIntensityAnalyzer()
reference, ours = [], []
for _ in range(5):
    start = time.perf_counter()
    expected = [analyzer.polarity_scores(text)["compound"] for text in texts]
    reference.append(time.perf_counter() - start)
    output = subprocess.run([sys.argv[1]], input=lines, capture_output=True, check=True).stdout.split()
    ours.append(float(output[0]))
    scores = [float(score) for score in output[1:]]

if len(scores) != len(texts):
    sys.exit(f"{len(texts)} texts went in and {len(scores)} scores came out")
agree = sum(abs(a - b) < 1e-4 for a, b in zip(expected, scores))
speed = lambda seconds: len(texts) / statistics.median(seconds)
ratio = speed(ours) / speed(reference)
print(f"vaderSentiment 3.3.2: {speed(reference):,.0f} texts/s; psyche: {speed(ours):,.0f} texts/s; {ratio:.1f} times")
print(f"agreement at 1e-4: {agree} of {len(texts)} texts")
sys.exit(0 if agree == len(texts) and ratio >= 8 else "short of 100 % agreement or of 8 times the throughput")
