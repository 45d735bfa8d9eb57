"""The report of a completed run, one HTML file: all figures, tables and pages -> report.html."""

import subprocess
from pathlib import Path

from whatwhere.config.files import dump
from whatwhere.errors import UserError
from whatwhere.files import atomic
from whatwhere.logs import logged


def main(
    python: str,
    snakefile: str | Path,
    configuration: str | Path,
    stylesheet: str | Path,
    log: str | Path,
    output: str | Path,
) -> None:
    """Lets Snakemake write the report of the run with this configuration to ``output``."""
    with atomic(output) as temporary, open(log, "a", encoding="utf-8") as stream:
        command = [python, "-m", "snakemake", "--snakefile", str(snakefile)]
        command += ["--configfile", str(configuration), "--report", str(temporary), "--nolock"]
        command += ["--report-stylesheet", str(stylesheet)]
        if subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False).returncode:
            raise UserError(f"{output}: Snakemake could not write the report, see {log}")


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        settings = Path(snakemake.output.configuration)
        with atomic(settings) as path:
            path.write_text(dump(snakemake.config), encoding="utf-8")
        main(
            # This job may run in an environment of its own, without Snakemake.
            python=snakemake.params.python,
            snakefile=snakemake.params.snakefile,
            configuration=settings,
            stylesheet=snakemake.input.stylesheet,
            log=snakemake.log[0],
            output=snakemake.output.report,
        )
