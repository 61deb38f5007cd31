"""The chart of the tables: processor time of a delivery for each stack, drawn as one SVG without anything from outside."""

from html import escape
from math import log10
from statistics import median

from stacks import STACKS

# Cells that are drawn, where they were measured, and what each is called. W1 and W2 with the most clients that there are.
PANELS = [("W1 closed:1", "one event at a time"), ("W1 closed:8", "in bursts of eight"), ("W2", "one account each, 64 on their way")]

# Of the page that it stands on: light or dark. Ours in colour, what it is compared with in grey.
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; }
  .faint { fill: #59636e; }
  .bar { fill: #8c959f; }
  .ours { fill: #0969da; }
  .bare { fill: none; stroke: #8c959f; stroke-width: 1.5; }
  .grid { stroke: #d1d9e0; }
  .spread { stroke: #1f2328; stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .faint { fill: #9198a1; }
    .bar { fill: #656c76; }
    .ours { fill: #4493f8; }
    .bare { stroke: #9198a1; }
    .grid { stroke: #3d444d; }
    .spread { stroke: #f0f6fc; }
  }
"""

WIDTH, LEFT, RIGHT, ROW, HEAD = 800, 340, 80, 26, 34


def draw(figures, stacks: list[str]) -> str:
    """Bars of microseconds, with the spread of the rounds. The scale is logarithmic: the stacks are a hundred times apart."""
    panels = [(cell, title) for begins, title in PANELS if (cell := figures.largest(begins))]
    values = [
        value for cell, _ in panels for stack in stacks for value in figures.of(cell, stack, "cpu_us") if value > 0
    ]
    if not values:
        return svg(60, [text(10, 30, "Nothing of this was measured.", "faint")])
    low, high = scale_end(min(values), False), scale_end(max(values), True)
    at = lambda value: LEFT + (log10(max(value, low)) - log10(low)) / (log10(high) - log10(low)) * (WIDTH - LEFT - RIGHT)

    parts, y = [text(10, 22, "Processor time of the server for each delivered message, in µs (logarithmic)", "title")], 44
    for cell, title in panels:
        shown = [stack for stack in stacks if figures.of(cell, stack, "cpu_us")]
        clients = cell.rpartition("=")[2]
        parts.append(text(10, y + 18, f"{cell.split()[0]}: {title}, {int(clients):,} clients", "title"))
        y += HEAD
        mark = low
        while mark <= high:
            x = at(mark)
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{y - 4}" x2="{x:.1f}" y2="{y + ROW * len(shown)}"/>')
            parts.append(text(x, y + ROW * len(shown) + 14, f"{mark:g}", "faint", "middle"))
            mark *= 10
        for stack in shown:
            runs = figures.of(cell, stack, "cpu_us")
            middle = median(runs)
            kind = "ours" if stack == "tidings" else "bare" if stack.startswith("bare") else "bar"
            parts.append(text(LEFT - 8, y + 15, STACKS[stack].title, "", "end"))
            parts.append(
                f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{max(at(middle) - LEFT, 1):.1f}" height="{ROW - 9}" rx="2"/>'
            )
            if len(runs) > 1:
                parts.append(
                    f'<line class="spread" x1="{at(min(runs)):.1f}" y1="{y + 11.5}" x2="{at(max(runs)):.1f}" y2="{y + 11.5}"/>'
                )
            parts.append(text(max(at(max(runs)), LEFT) + 6, y + 16, f"{middle:.3g}"))
            y += ROW
        y += 30
    return svg(y, parts)


def scale_end(value: float, up: bool) -> float:
    decade = 10.0 ** int(log10(value) // 1)
    return decade if not up or value == decade else decade * 10


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def svg(height: float, parts: list[str]) -> str:
    body = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="Processor time for each delivered message, by stack">\n  <style>{STYLE}</style>\n  {body}\n</svg>\n'
    )
