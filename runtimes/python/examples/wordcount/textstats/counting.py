"""The most frequent words; equal counts in alphabetical order."""

from collections import Counter


def most_common(words, count):
    ordered = sorted(Counter(words).items(), key=lambda entry: (-entry[1], entry[0]))
    return [{"word": word, "count": times} for word, times in ordered[:count]]
