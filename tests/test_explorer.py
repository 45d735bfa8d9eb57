"""The explorer in a browser: what it shows, sorts, filters, compares and exports."""

import base64
import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser import from_the_network, opened
from conftest import REPOSITORY
from PIL import Image

from whatwhere import thumbnails
from whatwhere.explorer_views import view
from whatwhere.files import write_netcdf

pytestmark = pytest.mark.slow
LABELS = {"ridge": "ridge on pixels", "network": "network"}
DATASETS = {"v1": "mouse V1", "v4": "macaque V4"}


def described(n_neurons, seed, *, pictures, size=(30, 40)):
    """Description of neurons: complete, or only scores."""
    rng = np.random.default_rng(seed)
    known = xr.Dataset(
        {
            "neuron_id": ("neuron", [f"cell {index}" for index in range(n_neurons)]),
            "correlation": ("neuron", rng.uniform(0, 1, n_neurons)),
            "cc_max": ("neuron", rng.uniform(0.5, 1, n_neurons)),
            "feve": ("neuron", rng.uniform(0, 1, n_neurons)),
            "measured": (("neuron", "shown"), rng.poisson(3, (n_neurons, 60)).astype(np.float32)),
            "predicted": (("neuron", "shown"), rng.uniform(0, 5, (n_neurons, 60)).astype(np.float32)),
        },
        coords={"neuron": 2 * np.arange(n_neurons)},
    )
    if not pictures:
        return known
    places = rng.integers(0, 30, (2, n_neurons)).astype(float)
    return known.assign(
        cell_type=("neuron", np.arange(n_neurons) % 3),
        cluster=("neuron", np.arange(n_neurons) % 2),
        row=("neuron", places[0]),
        column=("neuron", places[1]),
        mask=(("neuron", "mask_y", "mask_x"), rng.normal(size=(n_neurons, size[0] - 4, size[1] - 4))),
        barcode=(("neuron", "feature"), rng.normal(size=(n_neurons, 16))),
        average=(("neuron", "y", "x"), rng.normal(size=(n_neurons, *size))),
        image=(("neuron", "channel", "y", "x"), rng.normal(size=(n_neurons, 1, *size))),
        confirmed=("neuron", rng.uniform(0.5, 1, n_neurons)),
    )


def build(folder, models, page):
    """Runs the script in a process of its own, as the workflow does."""
    names = [dict(zip(("experiment", "dataset", "model"), key, strict=True)) for key in models]
    paths = [str(folder / f"{'-'.join(key)}.nc") for key in models]
    known = f"{paths}, {names}, {LABELS}, {DATASETS}, 'mine', {str(page)!r}"
    code = f"import build_explorer; build_explorer.main({known})"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow_scripts")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two models of a dataset, the first known for half of its neurons, and two fits to another dataset."""
    folder = tmp_path_factory.mktemp("neurons")
    models = {
        ("first", "v1", "ridge"): described(15, 1, pictures=False),
        ("first", "v1", "network"): described(30, 2, pictures=True),
        ("second", "v4", "network"): described(7, 3, pictures=True),
        ("third", "v4", "network"): described(7, 4, pictures=True),
    }
    for (experiment, dataset, model), known in models.items():
        write_netcdf(known, folder / f"{experiment}-{dataset}-{model}.nc")
    build(folder, models, folder / "explore.html")
    return folder / "explore.html", models


@pytest.fixture(scope="module")
def browser(files):
    with opened(files[0].parent) as chrome:
        yield chrome


@pytest.fixture
def page(browser, files):
    """The page as it opens."""
    return open_page(browser, files[0])


def open_page(browser, path):
    browser.get(path.as_uri())
    wait(browser, lambda b: "shown" in text(b, "count"))
    return browser


def wait(browser, condition):
    from selenium.webdriver.support.wait import WebDriverWait

    return WebDriverWait(browser, 30, poll_frequency=0.05).until(condition)


PAGE = """
const named = (name) => Bokeh.documents[0].get_model_by_name(name);
const find = (selector, root = document) => [
  ...root.querySelectorAll(selector),
  ...[...root.querySelectorAll("*")].flatMap((one) => (one.shadowRoot ? find(selector, one.shadowRoot) : [])),
];
"""
"""Functions for models of the page by name, and for elements, also within the shadow of a Bokeh model."""


def do(browser, code, *arguments):
    return browser.execute_script(f"{PAGE} {code}", *arguments)


def ask(browser, code, *arguments):
    """Value of an expression of JavaScript."""
    return do(browser, f"return {code}", *arguments)


def text(browser, name):
    return ask(browser, f"window.Bokeh && Bokeh.documents.length ? named('{name}').text : ''")


def shown(browser):
    return ask(browser, "named('table').view.filter.indices")


def rows(browser):
    """Text of the cells of the visible rows of the table, from the top."""
    return ask(
        browser,
        """find(".slick-row")
          .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
          .map((row) => [...row.querySelectorAll(".slick-cell")].map((cell) => cell.textContent.trim()))""",
    )


def inside(browser, selector, index=0):
    return ask(browser, "find(arguments[0])[arguments[1]]", selector, index)


def heading(browser, title):
    code = "find('.slick-header-column').find((one) => one.textContent.trim() === arguments[0])"
    return ask(browser, code, title)


def test_it_opens_with_all_neurons_of_the_first_model_that_has_pictures(page, files):
    assert text(page, "count") == "<b>30</b> of 30 neurons shown, <b>0</b> selected"
    assert ask(page, "named('model').value") == "network"
    first = wait(page, rows)[0]
    known = files[1]["first", "v1", "network"]
    assert first[0] == "cell 0"
    assert first[6] == f"{known['correlation'].values[0]:.2f}"
    loaded = "const image = arguments[0]; return image.naturalWidth"
    assert page.execute_script(loaded, inside(page, ".slick-row img")) == 40


def test_a_click_on_a_heading_sorts(page, files):
    wait(page, rows)
    heading(page, "correlation").click()
    values = wait(page, lambda b: [float(row[6]) for row in rows(b)])
    assert values == sorted(values)
    heading(page, "correlation").click()
    wait(page, lambda b: float(rows(b)[0][6]) > 0.5)
    values = [float(row[6]) for row in rows(page)]
    assert values == sorted(values, reverse=True)
    assert values[0] == round(float(files[1]["first", "v1", "network"]["correlation"].max()), 2)


def test_filters_leave_the_neurons_that_pass_all_of_them(page, files):
    known = files[1]["first", "v1", "network"]
    do(page, "named('types').value = ['1', '3']; named('range').value = [0.3, 0.9]")
    passed = (
        np.isin(known["cell_type"], [0, 2]) & (known["correlation"] >= 0.3) & (known["correlation"] <= 0.9)
    )
    expected = np.flatnonzero(passed).tolist()
    wait(page, lambda b: shown(b) == expected)
    wait(page, lambda b: {row[4] for row in rows(b)} == {"1", "3"})
    do(page, "named('types').value = []; named('range').value = [-1, 1]; named('clusters').value = ['2']")
    wait(page, lambda b: shown(b) == list(range(1, 30, 2)))
    do(page, "named('clusters').value = []; named('name').value = 'cell 2'")
    wait(page, lambda b: shown(b) == [2, *range(20, 30)])


def test_a_click_on_a_row_shows_the_neuron(page, files):
    wait(page, rows)
    inside(page, ".slick-row .slick-cell", 0).click()
    wait(page, lambda b: "Neuron cell" in text(b, "detail"))
    (index,) = ask(page, "named('table').source.selected.indices")
    assert f"Neuron cell {index}<" in text(page, "detail")
    assert text(page, "detail").count("<img") == 3
    measured = files[1]["first", "v1", "network"]["measured"].values[index]
    assert ask(page, "named('points').data_source.data.measured") == measured.tolist()


def test_a_model_that_knows_half_of_the_neurons_is_compared_by_neuron(page, files):
    ridge = files[1]["first", "v1", "ridge"]
    other = ask(
        page, "[...named('table').source.data.other].map((value) => Number.isNaN(value) ? null : value)"
    )
    np.testing.assert_allclose(other[:15], ridge["correlation"], rtol=1e-4)
    assert other[15:] == [None] * 15
    do(page, "named('table').source.selected.indices = [3, 20]")
    do(page, "named('model').value = 'ridge on pixels'; named('other').value = 'network'")
    wait(page, lambda b: text(b, "count") == "<b>15</b> of 15 neurons shown, <b>1</b> selected")
    assert ask(page, "named('table').source.selected.indices") == [3]
    assert text(page, "detail").count("<img") == 0


def test_another_dataset_brings_its_own_neurons_and_models(page):
    do(page, "named('table').source.selected.indices = [3]; named('dataset').value = 'macaque V4'")
    wait(page, lambda b: text(b, "count") == "<b>7</b> of 7 neurons shown, <b>0</b> selected")
    assert ask(page, "named('model').options") == ["network (second)", "network (third)"]
    assert len(wait(page, rows)) == 7


def download(page, folder):
    do(page, "find('button').find((button) => button.textContent.startsWith('export')).click()")
    path = folder / "downloads" / "neurons.csv"
    # The browser first takes the name with an empty file, which it then replaces by the whole one.
    wait(page, lambda b: path.is_file() and path.stat().st_size)
    table = pd.read_csv(path)
    path.unlink()
    return table


def test_the_selection_is_exported_as_a_table(page, files):
    known = files[1]["first", "v1", "network"]
    do(page, "named('table').source.selected.indices = [20, 4]")
    wait(page, lambda b: "<b>2</b> selected" in text(b, "count"))
    table = download(page, files[0].parent)
    assert table["neuron"].tolist() == [8, 40]
    assert table["neuron_id"].tolist() == ["cell 4", "cell 20"]
    np.testing.assert_allclose(table["correlation"], known["correlation"].values[[4, 20]], rtol=1e-4)
    assert table["model"].tolist() == ["network"] * 2
    assert table["correlation_compared"].isna().tolist() == [False, True]


def test_without_a_selection_everything_shown_is_exported(page, files):
    do(page, "named('types').value = ['2']")
    wait(page, lambda b: len(shown(b)) == 10)
    assert download(page, files[0].parent)["type"].tolist() == [2] * 10


def test_a_box_in_a_map_selects_rows(page, files):
    from selenium.webdriver.common.action_chains import ActionChains

    wait(page, rows)
    place = inside(page, ".bk-Figure", 0)
    ActionChains(page).move_to_element_with_offset(place, -90, -90).click_and_hold().move_by_offset(
        170, 170
    ).release().perform()
    wait(page, lambda b: ask(b, "named('table').source.selected.indices.length") > 2)
    selected = ask(page, "named('table').source.selected.indices")
    box = ask(page, "named('visual field').renderers[0].data_source.selected.indices")
    assert sorted(selected) == sorted(box)
    # A box: every neuron that looks between the selected neurons is selected.
    everyone = files[1]["first", "v1", "network"][["row", "column"]].to_array().values
    places = everyone[:, selected]
    between = (everyone >= places.min(1)[:, None]) & (everyone <= places.max(1)[:, None])
    assert np.flatnonzero(between.all(0)).tolist() == sorted(selected)
    assert f"<b>{len(selected)}</b> selected" in text(page, "count")


def test_it_asks_the_network_for_nothing_and_reports_no_error(page):
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert from_the_network(page) == []


def test_the_page_of_two_thousand_neurons_is_small_and_filters(tmp_path, browser):
    from whatwhere.explorer import write

    views = {("v1", "network"): view(described(2000, 1, pictures=True, size=(36, 64)))}
    path = tmp_path / "explore.html"
    write(views, "explorer", path)
    assert path.stat().st_size < 15e6
    open_page(browser, path)
    assert "2000" in text(browser, "count")
    wait(browser, rows)
    do(browser, "named('types').value = ['2']")
    wait(browser, lambda b: len(shown(b)) == 667)


def test_equal_neurons_give_equal_bytes(files):
    again = files[0].with_name("again.html")
    build(files[0].parent, files[1], again)
    assert again.read_bytes() == files[0].read_bytes()


def test_thumbnails_show_what_they_are_given():
    def decode(code):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("RGB")).astype(int)

    image = np.zeros((1, 20, 30))
    image[0, 5, 7], image[0, 9, 9] = 2.0, -1.0
    grey = decode(thumbnails.picture(image))
    assert grey.shape == (20, 30, 3)
    assert grey[5, 7].tolist() == [255] * 3
    assert abs(grey[0, 0] - 128).max() <= 1
    assert abs(grey[9, 9] - 64).max() <= 1
    mask = np.zeros((10, 20))
    mask[2, 3] = -1
    shown = decode(thumbnails.mask_on_average(mask, np.zeros((20, 30))))
    assert shown[7, 8, 0] - shown[7, 8, 2] > 150
    assert np.ptp(shown[0, 0]) < 20
    strip = decode(thumbnails.barcode(np.array([1.0, 0.0, -1.0])))
    assert strip[0, 0, 0] > strip[0, 0, 2] + 100
    assert strip[0, 1].tolist() == [255] * 3
    assert strip[0, 2, 2] > strip[0, 2, 0] + 100


def test_a_clip_is_an_animation_oldest_frame_first():
    clip = np.zeros((3, 4, 5))
    clip[0, 1, 2], clip[2, 3, 3] = 1.0, -1.0
    animation = Image.open(io.BytesIO(base64.b64decode(thumbnails.animation(clip, 3))))
    assert (animation.n_frames, animation.size) == (3, (5, 4))
    frames = []
    for frame in range(3):
        animation.seek(frame)
        frames.append(np.asarray(animation.convert("L")).astype(int))
    assert frames[0][3, 3] == 0
    assert frames[2][1, 2] == 255
    assert abs(frames[1] - 128).max() <= 1


def movie(known):
    """A description with the times of a movie and the courses of its neurons."""
    n_neurons = known.sizes["neuron"]
    courses = np.random.default_rng(0).normal(size=(n_neurons, 4))
    images = np.random.default_rng(1).normal(size=(n_neurons, 4, 30, 40))
    timing = {"lags": 4, "frames_per_second": 50.0, "seconds_per_bin": 0.04, "latency_frames": 1}
    return (
        known.drop_vars("image")
        .assign(course=(("neuron", "lag"), courses), image=(("neuron", "channel", "y", "x"), images))
        .assign_attrs(timing)
    )


def test_a_neuron_of_a_movie_shows_its_responses_and_course_in_time(tmp_path, browser):
    from whatwhere.explorer import write

    known = movie(described(5, 1, pictures=True))
    write({("film", "network"): view(known)}, "Explorer", tmp_path / "explore.html")
    open_page(browser, tmp_path / "explore.html")
    do(browser, "named('table').source.selected.indices = [3]")
    wait(browser, lambda b: visible(b, "test images", "test bins", "course in time") == [False, True, True])
    drawn = ask(browser, "named('test bins').renderers.map((one) => [one.name, one.data_source.data])")
    for (name, data), expected in zip(drawn, ("measured", "predicted"), strict=True):
        assert name == expected
        assert data["y"] == pytest.approx(known[name].values[3], rel=0.01)
        assert data["x"][:2] == pytest.approx([0, 0.04])
    course = ask(browser, "named('course in time').renderers[0].data_source.data")
    assert course["x"] == pytest.approx([20, 40, 60, 80])
    assert course["y"] == pytest.approx(known["course"].values[3], rel=0.01)


def test_large_maps_are_shrunk_and_keep_their_proportions():
    code = thumbnails.picture(np.random.default_rng(0).normal(size=(3, 100, 200)))
    assert Image.open(io.BytesIO(base64.b64decode(code))).size == (48, 24)


def test_what_is_not_known_is_left_empty():
    table = view(described(4, 1, pictures=False))
    assert (table[["look", "want", "code", "type", "cluster"]] == "").all(axis=None)
    assert table[["row", "column", "first", "confirmed"]].isna().all(axis=None)
    assert table["correlation"].notna().all()


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A dataset without ceilings before one with ceilings, of which some models have no masks."""
    from whatwhere.explorer import write

    known = described(10, 4, pictures=True)
    views = {
        ("noise-free", "network"): view(known.drop_vars("cc_max")),
        ("v1", "network"): view(known),
        ("v1", "mean"): view(known[["neuron_id", "measured", "predicted"]]),
        ("v1", "poor"): view(known.assign(correlation=known["correlation"] / 2).drop_vars("barcode")),
        ("v1", "good"): view(known.assign(correlation=known["correlation"] / 1.1).drop_vars("barcode")),
    }
    path = tmp_path_factory.mktemp("several") / "explore.html"
    write(views, "Explorer", path)
    return path


def visible(browser, *names):
    return [ask(browser, f"named('{name}').visible") for name in names]


MAPS = ("visual field", "barcodes", "noise ceiling", "two models")


def test_it_opens_on_a_dataset_with_ceilings_beside_the_best_of_the_other_models(several, browser):
    open_page(browser, several)
    names = "[named('dataset').value, named('model').value, named('other').value]"
    assert ask(browser, names) == ["v1", "network", "good"]
    assert visible(browser, *MAPS, "notice", "test images") == [True] * 4 + [False] * 2
    axes = "[named('two models').below[0].axis_label, named('two models').left[0].axis_label]"
    assert ask(browser, axes) == ["good", "network"]


def test_what_is_not_known_is_said_and_not_shown_empty(several, browser):
    open_page(browser, several)
    do(browser, "named('dataset').value = 'noise-free'")
    wait(browser, lambda b: "The noise ceiling is not known" in text(b, "notice"))
    assert visible(browser, *MAPS) == [True, True, False, False]
    assert heading(browser, "ceiling") is None
    do(browser, "named('dataset').value = 'v1'")
    wait(browser, lambda b: not ask(b, "named('notice').visible"))
    do(browser, "named('model').value = 'mean'")
    wait(browser, lambda b: "<i>mean</i> has no masks, no exciting images, no barcodes" in text(b, "notice"))
    assert visible(browser, *MAPS[:2]) == [False, False]
    assert heading(browser, "mask on average") is None
    do(browser, "named('model').value = 'network'")
    wait(browser, lambda b: not ask(b, "named('notice').visible"))
    assert heading(browser, "mask on average") is not None


def test_the_order_stays_when_neurons_or_another_model_are_selected(several, browser):
    open_page(browser, several)
    wait(browser, rows)
    heading(browser, "correlation").click()
    order = wait(browser, lambda b: [row[0] for row in rows(b)])
    assert order != sorted(order)
    do(browser, "named('table').source.selected.indices = [9]; named('model').value = 'good'")
    wait(browser, lambda b: text(b, "count").endswith("<b>1</b> selected") and not heading(b, "barcode"))
    assert [row[0] for row in rows(browser)] == order


@pytest.mark.parametrize("width", [1000, 1280])
def test_the_page_fits_the_width_of_its_frame(several, browser, width, tmp_path):
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe src="{several.as_uri()}" style="width:{width}px;height:700px"></iframe>')
    browser.get(frame.as_uri())
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    wait(browser, lambda b: "shown" in text(b, "count"))
    inner, whole = browser.execute_script(
        "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert whole <= inner
    browser.switch_to.default_content()
