#!/usr/bin/env python3
"""Writes reference.csv: the compound score of vaderSentiment 3.3.2 for every text of the four corpora.

usage: pip install vaderSentiment==3.3.2 && python3 reference.py
Also prints the reference's throughput on this machine. Texts of tricky.txt (one a line, JSON strings) get all four
scores in tricky.csv.
"""
import csv, json, pathlib, time
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

here = pathlib.Path(__file__).parent
analyzer = SentimentIntensityAnalyzer()
texts = []
for corpus in ("amazon", "movie", "nyt", "tweets"):
    with open(here / f"{corpus}.csv", newline="", encoding="utf8") as file:
        texts += [(row["id"], row["text"]) for row in csv.DictReader(file)]

start = time.perf_counter()
scores = [(id, analyzer.polarity_scores(text)["compound"]) for id, text in texts]
seconds = time.perf_counter() - start
with open(here / "reference.csv", "w", encoding="utf8", newline="\n") as file:
    file.write("id,compound\n")
    file.writelines(f"{id},{compound}\n" for id, compound in scores)
print(f"{len(texts)} texts in {seconds:.2f} s: {len(texts) / seconds:.0f} texts/s")

with open(here / "tricky.txt", encoding="utf8") as file:
    tricky = [json.loads(line) for line in file]
with open(here / "tricky.csv", "w", encoding="utf8", newline="\n") as file:
    file.write("compound,positive,neutral,negative\n")
    for text in tricky:
        score = analyzer.polarity_scores(text)
        file.write(f"{score['compound']},{score['pos']},{score['neu']},{score['neg']}\n")
