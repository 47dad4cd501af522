"""Word statistics of a text: a zip with a package inside, called by its default handler.

Event:  {"text": text, "top": how many words (5)}
Result: {"words", "distinct", "sentences", "top": [{"word", "count"}, ...]}
"""

from textstats.counting import most_common
from textstats.splitting import sentences, words


def handler(event, context):
    found = words(event["text"])
    return {
        "words": len(found),
        "distinct": len(set(found)),
        "sentences": len(sentences(event["text"])),
        "top": most_common(found, int(event.get("top", 5))),
    }
