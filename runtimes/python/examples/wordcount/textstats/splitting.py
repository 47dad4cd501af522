"""A text's words and sentences."""

import re

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
SENTENCE_END = re.compile(r"[.!?]+(?=\s|$|[\"'”’)])")


def words(text):
    return [word.casefold() for word in WORD.findall(text)]


def sentences(text):
    return [part for part in SENTENCE_END.split(text) if WORD.search(part)]
