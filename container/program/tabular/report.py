"""Write the training report: one HTML page that needs no network and says in plain words how good the model is.

It shows class labels, column names, row numbers and figures, and never a cell of the training data.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabular import charts, svg
from tabular.evaluate import Evaluation, encode
from tabular.svg import fixed, number, percent, text

MEANINGS = {
    "accuracy": ("Accuracy", "share of the rows labelled correctly"),
    "balanced_accuracy": ("Balanced accuracy", "mean recall, each class counting the same"),
    "macro_f1": ("Macro F1", "mean F1 score, each class counting the same"),
    "log_loss": ("Log loss", "0 is perfect; certain and wrong costs most"),
    "roc_auc": ("ROC AUC", "how well classes are told apart; 0.5 is chance"),
    "rmse": ("RMSE", "typical error; large ones weigh more"),
    "mae": ("MAE", "mean size of an error"),
    "r2": ("R²", "share of the variance explained; 1 is perfect"),
}
HEADLINES = ("accuracy", "r2")
ABSENT = "\u2013"
MOST_TABLE_ROWS = 50
MOST_MISTAKES = 10

STYLE = """
:root { color-scheme:light dark; --page:#f6f7f8; --card:#fff }
@media screen and (prefers-color-scheme: dark) { :root { --page:#111519; --card:#1a1f25 } }
* { box-sizing:border-box }
body { margin:0; background:var(--page); color:var(--ink); overflow-wrap:anywhere;
  font:16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { max-width:1040px; margin:0 auto; padding:40px 20px 56px }
h1, h2 { font-size:1rem; font-weight:600; margin:0 } h1 { color:var(--muted) } h2 { margin-bottom:14px }
.hero { margin:10px 0 28px } .hero p { max-width:62ch; margin:6px 0 0 }
.hero strong { display:block; font-size:clamp(3rem, 11vw, 5rem); line-height:1.1; letter-spacing:-.03em;
  font-weight:650; font-variant-numeric:tabular-nums }
.hero strong small { font-size:1.125rem; letter-spacing:0; font-weight:500; color:var(--muted); margin-left:.3em }
.hero .lead { font-size:1.125rem } .quiet, td small { color:var(--muted) } .quiet { font-size:.875rem }
.gauge { position:relative; height:10px; max-width:62ch; margin:14px 0; border-radius:5px; background:var(--line) }
.gauge i { display:block; height:100%; border-radius:5px; background:var(--right) }
.gauge b { position:absolute; top:-4px; height:18px; width:3px; margin-left:-1.5px; background:var(--ink);
  box-shadow:0 0 0 2px var(--page) }
.tiles { display:grid; column-gap:16px; grid-template-columns:repeat(auto-fit, minmax(min(150px, 100%), 1fr)) }
.cards { columns:2 400px; column-gap:16px } .card { break-inside:avoid; margin-bottom:16px; padding:18px 20px;
  background:var(--card); border:1px solid var(--line); border-radius:12px }
.wide { column-span:all } .card p:last-child { margin:14px 0 0 } .scroll { overflow-x:auto }
.tiles .card { padding:14px 18px; font-size:.875rem } .tiles .quiet { display:block; font-size:.8125rem }
.tiles b { display:block; font-size:1.5rem; line-height:1.35; font-weight:600; font-variant-numeric:tabular-nums }
table { border-collapse:collapse; width:100%; font-size:.875rem; font-variant-numeric:tabular-nums }
th, td { text-align:left; vertical-align:top; padding:6px 12px 6px 0; border-top:1px solid var(--line) }
thead th { border-top:0; color:var(--muted); font-weight:500 } tbody th { font-weight:500; min-width:6em }
.n { text-align:right; white-space:nowrap } td:last-child, th:last-child { padding-right:0 }
@media print { :root { --page:#fff } main { padding:0; max-width:none }
  .cards { columns:2 280px } .gauge, .gauge * { print-color-adjust:exact } }
"""


def render(
    evaluation: Evaluation,
    facts: Mapping[str, str],
    hyperparameters: Mapping[str, Any],
    *,
    rows: Sequence[int] | None = None,
) -> str:
    """Return the page. The first of `facts` stands beside the title; `rows` (n,) are the validation rows' numbers.

    Without `rows`, validation rows are counted from 1.
    """
    numbers = np.arange(1, len(evaluation.truth) + 1) if rows is None else np.asarray(rows)
    if len(numbers) != len(evaluation.truth):
        raise ValueError(f"{len(numbers)} row numbers for {len(evaluation.truth)} validation rows")
    counted = (
        "counted from 1 among the validation rows"
        if rows is None
        else "counted from 1 in the order in which the files are read"
    )
    if evaluation.problem_type == "classification":
        hero, cards = _classification(evaluation, numbers, counted)
    else:
        hero, cards = _regression(evaluation, numbers, counted)
    values = {name: value if isinstance(value, str) else repr(value) for name, value in hyperparameters.items()}
    nothing = "None were given: the estimator's own defaults hold."
    cards += [_pairs("Hyperparameters", values, nothing), _pairs("Facts", facts, "None were recorded.")]
    subject = next(iter(facts.values()), "")
    title = f"Training report{' · ' if subject else ''}{text(subject, 60) if subject else ''}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
        f"<style>{svg.STYLE}{STYLE}</style></head>\n<body><main><h1>{title}</h1>\n{hero}\n"
        f'{_tiles(evaluation.metrics)}\n<div class="cards">\n' + "\n".join(cards) + "\n</div></main></body></html>\n"
    )


def _classification(evaluation: Evaluation, numbers: NDArray[Any], counted: str) -> tuple[str, list[str]]:
    labels, truth, predicted = encode(evaluation.truth, evaluation.predicted, evaluation.classes)
    probabilities = evaluation.probabilities
    if probabilities is not None and not np.isfinite(probabilities).all():
        probabilities = None
    matrix = charts.confusion_matrix(truth, predicted, labels)
    share = "Rows counted: blue is right, orange is wrong, and the deeper the larger the share of that true class."
    cards = [_figure("Where it is right, and what it confuses", matrix, share, wide=len(labels) > 10)]  # noqa: PLR2004
    if probabilities is not None and np.unique(truth).size > 1:
        curves = charts.roc_curves(truth, probabilities, evaluation.classes)
        caption = "Further to the top left is better; the dashed diagonal is guessing."
        if len(evaluation.classes) > 2:  # noqa: PLR2004
            caption = f"Each class against the rest, at most the {charts.MOST_CURVES} most frequent. {caption}"
        cards.append(_figure("How well classes are told apart", curves, caption))
    cards += _importance_card(evaluation, "accuracy")
    note = "Rows of each class among the validation rows."
    cards.append(_figure("What there was to predict", charts.class_bars(truth, labels), note))
    cards.append(_class_table(labels, truth, predicted))
    if probabilities is not None:
        cards += _confident_mistakes(
            labels, truth, predicted, probabilities=probabilities, numbers=numbers, counted=counted
        )
    return _classification_hero(labels, truth, predicted), cards


def _classification_hero(labels: Sequence[Any], truth: NDArray[np.intp], predicted: NDArray[np.intp]) -> str:
    count = len(truth)
    accuracy = float(np.mean(truth == predicted))
    frequency = np.bincount(truth)
    baseline = float(frequency.max() / count)
    common = text(labels[int(frequency.argmax())], 40)
    low, high = _wilson(accuracy, count)
    verdict = "" if accuracy > baseline else " <b>The model is no better than that.</b>"
    return (
        f'<section class="hero"><strong>{percent(accuracy)}<small>accuracy</small></strong>'
        f'<div class="gauge" role="img" aria-label="{percent(accuracy)}, against {percent(baseline)}">'
        f'<i style="width:{100 * accuracy:.1f}%"></i><b style="left:{100 * baseline:.1f}%"></b></div>'
        f'<p class="lead">{percent(accuracy)} of the validation rows are labelled correctly; always answering the '
        f"commonest class, {common}, would reach {percent(baseline)}.{verdict}</p>"
        f'<p class="quiet">Measured on {count:,} {"row" if count == 1 else "rows"}, so on more of the same data expect '
        f"between {percent(low)} and {percent(high)} (95\u00a0% confidence).</p></section>"
    )


def _regression(evaluation: Evaluation, numbers: NDArray[Any], counted: str) -> tuple[str, list[str]]:
    truth, predicted = evaluation.truth, evaluation.predicted
    errors = predicted - truth
    scatter = charts.predicted_against_true(truth, predicted)
    shown = "" if len(truth) <= charts.MOST_POINTS else f" {charts.MOST_POINTS:,} of the {len(truth):,} rows are drawn."
    cards = [
        _figure("Predicted against true", scatter, f"On the dashed line, a prediction is exact.{shown}"),
        _figure(
            "How far off it is",
            charts.histogram(errors, "predicted − true", mark=0),  # noqa: RUF001
            "To the left of the dashed line the prediction is too low, to the right too high.",
        ),
        *_importance_card(evaluation, "R²"),
        _figure(
            "What there was to predict",
            charts.histogram(truth, "true"),
            "The target's values among the validation rows.",
        ),
    ]
    worst = [index for index in np.argsort(-np.abs(errors), kind="stable") if errors[index] != 0][:MOST_MISTAKES]
    table = [(f"{numbers[index]:,}", f"{'+' if errors[index] > 0 else ''}{number(errors[index])}") for index in worst]
    if table:
        cards.append(_table("The largest errors", ("Row", "Predicted − true"), table, f"Rows {counted}.", words=1))  # noqa: RUF001
    return _regression_hero(evaluation), cards


def _regression_hero(evaluation: Evaluation) -> str:
    metrics, truth = evaluation.metrics, evaluation.truth
    if "mae" not in metrics:
        return (
            '<section class="hero"><strong>No score</strong><p class="lead">Some predictions are not finite numbers: '
            "the fit has diverged. Scaling the features or a smaller learning rate usually helps.</p></section>"
        )
    naive = float(np.mean(np.abs(truth - np.mean(truth))))
    miss = f"by {number(metrics['mae'])} on average; always answering the mean would miss by {number(naive)}."
    r2 = metrics.get("r2")
    if r2 is None:
        figure, gauge, lead = f"{number(metrics['mae'])}<small>MAE</small>", "", f"The predictions miss {miss}"
    else:
        figure, gauge = f"{fixed(r2)}<small>R²</small>", ""
        explained = f"explain {percent(r2)} of the target's variance" if r2 > 0 else "explain nothing of the target"
        lead = f"On the validation rows the predictions {explained} and miss {miss}"
        if r2 <= 0:
            lead += " <b>The model is no better than that.</b>"
        else:
            gauge = (
                f'<div class="gauge" role="img" aria-label="{percent(r2)}"><i style="width:{100 * r2:.1f}%"></i></div>'
            )
    measured = (
        f"Measured on {len(truth):,} {'row' if len(truth) == 1 else 'rows'}; errors are in the target's own units."
    )
    return (
        f'<section class="hero"><strong>{figure}</strong>{gauge}<p class="lead">{lead}</p>'
        f'<p class="quiet">{measured}</p></section>'
    )


def _tiles(metrics: Mapping[str, float]) -> str:
    """Show every metric but the one that is the headline already."""
    tiles = []
    for name, value in metrics.items():
        if name in HEADLINES:
            continue
        heading, meaning = MEANINGS.get(name, (name, ""))
        figure = number(value) if name in ("rmse", "mae") or not math.isfinite(value) else fixed(value)
        quiet = f'<span class="quiet">{meaning}</span>'
        tiles.append(f'<div class="card">{text(heading)}<b>{figure}</b>{quiet}</div>')
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _importance_card(evaluation: Evaluation, score: str) -> list[str]:
    found = evaluation.importances
    if not found:
        return []
    caption = f"How much {score} falls when one column is shuffled, with the standard deviation over repeats."
    if len(found) < evaluation.column_count:
        caption += (
            f" Of {evaluation.column_count:,} columns, the {len(found)} that go most with the predictions were tried."
        )
    if len(found) > charts.MOST_BARS:
        caption += f" The {charts.MOST_BARS} largest are drawn."
    return [_figure("What it looks at", charts.importance_bars(found), caption)]


def _class_table(labels: Sequence[Any], truth: NDArray[np.intp], predicted: NDArray[np.intp]) -> str:
    size = len(labels)
    support, answers = np.bincount(truth, minlength=size), np.bincount(predicted, minlength=size)
    hits = np.bincount(truth[truth == predicted], minlength=size)
    shown = np.sort(np.argsort(-support, kind="stable")[:MOST_TABLE_ROWS])
    body = [
        (
            text(labels[index], 80),
            percent(hits[index] / answers[index]) if answers[index] else ABSENT,
            percent(hits[index] / support[index]) if support[index] else ABSENT,
            f"{support[index]:,}",
        )
        for index in shown
    ]
    note = (
        "Precision: of the rows given this label, how many have it. Recall: of those that have it, how many were found."
    )
    if len(shown) < size:
        note += f" The {len(shown)} most frequent of {size:,} classes."
    return _table("Class by class", ("Class", "Precision", "Recall", "Rows"), body, note, words=1)


def _confident_mistakes(
    labels: Sequence[Any],
    truth: NDArray[np.intp],
    predicted: NDArray[np.intp],
    *,
    probabilities: NDArray[np.float64],
    numbers: NDArray[Any],
    counted: str,
) -> list[str]:
    wrong = np.flatnonzero((truth != predicted) & (predicted < probabilities.shape[1]))
    if not wrong.size:
        return []
    confidence = probabilities[wrong, predicted[wrong]]
    order = np.argsort(-confidence, kind="stable")[:MOST_MISTAKES]
    body = [
        (text(labels[truth[row]], 40), text(labels[predicted[row]], 40), percent(sure), f"{numbers[row]:,}")
        for row, sure in zip(wrong[order], confidence[order], strict=True)
    ]
    note = f"The wrong answers the model was surest of: where to look for mislabelled rows. Rows {counted}."
    return [_table("Most confident mistakes", ("True", "Predicted", "Confidence", "Row"), body, note, words=2)]


def _wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share observed in `count` rows."""
    z = 1.959964
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def _figure(heading: str, picture: str, caption: str, *, wide: bool = False) -> str:
    return (
        f'<section class="card{" wide" if wide else ""}"><h2>{heading}</h2><div class="scroll">{picture}</div>'
        f'<p class="quiet">{caption}</p></section>'
    )


def _table(heading: str, header: Sequence[str], body: Sequence[Sequence[str]], note: str, *, words: int) -> str:
    """Lay out escaped cells: the first `words` columns hold words, the others numbers."""
    kinds = ["" if index < words else ' class="n"' for index in range(len(header))]
    head = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(kinds, header, strict=True))
    lines = ["".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in body]
    table = f"<thead><tr>{head}</tr></thead><tbody><tr>{'</tr><tr>'.join(lines)}</tr></tbody>"
    return f'<section class="card"><h2>{heading}</h2><table>{table}</table><p class="quiet">{note}</p></section>'


def _pairs(heading: str, pairs: Mapping[str, str], nothing: str) -> str:
    if not pairs:
        return f'<section class="card"><h2>{heading}</h2><p class="quiet">{nothing}</p></section>'
    lines = "".join(f"<tr><th>{text(name)}</th><td>{text(value)}</td></tr>" for name, value in pairs.items())
    return f'<section class="card"><h2>{heading}</h2><table><tbody>{lines}</tbody></table></section>'
