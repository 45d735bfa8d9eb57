"""The report of a small run, made by Snakemake and read in a browser without network."""

import re

import pandas as pd
import pytest
from browser import from_the_network, opened
from conftest import resolved

from whatwhere.config.files import read

pytestmark = pytest.mark.slow

PICTURES = "#app img[src^=data], iframe"


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def browser(chrome, finished_run):
    """The report as it opens."""
    chrome.get((finished_run / "results" / "test" / "report.html").as_uri())
    return chrome


def wait(browser, condition):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 60).until(condition)


def click(browser, element):
    # The menu slides in: a click by coordinates could miss.
    browser.execute_script("arguments[0].click()", element)


def open_category(browser, name):
    """Go to a category by the menu, whatever is shown."""
    click(browser, wait(browser, lambda b: b.find_element("css selector", "nav nav a")))
    click(browser, wait(browser, lambda b: b.find_element("xpath", f"//li/a[span='{name}']")))
    return wait(browser, lambda b: b.find_elements("css selector", "nav tbody tr"))


def results(browser):
    return browser.execute_script("return results")


def test_the_report_shows_every_figure_and_page(browser):
    shown = 0
    for category in browser.execute_script("return Object.keys(categories)"):
        for row in open_category(browser, category):
            click(browser, row.find_element("css selector", "td:last-child a"))
            picture = wait(browser, lambda b: b.find_elements("css selector", PICTURES))[-1]
            if picture.tag_name == "img":
                wait(browser, lambda b, img=picture: img.get_property("naturalWidth") > 100)
            else:
                browser.switch_to.frame(picture)
                assert len(wait(browser, lambda b: b.find_element("tag name", "h1")).text) > 5
                browser.switch_to.default_content()
            shown += 1
    assert shown == len(results(browser))
    kinds = {path.rsplit(".", 1)[1] for path in results(browser)}
    assert kinds == {"svg", "html"}


def test_every_result_has_a_caption_that_says_what_to_see(browser):
    for path, result in results(browser).items():
        text = re.sub("<[^>]*>", "", result["caption"]).strip()
        assert len(text) > 60, path
        assert "{{" not in text


def test_a_caption_and_the_code_of_its_rule_can_be_opened(browser):
    row = open_category(browser, "Answers")[0]
    click(browser, row.find_elements("css selector", "td:last-child a")[1])
    wait(browser, lambda b: "the paper's own value" in b.find_element("tag name", "body").text)
    click(browser, wait(browser, lambda b: b.find_element("xpath", "//span[span='answer_questions']/a")))
    code = "Answers the questions of a run from its tables"
    wait(browser, lambda b: code in b.find_element("tag name", "body").text)


def test_the_front_page_and_the_statistics_draw(browser):
    wait(browser, lambda b: b.find_elements("css selector", "#app canvas, #app svg.marks"))
    assert "Klindt, Ecker, Euler & Bethge" in browser.find_element("tag name", "body").text
    click(browser, browser.find_element("xpath", "//li/a[span='Statistics']"))
    wait(browser, lambda b: len(b.find_elements("css selector", "#app canvas, #app svg.marks")) >= 2)


def test_the_report_holds_the_explorer_of_all_neurons(browser):
    report = browser.current_window_handle
    wait(browser, lambda b: b.find_element("xpath", "//button[text()='Explorer of all neurons']")).click()
    wait(browser, lambda b: len(b.window_handles) == 2)
    (tab,) = set(browser.window_handles) - {report}
    browser.switch_to.window(tab)
    count = "return window.Bokeh?.documents[0]?.get_model_by_name('count').text ?? ''"
    wait(browser, lambda b: "<b>20</b> of 20 neurons" in b.execute_script(count))
    browser.close()
    browser.switch_to.window(report)


def test_the_browser_reports_no_error_and_asks_the_network_for_nothing(browser):
    for category in ("Answers", "Run", "Tables"):
        row = open_category(browser, category)[0]
        click(browser, row.find_element("css selector", "td:last-child a"))
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert from_the_network(browser) == []


def test_the_configuration_beside_the_report_is_the_merged_one(finished_run):
    assert read(finished_run / "results" / "test" / "config.yaml") == resolved("test.yaml")


def test_the_last_job_of_every_rule_is_timed(finished_run):
    times = pd.read_csv(finished_run / "results" / "test" / "tables" / "run_times.csv", index_col="rule")
    assert times.loc["train", "n_jobs"] == 2
    assert {"simulate", "evaluate", "plot_fig4", "answer_questions"} <= set(times.index)
    assert times["seconds"].iloc[-1] == pytest.approx(times["seconds"].iloc[:-1].sum())


def test_the_answers_of_the_run_are_those_of_its_tables(finished_run):
    tables = finished_run / "results" / "test" / "tables"
    answers, summary = (pd.read_csv(tables / f"{name}.csv") for name in ("answers", "summary"))
    asked = "question == 3 and model == 'factorized_small' and against == 'ridge'"
    (row,) = answers.query(asked).to_dict("records")
    condition = summary[(summary.n_images == row["n_images"]) & (summary.selection == row["selection"])]
    pooled = condition.set_index("model").feve_pooled
    assert row["value"] == pytest.approx(pooled["factorized_small"] - pooled["ridge"])
    assert row["low"] < row["value"] < row["high"]
    assert row["n_images"] == summary.n_images.max()
    (absent,) = answers[answers.question == 1].to_dict("records")
    assert absent["comparison"] == "not part of this run"
