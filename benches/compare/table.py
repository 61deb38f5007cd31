"""Figures of several rounds, and the tables that are made of them."""

from statistics import median

from stacks import STACKS

# What the others are divided by.
BARE = "bare"


class Figures:
    """Cells by name, then by stack: one dictionary of figures a round."""

    def __init__(self):
        self.cells: dict[str, dict[str, list[dict]]] = {}
        # What could not be measured, and why.
        self.failures: list[str] = []

    def add(self, name: str, stack: str, round_: int, **figures: float):
        self.cells.setdefault(name, {}).setdefault(stack, []).append({"round": round_, **figures})

    def of(self, name: str, stack: str, figure: str) -> list[float]:
        runs = self.cells.get(name, {}).get(stack, [])
        return [run[figure] for run in runs if figure in run]

    def ratios(self, figure: str, one: tuple[str, str], other: tuple[str, str]) -> list[float]:
        """Of two cells and stacks, round by round: what the machine did in between concerns both."""
        ones, others = ({run["round"]: run[figure] for run in self.cells.get(name, {}).get(stack, [])} for name, stack in (one, other))
        return [ones[round_] / others[round_] for round_ in sorted(ones.keys() & others.keys()) if others[round_]]

    def largest(self, begins: str) -> str:
        """The cell with the most clients, of those whose name begins so."""
        cells = [name for name in self.cells if name.startswith(begins + " ")]
        return max(cells, key=lambda name: int(name.rpartition("=")[2]), default="")


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


# What a cell's name begins with, how its table is called, and its columns: a title, and a figure. The first figure is
# the one that is divided by the bare loop's.
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
        # Of memory the bare loop has next to none, and the ratio would say nothing.
        is_compared = measure != "W3" and any(BARE in figures.cells[cell] for cell in cells)
        heads += ["÷ bare"] if is_compared else []
        lines += [f"**{measure}**: {title}", ""]
        lines += ["| | stack | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
        for cell in cells:
            for stack in (stack for stack in stacks if stack in figures.cells[cell]):
                values = [spread(figures.of(cell, stack, figure)) for _, figure in columns]
                if is_compared:
                    values.append(ratio(figures.ratios(columns[0][1], (cell, stack), (cell, BARE))))
                what = cell.removeprefix(measure).strip()
                lines.append(f"| {what} | {STACKS[stack].title} | " + " | ".join(values) + " |")
        lines.append("")
    if figures.failures:
        lines += ["**Failed**", "", *(f"* {failure.splitlines()[0]}" for failure in figures.failures), ""]
    if machine["size"] == "tiny":
        lines += ["Of so few clients for so short, figures are noise: this shows that it works.", ""]
    elif met := goals(figures):
        lines += ["**Goals**", "", "| | goal | measured | |", "|---|---|---|---|", *met, ""]
    return "\n".join(lines)


# What Tidings is to reach: where, what of it, at most or at least how much.
AT_MOST, AT_LEAST = "≤", "≥"


def goals(figures: Figures) -> list[str]:
    """A row for each goal that was measured."""
    one, eight, payments, last = (figures.largest(begins) for begins in ("W1 closed:1", "W1 closed:8", "W2", "W5"))
    ours = "tidings"
    over = lambda cell, other, figure="cpu_us": figures.ratios(figure, (cell, ours), (cell, other))
    under = lambda cell, other: figures.ratios("cpu_us", (cell, other), (cell, ours))
    each_second = lambda cell: [1e6 / cpu for cpu in figures.of(cell, ours, "cpu_us") if cpu]
    operations = [median(runs) for cell in figures.cells if cell.startswith("W7 ") if (runs := figures.of(cell, ours, "cpu_us"))]
    flat = [max(operations) / min(operations)] if len(operations) > 1 and min(operations) else []
    rows = [
        (one, "CPU ÷ bare", AT_MOST, 1.15, over(one, BARE)),
        (one, "user CPU µs", AT_MOST, 0.6, figures.of(one, ours, "user_us")),
        (one, "CPU of Node ÷ ours", AT_LEAST, 25, under(one, "node")),
        (one, "CPU of async-graphql-axum with 4 KiB ÷ ours", AT_LEAST, 4, under(one, "naive-4k")),
        (eight, "CPU µs", AT_MOST, 2, figures.of(eight, ours, "cpu_us")),
        (eight, "CPU ÷ coalescing bare", AT_MOST, 1.7, over(eight, "bare-coalescing")),
        (eight, "CPU of Node ÷ ours", AT_LEAST, 70, under(eight, "node")),
        (payments, "CPU ÷ bare", AT_MOST, 1.6, over(payments, BARE)),
        ("W3 price", "bytes per connection", AT_MOST, 2048, figures.of("W3 price", ours, "bytes")),
        ("W3 updates", "bytes per connection", AT_MOST, 3072, figures.of("W3 updates", ours, "bytes")),
        ("W4 price", "connections per second of CPU", AT_LEAST, 15000, each_second("W4 price")),
        ("W4 updates", "connections per second of CPU", AT_LEAST, 10000, each_second("W4 updates")),
        ("W4", "first messages lost", AT_MOST, 0, [*figures.of("W4 price", ours, "lost"), *figures.of("W4 updates", ours, "lost")]),
        (last, "ms ÷ bare", AT_MOST, 1.1, over(last, BARE, "ms")),
        ("W6", "deliveries per s, all cores ÷ one core", AT_LEAST, 1.8,
         figures.ratios("per_second", ("W6 all cores", ours), ("W6 one core", ours))),
        ("W7", "CPU, most ÷ least of all numbers of operations", AT_MOST, 1.15, flat),
    ]
    lines = []
    for cell, what, way, goal, values in rows:
        if values:
            value = median(values)
            is_met = value <= goal if way == AT_MOST else value >= goal
            lines.append(f"| {cell} | {what} {way} {goal:,} | {spread(values)} | {'met' if is_met else 'missed'} |")
    return lines
