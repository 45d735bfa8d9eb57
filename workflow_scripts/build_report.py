"""The report of a completed run, one HTML file: all figures, tables and pages -> report.html."""

import subprocess
from pathlib import Path
from typing import Any

from whatwhere.config.files import dump
from whatwhere.errors import UserError
from whatwhere.files import atomic
from whatwhere.logs import run_job


def main(
    python: str,
    snakefile: str | Path,
    config: dict[str, Any],
    stylesheet: str | Path,
    log: str | Path,
    report: str | Path,
    configuration: str | Path,
) -> None:
    """Writes the configuration of a run to ``configuration``, and lets Snakemake write its ``report``.

    ``python`` is that of Snakemake: this job may run in an environment of its own, without Snakemake.
    """
    with atomic(configuration) as settings:
        settings.write_text(dump(config), encoding="utf-8")
    with atomic(report) as temporary, open(log, "a", encoding="utf-8") as stream:
        command = [python, "-m", "snakemake", "--snakefile", str(snakefile)]
        command += ["--configfile", str(configuration), "--report", str(temporary), "--nolock"]
        command += ["--report-stylesheet", str(stylesheet)]
        if subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False).returncode:
            raise UserError(f"{report}: Snakemake could not write the report, see {log}")


if __name__ == "__main__":
    run_job(main, snakemake)
