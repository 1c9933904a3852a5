"""The files that show a sweep: ``report.html`` and ``figures/``.

Only ``nreport`` writes them, and so only it waits for the plotting libraries.
"""

from __future__ import annotations

from pathlib import Path

from neroRL.ranking.ranking import Ranking
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.analysis.analysis import analyse
from neroRL.reporting.figures import FIGURES, write_figures
from neroRL.reporting.page.page import write_page
from neroRL.reporting.ranking_files import REPORT_FILE, Written


def write_report(
    directory: Path,
    sweep: RecordedSweep,
    ranking: Ranking,
    written: Written,
    confirmation: Ranking | None = None,
) -> Path:
    """Writes the page and the figures of a sweep.

    Args:
        directory: where to.
        sweep: as its files tell it.
        ranking: of its permutations.
        written: the files of the ranking.
        confirmation: ranking of the best permutations with fresh seeds, if there is one.

    Returns:
        The path of the page.
    """
    analysis = analyse(sweep, ranking)
    page = directory / REPORT_FILE
    write_page(page, analysis, written.best, written.config, confirmation)
    write_figures(directory / FIGURES, analysis)
    return page
