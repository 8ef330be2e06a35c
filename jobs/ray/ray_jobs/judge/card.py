"""The model card: one HTML page that says what a version was made of and what it is worth, readable by itself.

Made from what evaluate.py found, or, when a model has only been trained, from its manifest. Plots are SVG in the page;
where matplotlib is not installed the tables stand alone. Pure: takes JSON-like values, gives text, judges nothing.
"""

from __future__ import annotations

import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ray_jobs.judge.scores import unit_word

Row = Sequence[Any]
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--bad:#c0392b}
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13px}
.wide{overflow-x:auto}th,td{padding:.15rem .55rem;text-align:right;border-bottom:1px solid var(--soft)}
th:first-child,td:first-child{text-align:left}th{font-weight:600;vertical-align:bottom}
.warn{color:var(--bad);font-weight:600}.note{opacity:.75;font-size:13px}
figure{margin:1rem 0;background:#fff;color:#222;border-radius:6px;padding:.5rem}svg{max-width:100%;height:auto}
code{font-size:12px;overflow-wrap:anywhere}
"""
_SHOWN = {"degC": "°C", "1": ""}


def of_evaluation(result: Mapping[str, Any]) -> str:
    """The card of a version that was judged on one of its splits."""
    model, data, split, masks = result["model"], result["data"], result["split"], result["masks"]
    title = f"{model['name']} version {model['version']}"
    network = [c for c in result["cells"] if c["station"] is None and "group" not in c]
    parts = [
        f"<h1>{_text(title)}</h1>",
        f"<p>Judged on split <b>{_text(split['name'])}</b>, forecasts issued from {_time(split['from_ms'])} to "
        f"{_time(split['to_ms'])} (end exclusive), one a station and hour.</p>",
        *_warnings(result),
        "<h2>Forecast</h2>",
        _forecast(result, network),
        _plot(lambda plt: _skill_bars(plt, network), "Skill against DAP and persistence"),
        "<h2>Intervals</h2>",
        _bands(result, network),
        _plot(lambda plt: _reliability(plt, result), "Share of truths at or below each quantile"),
        _plot(lambda plt: _coverage(plt, result), "Coverage of the widest band by station"),
        *_track(result),
        "<h2>Stations</h2>",
        _worst(result),
        *_scenarios(result, network),
        *(_stations(result, target) for target in result["units"]),
        "<h2>Hours and days</h2>",
        _plot(lambda plt: _hours(plt, result), "MAE by the solar hour of the valid time"),
        _days(result),
        "<h2>Data</h2>",
        _table(
            ("what", "value"),
            [
                ("table", _code(data["table"]) + f" version {data['table_version']}"),
                ("rows in the split", _count(data["rows"])),
                ("stations", f"{len(data['stations'])}: {_text(', '.join(data['stations']))}"),
                ("never seen in training", _text(", ".join(data["strangers"]) or "none")),
                ("table read from, to", f"{_time(data['first_ms'])}, {_time(data['last_ms'])}"),
                ("SHA-256 of the split's truths", _code(data["sha256"])),
                ("units", _text(", ".join(f"{t} {u}" for t, u in result["units"].items()))),
                ("truth within", f"{masks['tolerance_ms'] / 60_000:g} min of the valid time"),
                (
                    "known anomalies from",
                    _text(masks["by"] or "no list: the station's own climatology says what is a fault"),
                ),
                *((f"pairs left out: {name.replace('_', ' ')}", _count(n)) for name, n in masks["left_out"].items()),
                ("pairs judged at the edge of what the target can be", _count(masks["beyond_support"])),
            ],
        ),
        "<h2>Model</h2>",
        _model(model, result["cost"]),
    ]
    return _page(title, parts)


def of_training(manifest: Mapping[str, Any], metrics: Mapping[str, float], name: str) -> str:
    """The card of a version that has only been trained: what it was made of, and the test metrics of its training."""
    model = {
        **{k: manifest[k] for k in ("digest", "parent", "fingerprint", "contract_fingerprint")},
        "training": {k: v for k, v in manifest["training"].items() if k != "rounds"},
        "certificate": manifest.get("certificate", manifest["training"].get("certificate")),
        "heads": len(manifest["files"]),
        "aliases": [],
    }
    baseline = manifest["baseline"]["stations"]
    shape = manifest["shape"]
    rows = [(_text(n), _number(v)) for n, v in sorted(metrics.items())]
    parts = [
        f"<h1>{_text(name)}: trained</h1>",
        "<p>Measured on the test split of its own training. <code>millrace evaluate</code> writes the whole card.</p>",
        *_certified(model["certificate"]),
        "<h2>Model</h2>",
        _model(model, {n: v for n, v in metrics.items() if n in ("train_s", "predict_ms_per_100_rows")}),
        "<h2>Data</h2>",
        _table(
            ("what", "value"),
            [
                ("stations", f"{len(baseline)}: {_text(', '.join(baseline))}"),
                ("targets", _text(", ".join(f"{t['name']} {t['unit']}" for t in shape["targets"]))),
                ("horizons", _text(", ".join(f"{h} h" for h in shape["horizons_h"]))),
                ("inputs", _count(len(shape["inputs"]))),
            ],
        ),
        "<h2>Metrics</h2>",
        _table(("metric", "value"), rows),
    ]
    return _page(name, parts)


def _warnings(result: Mapping[str, Any]) -> list[str]:
    out = []
    if result["in_sample"]:
        out.append(
            '<p class="warn">The model has learnt from this span: these scores say nothing about the future.</p>'
        )
    elif result["calibrated_on"]:
        out.append("<p>The bands were calibrated on this span; the heads have learnt nothing from it.</p>")
    if result["masks"]["by"] is None:
        out.append('<p class="warn">Judged without a list of known anomalies.</p>')
    return out + _certified(result["model"]["certificate"])


def _certified(certificate: Any) -> list[str]:
    if certificate:
        return [f"<p>Trained on certified features: {_code(str(certificate))}</p>"]
    return ['<p class="warn">Trained on features without a certificate.</p>']


def _forecast(result: Mapping[str, Any], network: Sequence[Mapping[str, Any]]) -> str:
    sure = {(s["target"], s["horizon_h"]): s for s in result["intervals"]}
    head = (
        "target, horizon",
        "MAE",
        "95 %",
        "RMSE",
        "bias",
        *result["references"],
        "skill persistence",
        "skill DAP",
        "95 %",
        "pinball",
        "pairs",
    )
    rows = []
    for cell in network:
        m, word = cell["metrics"], _word(result, cell)
        known = sure[cell["target"], cell["horizon_h"]]
        rows.append(
            (
                _label(result, cell),
                f"<b>{_number(m[f'mae_{word}'])}</b>",
                _span(known[f"mae_{word}"], _number),
                _number(m[f"rmse_{word}"]),
                _number(m[f"bias_{word}"]),
                *(_number(m[f"{name}_mae_{word}"]) for name in result["references"]),
                _percent(m["skill_persistence"]),
                f"<b>{_percent(m['skill_dap'])}</b>",
                _span(known["skill_dap"], _percent),
                _number(m[f"pinball_{word}"]),
                _count(m["pairs"]),
            )
        )
    kelvin = [
        f"{cell['horizon_h']} h {_number(cell['metrics']['mape_kelvin_pct'])} %"
        for cell in network
        if "mape_kelvin_pct" in cell["metrics"]
    ]
    asked = (
        f'<p class="note">MAPE in kelvin, asked for and not for decisions: {", ".join(kelvin)}.</p>' if kelvin else ""
    )
    return (
        '<p class="note">MAE of the references beside the model; skill is 1 − MAE / theirs. Intervals: weeks drawn '
        f"with replacement, {result['bootstrap']['rounds']} times.</p>" + _table(head, rows) + asked
    )


def _bands(result: Mapping[str, Any], network: Sequence[Mapping[str, Any]]) -> str:
    percents = _percents(network[0]["metrics"])
    widest = percents[-1]
    head = ["target, horizon", *(f"{what} {p} %" for p in percents for what in ("coverage", "width", "Winkler"))]
    head += [f"{what} {widest} %, not adapted" for what in ("coverage", "Winkler")]
    rows = []
    for cell in network:
        m, word = cell["metrics"], _word(result, cell)
        rows.append(
            (
                _label(result, cell),
                *(
                    text
                    for p in percents
                    for text in (
                        _percent(m[f"coverage_{p}"]),
                        _number(m[f"width_{p}_{word}"]),
                        _number(m[f"winkler_{p}_{word}"]),
                    )
                ),
                _percent(m[f"fixed_coverage_{widest}"]),
                _number(m[f"fixed_winkler_{widest}_{word}"]),
            )
        )
    return _table(head, rows)


def _track(result: Mapping[str, Any]) -> list[str]:
    """The widest band month by month forward in time, and how fast it follows when errors grow."""
    track = result.get("track")
    if not track or not track["cells"]:
        return []
    band, months, floor, growth = track["band"], track["months"], track["floor"], track["growth"]
    head = (
        "target, horizon",
        *(f"coverage {p} %" for p in _percents(track["cells"][0])),
        "not adapted",
        "least at",
        "",
        "most at",
        "",
        "Winkler",
        "over static CQR",
    )
    rows = [
        (
            _label(result, c),
            *(_percent(c[f"coverage_{p}"]) for p in _percents(c)),
            _percent(c[f"static_coverage_{band}"]),
            _text(c["least_covered"]),
            _percent(c["least_coverage"]),
            _text(c["most_covered"]),
            _percent(c["most_coverage"]),
            _number(c[f"winkler_{band}_{_word(result, c)}"]),
            f"{c['winkler_over_static']:.3f}",
        )
        for c in track["cells"]
    ]
    days = [
        ("with the growth", *(_share(c) for c in growth["coverage"])),
        ("without", *(_share(c) for c in growth["without"])),
    ]
    back = "not within these days" if growth["back_on_day"] is None else f"on day {growth['back_on_day']}"
    return [
        f"<h2>The {band} % band over {len(months)} months</h2>",
        f"<p>Issued from {_time(months[0]['from_ms'])} to {_time(months[-1]['to_ms'])}. Each month starts from the "
        "scores known before it, and each station adapts through all of them as it is served. Network within "
        f"{100 * floor['network']:g} points of its share: {floor['network_held']} of {floor['cells']}; every station "
        f"within {100 * floor['station']:g}: {floor['station_held']} of {floor['cells']}; Winkler at most "
        f"{floor['winkler_over_static']:g} times that of static CQR: {floor['winkler_held']} of {floor['cells']}.</p>",
        _table(head, rows),
        _plot(lambda plt: _months(plt, result), f"Coverage of the {band} % band by month, and without adapting (thin)"),
        f"<p>When all errors grow by {100 * (growth['factor'] - 1):g} % at once, coverage is back within "
        f"{100 * growth['within']:g} points of its share {back} (mean over targets, horizons and "
        f"{len(growth['starts_ms'])} starts):</p>",
        _table(("", *(f"day {d}" for d in range(1, len(growth["coverage"]) + 1))), days),
    ]


def _worst(result: Mapping[str, Any]) -> str:
    head = (
        "target, horizon",
        "least skill against DAP",
        "at",
        "stations not better",
        "least coverage",
        "at",
        "most",
        "at",
    )
    rows = [
        (
            _label(result, w),
            _percent(w["skill_dap"]),
            _text(w["station"]),
            _count(w["stations_below_dap"]),
            _percent(w["least_coverage"]),
            _text(w["least_covered"]),
            _percent(w["most_coverage"]),
            _text(w["most_covered"]),
        )
        for w in result["worst"]
    ]
    return _table(head, rows)


def _scenarios(result: Mapping[str, Any], network: Sequence[Mapping[str, Any]]) -> list[str]:
    """Served alone, as a stranger, and the stations that training has never seen."""
    known = [n for n in ("alone", "stranger") if f"{n}_skill_dap" in network[0]["metrics"]]
    head = ["target, horizon", "skill DAP"]
    head += [
        f"{'without neighbours' if n == 'alone' else 'as a stranger'}: {w}"
        for n in known
        for w in ("skill DAP", "MAE / served")
    ]
    rows = [
        (
            _label(result, cell),
            _percent(cell["metrics"]["skill_dap"]),
            *(
                text
                for n in known
                for text in (_percent(cell["metrics"][f"{n}_skill_dap"]), _number(cell["metrics"][f"{n}_over_served"]))
            ),
        )
        for cell in network
    ]
    out = [
        '<p class="note">As a stranger: the model is told nothing of the station but where it stands; its heads have '
        "still seen the station's rows.</p>",
        _table(head, rows),
    ]
    titles = {
        "never_seen": "Stations that training has never seen:",
        "without_faults": "Without truths that the station's own climatology calls a fault and no list names:",
    }
    for group, title in titles.items():
        unseen = [c for c in result["cells"] if c.get("group") == group]
        if not unseen:
            continue
        rows = [
            (
                _label(result, c),
                _number(c["metrics"][f"mae_{_word(result, c)}"]),
                _percent(c["metrics"]["skill_dap"]),
                _count(c["metrics"]["pairs"]),
            )
            for c in unseen
        ]
        out += [
            f"<p>{title}</p>",
            _table(("target, horizon", "MAE", "skill DAP", "pairs"), rows),
        ]
    return out


def _stations(result: Mapping[str, Any], target: str) -> str:
    cells = [c for c in result["cells"] if c["target"] == target and c["station"] is not None]
    horizons = sorted({c["horizon_h"] for c in cells})
    if not cells:
        return ""
    word = _word(result, cells[0])
    widest = _percents(cells[0]["metrics"])[-1]
    by = {(c["station"], c["horizon_h"]): c["metrics"] for c in cells}
    names = [s for s in result["data"]["stations"] if any((s, h) in by for h in horizons)]
    head = [
        f"{target}, {_unit(result, target)}",
        *(f"{what} {h} h" for h in horizons for what in ("MAE", "DAP", "skill", f"{widest} %")),
    ]
    rows = []
    for station in names:
        line: list[str] = [_text(station)]
        for h in horizons:
            m = by.get((station, h))
            line += (
                ["–"] * 4
                if m is None
                else [
                    _number(m[f"mae_{word}"]),
                    _number(m[f"dap_mae_{word}"]),
                    _percent(m["skill_dap"]),
                    _percent(m[f"coverage_{widest}"]),
                ]
            )
        rows.append(line)
    return _table(head, rows)


def _days(result: Mapping[str, Any]) -> str:
    head = ("target, horizon", "station", "day (UTC)", "MAE", "DAP")
    rows = []
    for day in result["worst_days"]:
        word = _word(result, day)
        rows.append(
            (
                _label(result, day),
                _text(day["station"]),
                _time(day["day_ms"])[:10],
                _number(day[f"mae_{word}"]),
                _number(day[f"dap_mae_{word}"]),
            )
        )
    return "<p>The worst days of a station at the longest horizon:</p>" + _table(head, rows)


def _model(model: Mapping[str, Any], cost: Mapping[str, float]) -> str:
    training = model["training"]
    times = [
        (name.removesuffix("_ms"), training[name])
        for name in sorted(training)
        if name.endswith("_ms") and training[name] is not None
    ]
    rest = [
        (name, value)
        for name, value in sorted(training.items())
        if not name.endswith("_ms") and name not in ("certificate", "settings", "tuning")
    ]
    rest += [(f"heads: {name}", value) for name, value in training.get("settings", {}).items()]
    rows = [
        ("digest", _code(model["digest"])),
        ("parent", _text(str(model["parent"] or "none"))),
        ("aliases", _text(", ".join(model["aliases"]) or "none")),
        ("certificate", _code(str(model["certificate"])) if model["certificate"] else "none"),
        ("model fingerprint", _code(model["fingerprint"])),
        ("contract fingerprint", _code(model["contract_fingerprint"])),
        ("heads", _count(model["heads"])),
        *((f"training {name.replace('_', ' ')}", _time(value)) for name, value in times),
        *((f"training {name.replace('_', ' ')}", _code(str(value))) for name, value in rest),
        *((f"cost: {name}", _number(value)) for name, value in sorted(cost.items())),
    ]
    return _table(("what", "value"), rows) + _tuning(training.get("tuning"))


def _tuning(tuning: Mapping[str, Any] | None) -> str:
    """The trials that led to the settings, best first; nothing where none were run."""
    if tuning is None:
        return ""
    trials = sorted(enumerate(tuning["trials"]), key=lambda t: (math.inf if t[1]["loss"] is None else t[1]["loss"], t))
    names = [n for n in tuning["trials"][0] if n not in ("rounds", "loss", "over_given")]
    rows = [
        (
            f"<b>{i}</b> (chosen)" if i == tuning["chosen"] else f"{i}{' (given)' if i == 0 else ''}",
            *(_text(f"{trial[n]:g}") for n in names),
            _count(trial["rounds"]),
            "–" if trial["loss"] is None else f"{trial['loss']:.4f}",
            "–" if trial["over_given"] is None else f"{100 * (trial['over_given'] - 1):+.2f} %",
        )
        for i, trial in trials
    ]
    return (
        f"<p>Settings tried on the watched weeks, {len(trials)} of them; the worse were stopped early. The loss is the "
        "mean pinball of a few heads over that of a constant:</p>"
        + _table(("trial", *(n.replace("_", " ") for n in names), "rounds", "loss", "against given"), rows)
    )


# Plots


def _plot(draw: Callable[[Any], Any], caption: str) -> str:
    """One figure as SVG in the page; nothing where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return f'<p class="note">{_text(caption)}: no plot, matplotlib is not installed.</p>'
    # Text stays text, and the same figure gives the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "card", "font.size": 9}):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 3.2), layout="constrained")
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return f"<figure>{svg[svg.index('<svg') :]}<figcaption class='note'>{_text(caption)}</figcaption></figure>"


def _skill_bars(figure: Any, network: Sequence[Mapping[str, Any]]) -> None:
    axes = figure.subplots()
    for i, (name, shown) in enumerate(
        (("skill_dap", "DAP"), ("skill_persistence", "persistence"), ("skill_ridge", "ridge"))
    ):
        places = [x + (i - 1) * 0.27 for x in range(len(network))]
        axes.bar(places, [100 * c["metrics"][name] for c in network], 0.25, label=f"against {shown}")
    axes.set_xticks(range(len(network)), [f"{c['target']}\n{c['horizon_h']} h" for c in network])
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_ylabel("skill, %")
    axes.legend()


def _reliability(figure: Any, result: Mapping[str, Any]) -> None:
    targets = list(result["units"])
    for axes, target in zip(figure.subplots(1, len(targets), squeeze=False)[0], targets, strict=True):
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
        for row in result["reliability"]:
            if row["target"] == target:
                axes.plot(result["levels"], row["observed"], marker="o", markersize=3, label=f"{row['horizon_h']} h")
        axes.set(title=target, xlabel="level", ylabel="observed", xlim=(0, 1), ylim=(0, 1))
        axes.legend()


def _coverage(figure: Any, result: Mapping[str, Any]) -> None:
    targets = list(result["units"])
    for axes, target in zip(figure.subplots(1, len(targets), squeeze=False)[0], targets, strict=True):
        cells = [c for c in result["cells"] if c["target"] == target and c["station"] is not None]
        if not cells:
            continue
        widest = _percents(cells[0]["metrics"])[-1]
        for horizon in sorted({c["horizon_h"] for c in cells}):
            seen = sorted(100 * c["metrics"][f"coverage_{widest}"] for c in cells if c["horizon_h"] == horizon)
            axes.plot(seen, marker=".", label=f"{horizon} h")
        axes.axhspan(widest - 2, widest + 2, color="grey", alpha=0.2)
        axes.set(title=target, xlabel="stations, least covered first", ylabel=f"coverage of {widest} %, %")
        axes.legend()


def _months(figure: Any, result: Mapping[str, Any]) -> None:
    track = result["track"]
    band, targets = track["band"], list(result["units"])
    names = [_time(month["from_ms"])[2:7] for month in track["months"]]
    for axes, target in zip(figure.subplots(1, len(targets), squeeze=False)[0], targets, strict=True):
        axes.axhspan(band - 1, band + 1, color="grey", alpha=0.2)
        for cell in track["cells"]:
            if cell["target"] != target:
                continue
            ours = [math.nan if (c := m[f"coverage_{band}"]) is None else 100 * c for m in cell["months"]]
            static = [math.nan if (c := m[f"static_coverage_{band}"]) is None else 100 * c for m in cell["months"]]
            (line,) = axes.plot(names, ours, marker=".", label=f"{cell['horizon_h']} h")
            axes.plot(names, static, color=line.get_color(), linewidth=0.6)
        axes.set(title=target, ylabel=f"coverage of {band} %, %")
        axes.tick_params(axis="x", rotation=60)
        axes.legend()


def _hours(figure: Any, result: Mapping[str, Any]) -> None:
    targets = list(result["units"])
    for axes, target in zip(figure.subplots(1, len(targets), squeeze=False)[0], targets, strict=True):
        for row in result["by_hour"]:
            if row["target"] == target:
                ours = row[f"mae_{_word(result, row)}"]
                axes.plot([math.nan if x is None else x for x in ours], label=f"{row['horizon_h']} h")
        axes.set(title=target, xlabel="solar hour", ylabel=f"MAE, {_unit(result, target)}")
        axes.set_ylim(bottom=0)
        axes.legend()


# Words


def _page(title: str, parts: Sequence[str]) -> str:
    head = f"<meta charset=utf-8><title>{_text(title)}</title><meta name=viewport content='width=device-width'>"
    return (
        f"<!doctype html>\n<html lang=en>{head}<style>{_STYLE}</style>\n"
        + "\n".join(p for p in parts if p)
        + "\n</html>\n"
    )


def _table(head: Row, rows: Sequence[Row]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{_text(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<div class=wide><table><tr>{top}</tr>\n{body}</table></div>"


def _percents(metrics: Mapping[str, float]) -> list[int]:
    return sorted(int(name.split("_")[1]) for name in metrics if name.startswith("coverage_"))


def _word(result: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    return unit_word(result["units"][cell["target"]])


def _unit(result: Mapping[str, Any], target: str) -> str:
    unit = result["units"][target] or ""
    return _SHOWN.get(unit, unit)


def _label(result: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    return _text(f"{cell['target']} {cell['horizon_h']} h, {_unit(result, cell['target'])}")


def _text(text: str) -> str:
    return html.escape(text)


def _code(text: str) -> str:
    return f"<code>{_text(text)}</code>"


def _count(value: float) -> str:
    return f"{int(value):,}"


def _number(value: float) -> str:
    return "–" if not math.isfinite(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _percent(share: float) -> str:
    return "–" if not math.isfinite(share) else f"{100 * share:.1f} %"


def _share(share: float | None) -> str:
    return "–" if share is None else _percent(share)


def _span(ends: Sequence[float], shown: Callable[[float], str]) -> str:
    return f"{shown(ends[0])} … {shown(ends[1])}"


def _time(ms: float) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
