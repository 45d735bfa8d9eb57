import sys

from whatwhere.logs import ERASE
from whatwhere.training import progress as module
from whatwhere.training.progress import Screen


def test_the_share_is_that_of_the_work_and_says_what_is_left(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    screen = Screen({"ridge": 1.0, "network": 3.0, "ensemble": 0.0}, verbose=True)
    screen.begin("ridge")
    now[0] = 25.0
    screen.begin("network")
    now[0] = 26.0
    screen.advance(0.1)  # too soon after the last line
    now[0] = 50.0
    screen.advance(1 / 3)
    screen.end("done")
    assert capsys.readouterr().err.splitlines() == [
        "  0 %: ridge (1 of 3)",
        " 25 %, about 1:15 left: network (2 of 3)",
        " 50 %, about 0:50 left: network (2 of 3)",
        "done",
    ]


def test_a_terminal_shows_one_line_that_is_updated(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    screen = Screen({"ridge": 1.0}, verbose=True)
    screen.begin("ridge")
    screen.end("done")
    assert capsys.readouterr().err == f"{ERASE}  0 %: ridge (1 of 1){ERASE}done\n"
