"""Figures of several rounds, and the tables that are made of them."""

from statistics import median

from stacks import STACKS

# What the others are divided by.
BARE = "bare"


class Figures:
    """Cells by name, then by stack: one dictionary of figures a round."""

    def __init__(self):
        self.cells: dict[str, dict[str, list[dict]]] = {}

    def add(self, name: str, stack: str, round_: int, **figures: float):
        self.cells.setdefault(name, {}).setdefault(stack, []).append({"round": round_, **figures})

    def of(self, name: str, stack: str, figure: str) -> list[float]:
        runs = self.cells.get(name, {}).get(stack, [])
        return [run[figure] for run in runs if figure in run]

    def ratios(self, name: str, stack: str, figure: str, other: str) -> list[float]:
        """Round by round: what the machine did in between concerns both."""
        mine, others = ({run["round"]: run[figure] for run in self.cells.get(name, {}).get(of, [])} for of in (stack, other))
        return [mine[round_] / others[round_] for round_ in mine.keys() & others.keys() if others[round_]]


def shown(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: list[float]) -> str:
    """The median, and from where to where it went."""
    if not values:
        return "–"
    if len(values) == 1:
        return shown(values[0])
    return f"{shown(median(values))} ({shown(min(values))}–{shown(max(values))})"


def ratio(values: list[float]) -> str:
    return f"{median(values):.2f}" if values else "–"


# What a cell's name begins with, how its table is called, and its columns: a title, and a figure.
TABLES = [
    ("W1", "one price to all", [("CPU µs", "cpu_us"), ("user µs", "user_us"), ("per s", "per_second")]),
    ("W2", "64 payments on their way, each to one account", [("CPU µs", "cpu_us"), ("user µs", "user_us"), ("per s", "per_second")]),
    ("W3", "memory", [("bytes per connection", "bytes")]),
    ("W4", "connect, init, subscribe, first message", [("CPU µs", "cpu_us"), ("per s", "per_second"), ("first messages lost", "lost")]),
    ("W5", "publish to the last client, on an idle server", [("ms", "ms")]),
    ("W6", "deliveries while the driver sleeps", [("CPU µs", "cpu_us"), ("per s", "per_second")]),
    ("W7", "one price to clients of so many different operations", [("CPU µs", "cpu_us"), ("user µs", "user_us")]),
]


def markdown(figures: Figures, machine: dict, stacks: list[str]) -> str:
    cores = "the server on one, the load and Redis on the other" if machine["pinned"] else "nothing pinned"
    lines = [
        f"{machine['processor']}, {machine['cores']} cores ({cores}), Linux {machine['kernel']}; "
        f"{machine['rounds']} rounds, stacks in turn; median (lowest–highest); "
        "“÷ bare” is the median of each round's ratio to the bare loop of that round.",
        "",
    ]
    for measure, title, columns in TABLES:
        cells = [name for name in figures.cells if name.split()[0] == measure]
        if not cells:
            continue
        heads = [head for head, _ in columns]
        lines += [f"**{measure}**: {title}", ""]
        lines.append("| | stack | " + " | ".join(heads) + " | ÷ bare |")
        lines.append("|---" * (len(heads) + 3) + "|")
        for cell in cells:
            for stack in (stack for stack in stacks if stack in figures.cells[cell]):
                values = [spread(figures.of(cell, stack, figure)) for _, figure in columns]
                values.append(ratio(figures.ratios(cell, stack, columns[0][1], BARE)))
                lines.append(f"| {cell.removeprefix(measure).strip()} | {STACKS[stack].title} | " + " | ".join(values) + " |")
        lines.append("")
    return "\n".join(lines)
