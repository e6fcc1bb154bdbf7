"""The HTML report: a diagnosis as one file that needs nothing else.

Text from a dataset is escaped everywhere.  The page has no script, and its policy forbids it to load anything.
"""

from __future__ import annotations

from html import escape

from ..core.findings import CATALOGUE
from .diagnosis import Diagnosis
from .findings_page import upstream
from .statistics import UNITS, Spread, value_text

_ORDER = {"error": 0, "warning": 1, "info": 2}

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--panel:#f6f7f9;--ink:#1b1f24;--soft:#5d6673;--line:#e1e4e9;--bar:#3b6fd4;
--error:#c62f3b;--warning:#a86400;--info:#5d6673;--good:#1d7d46}
@media(prefers-color-scheme:dark){:root{--bg:#121417;--panel:#1b1e23;--ink:#e8eaed;--soft:#9aa3af;--line:#2d3138;--bar:#7aa5ff;
--error:#ff7b83;--warning:#f0b35a;--info:#9aa3af;--good:#6fd39b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:1100px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;margin:0 0 4px;letter-spacing:-.01em}h2{font-size:18px;margin:40px 0 12px}
p.sub{color:var(--soft);margin:0 0 24px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px}
.tile{background:var(--panel);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:24px;font-variant-numeric:tabular-nums;line-height:1.2}
.tile span{color:var(--soft);font-size:13px}
.error{color:var(--error)}.warning{color:var(--warning)}.info{color:var(--info)}.good{color:var(--good)}
details{border:1px solid var(--line);border-radius:10px;margin:8px 0;background:var(--panel)}
summary{cursor:pointer;padding:10px 14px;display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}
summary code{font-weight:600}summary .n{margin-left:auto;font-variant-numeric:tabular-nums;font-weight:600}
details>div{padding:0 14px 12px}dl{margin:0;display:grid;grid-template-columns:max-content 1fr;gap:4px 14px}
dt{color:var(--soft)}dd{margin:0}pre{background:var(--bg);border:1px solid var(--line);border-radius:8px;padding:8px 10px;
margin:8px 0 0;white-space:pre-wrap;font:13px/1.45 ui-monospace,monospace;unicode-bidi:plaintext}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:14px}
figure{margin:0;background:var(--panel);border-radius:10px;padding:12px 14px}figcaption{font-weight:600;font-size:14px}
figure small{color:var(--soft);display:block}svg{display:block;width:100%;height:96px;margin-top:8px}
svg rect{fill:var(--bar)}svg text{fill:var(--soft);font-size:9px}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:6px 10px 6px 0;border-bottom:1px solid var(--line)}
td.r,th.r{text-align:right;font-variant-numeric:tabular-nums}
.bar{height:8px;border-radius:4px;background:var(--bar);min-width:2px}
@media(max-width:600px){dl{grid-template-columns:1fr}dt{margin-top:6px}}
"""


def page(diagnosis: Diagnosis, title: str) -> str:
    """The page of a diagnosis.

    Args:
        diagnosis: what to show.
        title: the name of DATA.
    """
    counts = diagnosis.counts
    usable = sum(counts.written.values())
    by_severity = {"error": 0, "warning": 0, "info": 0}
    for code, count in counts.findings.items():
        by_severity[CATALOGUE[code].severity] += count
    tiles = [
        ("records", f"{counts.read:,}", ""),
        ("usable", f"{usable:,}", "good"),
        ("rejected", f"{counts.rejected:,}", "error" if counts.rejected else ""),
        ("errors", f"{by_severity['error']:,}", "error" if by_severity["error"] else ""),
        ("warnings", f"{by_severity['warning']:,}", "warning" if by_severity["warning"] else ""),
        ("notes", f"{by_severity['info']:,}", ""),
    ]
    if counts.not_selected:
        tiles.insert(3, ("not selected", f"{counts.not_selected:,}", ""))
    if diagnosis.media:
        tiles.append(("media opened", f"{sum(diagnosis.media.values()):,}", ""))
    early = "" if diagnosis.complete else " · stopped early: some records are not read"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="sub">modalmix {escape(diagnosis.version)} · depth {escape(diagnosis.depth)}{early}</p>',
        '<section class="tiles">',
        *(f'<div class="tile"><b class="{kind}">{number}</b><span>{name}</span></div>' for name, number, kind in tiles),
        "</section>",
        _findings(diagnosis),
        _bars("Rows by mix", counts.written),
        _bars("Records by file", {name: file.counts.read for name, file in diagnosis.files.items()}),
        _bars("Media by content", diagnosis.kinds),
        _plots(diagnosis.spreads),
    ]
    # the policy is a second guard: should an escape ever be missed, nothing runs and nothing is fetched
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _findings(diagnosis: Diagnosis) -> str:
    counts = diagnosis.counts.findings
    if not counts:
        return '<h2>Findings</h2><p class="good">Nothing is wrong.</p>'
    parts = ["<h2>Findings, the worst first</h2>"]
    for code, count in sorted(
        counts.items(), key=lambda pair: (_ORDER[CATALOGUE[pair[0]].severity], -pair[1], pair[0])
    ):
        kind = CATALOGUE[code]
        trained = f"<dt>upstream</dt><dd>{escape(upstream()[kind.name].upstream)}</dd>"
        examples = "".join(
            f"<pre>{escape(_place(example.file, example.row, example.id, example.pointer))}\n{escape(example.message)}</pre>"
            for example in diagnosis.examples.get(code, ())
        )
        parts.append(
            f'<details{" open" if kind.severity == "error" else ""}><summary><code class="{kind.severity}">{code}</code>'
            f'<span>{escape(kind.name)}</span><span class="n">{count:,}</span></summary><div><dl>'
            f"<dt>means</dt><dd>{escape(kind.meaning)}</dd>{trained}<dt>fix</dt><dd>{escape(kind.fix)}</dd></dl>"
            f"{examples}</div></details>"
        )
    return "".join(parts)


def _place(file: str, row: int, id_: str | None, pointer: str) -> str:
    at = f"{file}:{row}" if row >= 0 else file
    return " · ".join([at, *([f"id {id_}"] if id_ is not None else []), *([pointer] if pointer else [])])


def _bars(title: str, counts: dict[str, int]) -> str:
    if not counts:
        return ""
    most = max(max(counts.values()), 1)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    bars, rest = ordered[:40], ordered[40:]
    if rest:
        bars.append((f"{len(rest):,} more", sum(count for _, count in rest)))
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="r">{count:,}</td><td style="width:45%">'
        f'<div class="bar" style="width:{min(100.0, 100 * count / most):.1f}%"></div></td></tr>'
        for name, count in bars
    )
    return f"<h2>{title}</h2><table>{rows}</table>"


def _plots(spreads: dict[str, Spread]) -> str:
    present = [(name, spreads[name]) for name in UNITS if name in spreads and spreads[name].count]
    if not present:
        return ""
    return (
        f'<h2>Contents</h2><section class="plots">{"".join(_plot(name, spread) for name, spread in present)}</section>'
    )


def _plot(name: str, spread: Spread) -> str:
    heading = f"<figcaption>{escape(UNITS[name])}</figcaption>"
    least, most = value_text(name, spread.least), value_text(name, spread.most)
    if spread.least == spread.most:  # one bar shows nothing more
        return f"<figure>{heading}<small>always {most}</small></figure>"
    bins = spread.bins()
    highest = max(count for _, _, count in bins)
    width = 300 / len(bins)
    bars = "".join(
        f'<rect x="{i * width + 0.5:.1f}" y="{72 - 68 * count / highest:.1f}" width="{max(width - 1, 0.8):.1f}" '
        f'height="{68 * count / highest:.1f}" rx="1"><title>{_range(name, low, high)}: {count:,}</title></rect>'
        for i, (low, high, count) in enumerate(bins)
        if count
    )
    labels = f'<text x="0" y="84">{least}</text><text x="300" y="84" text-anchor="end">{most}</text>'
    says = f"median {value_text(name, spread.quantile(0.5))} · 95 % up to {value_text(name, spread.quantile(0.95))}"
    return (
        f"<figure>{heading}<small>{says}</small>"
        f'<svg viewBox="0 0 300 90" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(UNITS[name])}: {least} to {most}, {says}">'
        f"{bars}{labels}</svg></figure>"
    )


def _range(name: str, low: int, high: int) -> str:
    first, last = value_text(name, low), value_text(name, high)
    return first if first == last else f"{first} – {last}"
