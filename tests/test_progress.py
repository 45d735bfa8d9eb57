"""The screen of make: work and the time left, results, errors."""

import io
import logging
from types import SimpleNamespace

import pytest
from conftest import REPOSITORY
from repository_copy import snakemake
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_whatwhere as plugin
from snakemake_logger_plugin_whatwhere import Work


@pytest.fixture
def clock(monkeypatch):
    """A clock that only tests move, in seconds."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(plugin.time, "monotonic", lambda: now.seconds)
    return now


def test_the_share_is_that_of_the_work_and_not_of_the_jobs(clock):
    work = Work({"train": 2, "plot": 8}, 1, {"train": {"a": 90.0, "b": 70.0}}, {"plot": 5.0})
    assert work.seconds_left() == 200
    for number in range(8):
        work.begin(number, "plot", "Draw", [f"{number}.svg"], [])
        clock.seconds += 5
        work.finish(number)
    assert work.share() == pytest.approx(40 / 200)
    assert work.seconds_left() == pytest.approx(160)


def test_a_job_under_way_moves_the_bar_and_never_finishes_it(clock):
    work = Work({"train": 1}, 2, {"train": {"a": 100.0}}, {})
    work.begin(1, "train", "Train", ["a"], [])
    clock.seconds += 50
    assert work.share() == pytest.approx(0.5)
    clock.seconds += 1000
    assert work.share() == pytest.approx(0.95)
    assert work.seconds_left() > 0
    work.finish(1)
    assert work.share() == 1


def test_a_slower_machine_takes_longer(clock):
    work = Work({"score": 20}, 2, {}, {"score": 10.0})
    for number in range(10):
        work.begin(number, "score", "Score", [], [])
        clock.seconds += 30
        work.finish(number)
    # 10 jobs of 10 s on 2 cores, three times as slow as measured, which is believed in part.
    assert 50 < work.seconds_left() <= 150


def test_the_longest_job_is_waited_for(clock):
    work = Work({"train": 1}, 8, {"train": {"a": 100.0}}, {})
    work.begin(1, "train", "Train", ["a"], [])
    assert work.seconds_left() == 100


def test_fits_that_are_there_do_not_count(clock, tmp_path):
    (tmp_path / "there").touch()
    fits = {"train": {str(tmp_path / "there"): 1000.0, "missing": 10.0}}
    assert Work({"train": 1}, 1, fits, {}).seconds_left() == 10
    # Both run again, whatever the reason is.
    assert Work({"train": 2}, 1, fits, {}).seconds_left() == 1010


def record(event, level=logging.INFO, text=None, **fields):
    one = logging.LogRecord("snakemake", level, "", 0, text, None, None)
    one.__dict__.update(fields, event=event)
    return one


@pytest.fixture
def screen(monkeypatch, tmp_path):
    """A handler that was told of a run of two jobs, and what it wrote."""
    stream = io.StringIO()
    monkeypatch.setattr(plugin.sys, "stderr", stream)
    monkeypatch.setattr(plugin, "expected_fits", lambda configfiles: {"train": {"fits.pt": 60.0}})
    handler = plugin.LogHandler(SimpleNamespace(stdout=False), None)
    handler.emit(record(LogEvent.WORKFLOW_STARTED, configfiles=["a.yaml"]))
    handler.emit(record(LogEvent.RESOURCES_INFO, cores=2))
    handler.emit(record(LogEvent.RUN_INFO, stats={"train": 1, "plot_fig1": 1, "total": 2}))
    yield handler, stream
    handler.close()


def begin(handler, number, **fields):
    job = {"jobid": number, "rule_name": "plot_fig1", "rule_msg": "Draw Figure 1", "output": [], "log": []}
    handler.emit(record(LogEvent.JOB_INFO, **job | fields))


def test_a_result_is_named_once_it_is_there(screen):
    handler, stream = screen
    assert "2 jobs, about 1 min with 2 at once" in stream.getvalue()
    begin(handler, 1, output=["r/figures/fig1.svg", "r/figures/fig1.png"])
    begin(handler, 2, output=["r/pages/tables/scores.html"])
    assert "fig1" not in stream.getvalue()
    handler.emit(record(LogEvent.JOB_FINISHED, job_id=1))
    handler.emit(record(LogEvent.JOB_FINISHED, job_id=2))
    assert stream.getvalue().splitlines()[-1].split() == ["0:00", "r/figures/fig1.svg"]


def test_a_failed_job_names_its_log_and_other_errors_are_shown(screen):
    handler, stream = screen
    begin(handler, 1, log=["r/logs/plot_fig1.log"])
    handler.emit(record(LogEvent.JOB_ERROR, logging.ERROR, jobid=1))
    handler.emit(record(LogEvent.ERROR, logging.ERROR, "CalledProcessError: ...", exception="RuleException"))
    handler.emit(record(LogEvent.ERROR, logging.ERROR, "the folder is locked", exception="LockException"))
    handler.emit(record(None, text="Select jobs to execute..."))
    begun = "output files of rule build_index were not present when the DAG was created: index.html"
    handler.emit(record(None, logging.WARNING, f"Warning: the following {begun}"))
    handler.emit(record(None, text="Complete log(s): run.log"))
    assert stream.getvalue().splitlines()[-3:] == [
        "Failed: Draw Figure 1. See r/logs/plot_fig1.log",
        "the folder is locked",
        "Complete log(s): run.log",
    ]


def test_a_terminal_shows_one_bar_that_lines_overwrite(screen):
    handler, stream = screen
    handler.live = True
    begin(handler, 1, rule_name="train", rule_msg="Train the model", output=["fits.pt"])
    handler._show()
    assert stream.getvalue().rpartition(plugin.ERASE)[2].endswith("left · Train the model")
    handler.emit(record(None, logging.WARNING, "careful"))
    assert f"{plugin.ERASE}careful\n{plugin.ERASE}" in stream.getvalue()


def test_fits_are_expected_where_rules_write_them_and_other_jobs_take_what_was_measured():
    fits = plugin.expected_fits([str(REPOSITORY / "config" / "test.yaml")])
    assert set(fits) == {"train", "fit_baseline"}
    assert "results/test/fits/fig4/two_types_small/mean/nall-d512/fits.pt" in fits["fit_baseline"]
    measured = plugin.measured_seconds()
    assert measured["train"] > measured["evaluate"] > measured["all"] == 0


@pytest.mark.slow
def test_snakemake_finds_the_screen_and_gives_it_what_it_needs(tmp_path):
    config = str(REPOSITORY / "config" / "test.yaml")
    place = ("--directory", str(tmp_path), "--configfile", config, "--cores", "2")
    scripts = str(REPOSITORY / "workflow_scripts")
    done = snakemake(REPOSITORY, "--dry-run", "--logger", "whatwhere", *place, PYTHONPATH=scripts)
    assert done.returncode == 0, done.stderr
    # A dry run writes to stdout.
    lines = done.stdout.splitlines()
    assert lines[0] == "Planning the jobs ..."
    assert " jobs, about " in lines[1]
    assert "Reason" not in done.stdout
