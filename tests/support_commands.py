"""Documents that are run: their commands, in order, in a directory of their own.

What is in a document and how a test takes it:

    ```sh ... ```            run by /bin/sh, must exit with 0
    ```text ... ```          right after it: what it printed, but for what is volatile
    ```console ... ```       for another machine or for root: not run
    <!-- exit: 1 -->         before a sh block: the exit code instead of 0
    <!-- write: FILE -->     before any other block: FILE gets its content
    <!-- append: FILE -->    likewise, at its end
    <!-- test: WORDS -->     what others do meanwhile: a stage direction for the test

A line `...` in what is printed stands for any lines, and a line may end in ` ...`.
"""

import re
from dataclasses import dataclass

_PIECE = re.compile(
    r"<!-- (?P<mark>exit|write|append|test): (?P<value>[^>]*?) -->"
    r"|^```(?P<language>\w*)\n(?P<content>.*?)\n```$",
    re.DOTALL | re.MULTILINE,
)

# What differs from run to run, by what stands for it. In this order.
_VOLATILE = (
    (r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?", "<when>"),
    (r"\b20\d\d-\d\d-\d\d\b", "<when>"),
    (r"\b\d\d:\d\d:\d\d\b", "<when>"),
    (r"(?<=, up )[^,\n]+", "<amount>"),
    (r"\b2\.25\.[\d.]+", "<uid>"),
    (r"\b[0-9a-f]{64}\b|\b[0-9a-f]{16}\b|\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b", "<digest>"),
    (r"\b[BCDFGHJKLMNPQRSTVWXZ2-9]{16}\b", "<pseudonym>"),
    (r"\bpid[ =:]+\d+", "pid=<number>"),
    (r"(?<![\w.])\d+(\.\d+)?(?= ?(ms|s|min|kB|MB|GiB|B|bytes|MiB)\b)", "<amount>"),
    (r"(?<![\w.])\d+\.\d+(?![\w.])", "<amount>"),
    (r"(?<=retry_s=)[\d.]+|(?<=attempt=)\d+|(?<=waiting=)\d+", "<amount>"),
    (r"(?<=association )\d+-\d+|\b\d+-\d+(?=\s)", "<association>"),
)


@dataclass(frozen=True)
class Step:
    """A block or a stage direction.

    Attributes:
        kind: "run", "write", "append" or "test".
        value: The file, or the words of the direction; of "run" empty.
        content: Of the block.
        exit_code: With which it has to end.
        printed: What it has to print; None: that is not said.
        line: Of the document.
    """

    kind: str
    value: str = ""
    content: str = ""
    exit_code: int = 0
    printed: str | None = None
    line: int = 0


def steps(text: str) -> list[Step]:
    """What has to be done, in order."""
    found: list[Step] = []
    mark, value = "", ""
    end = 0
    for piece in _PIECE.finditer(text):
        line = text.count("\n", 0, piece.start()) + 1
        language, content = piece["language"], piece["content"]
        between = text[end : piece.start()].strip()
        end = piece.end()
        if piece["mark"] == "test":
            found.append(Step("test", piece["value"], line=line))
        elif piece["mark"]:
            mark, value = piece["mark"], piece["value"]
            continue
        elif mark in {"write", "append"}:
            found.append(Step(mark, value, content + "\n", line=line))
        elif language == "sh":
            code = int(value) if mark == "exit" else 0
            found.append(Step("run", content=content, exit_code=code, line=line))
        elif language == "text" and not between and found and found[-1].kind == "run":
            last = found.pop()
            found.append(
                Step("run", content=last.content, exit_code=last.exit_code, printed=content,
                     line=last.line)
            )  # fmt: skip
        mark, value = "", ""
    return found


def masked(text: str) -> str:
    """Without what differs from run to run, and however it is aligned."""
    for pattern, word in _VOLATILE:
        text = re.sub(pattern, word, text)
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.strip().splitlines())
    return "\n".join(line for line in lines if line)


def is_as_shown(shown: str, printed: str) -> bool:
    """Whether a program printed what a document shows.

    Lines in another order are the same: a log has those of several processes.
    """
    if sorted(masked(shown).splitlines()) == sorted(masked(printed).splitlines()):
        return True
    pattern = ""
    for line in masked(shown).splitlines():
        if line == "...":
            pattern += r"(?:[^\n]*\n)*?"
        elif line.endswith(" ..."):
            pattern += re.escape(line.removesuffix(" ...")) + r"[^\n]*\n"
        else:
            pattern += re.escape(line) + r"\n"
    return re.fullmatch(pattern, masked(printed) + "\n") is not None
