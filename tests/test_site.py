"""The documentation site: built without network, with warnings as errors, and read in a browser."""

import os
import re
import subprocess
import sys

import pytest
from browser import from_the_network, opened
from conftest import REPOSITORY
from repository_copy import OFFLINE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def site(made_once):
    """Folder of the site; tutorials are executed."""

    def make(folder):
        command = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "docs", str(folder)]
        done = subprocess.run(
            [sys.executable, *command],
            cwd=REPOSITORY,
            env=os.environ | OFFLINE,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    return made_once("site", make)


def test_the_makefile_builds_the_site_as_this_test_does():
    recipe = (REPOSITORY / "Makefile").read_text()
    assert "sphinx-build -W --keep-going -q -b html docs site" in recipe


def test_every_page_is_reached_from_the_first_page(site):
    pages = {str(path.relative_to(site)) for path in site.rglob("*.html") if "_static" not in path.parts}
    reached, waiting = set(), ["index.html"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        text = (site / page).read_text(encoding="utf-8")
        for link in re.findall(r'href="([^"#:]+\.html)', text):
            waiting.append(os.path.normpath(os.path.join(os.path.dirname(page), link)))
    assert reached <= pages
    assert pages - reached == set()


@pytest.mark.parametrize(("page", "pictures"), [("arrays", 3), ("cell_types", 1), ("state", 1)])
def test_tutorials_show_what_their_programs_print_and_draw(site, page, pictures):
    text = (site / "tutorials" / f"{page}.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<img[^>]+src="\.\./_images/[0-9a-f]{40,}\.png', text)) == pictures
    assert text.count('class="cell_output') > pictures


def test_the_reference_describes_the_library(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    for name in ("whatwhere.api.fit", "whatwhere.api.load", "whatwhere.fitted.model.FittedModel.predict"):
        assert f'id="{name}"' in text


def test_pages_fit_a_small_window_and_ask_nothing_of_the_network(site, tmp_path):
    with opened(tmp_path) as browser:
        browser.set_window_size(1280, 885)
        for page in ("index", "start", "model", "recordings", "gallery", "api", "tutorials/arrays"):
            browser.get((site / f"{page}.html").as_uri())
            wide = "return document.documentElement.scrollWidth > window.innerWidth"
            assert not browser.execute_script(wide), page
            broken = "return [...document.images].filter(one => !one.naturalWidth).map(one => one.src)"
            assert browser.execute_script(broken) == [], page
        assert from_the_network(browser) == []
