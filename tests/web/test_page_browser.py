"""The page in a real browser: see `chromium`."""

import io
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from darac_tf.web.collection import Collection
from tests.helpers import write_image
from tests.search.collection import run
from tests.search.small_model import StandIn
from tests.web.chromium import Chromium
from tests.web.conftest import ODD_NAMES, write_pictures

pytestmark = pytest.mark.slow

SEARCHED = "document.querySelector('#line').textContent.startsWith('Most')"
NAMES = "[...document.querySelectorAll('#results .name')].map(e => e.textContent)"
SHOWN = (
    "(() => { const i = [...document.querySelectorAll('#results img')];"
    "return i.length > 0 && i.every(e => e.complete && e.naturalWidth > 0) })()"
)


class Model(StandIn):
    """Colours of a 4 x 4 reduction, by Pillow."""

    max_pixels = 10**7

    def __call__(self, data):
        vectors = []
        for each in data:
            with Image.open(io.BytesIO(each)) as image:
                small = np.asarray(image.convert("RGB").resize((4, 4), Image.BOX), np.float32)
            vectors.append(small.ravel() - 127.5)
        vectors = np.stack(vectors)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / lengths, np.ones(len(vectors), bool)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    with Chromium(folder) as opened:
        yield opened


@pytest.fixture
def serve(tmp_path, served):
    """Indexes a folder and returns the address of its page."""

    def begin(photos, has_thumbnails=False):
        run(tmp_path / "index", photos, model=Model())
        collection = Collection(tmp_path / "index", Model(), 10**7)
        if has_thumbnails:
            data = collection.thumbnail(collection.snapshot, 0)
            for key in collection.snapshot.keys:
                collection.thumbnails.put(key.tobytes(), data)
        return served(collection)[0]

    return begin


@pytest.fixture
def photos(tmp_path):
    write_pictures(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def page(browser, serve, photos):
    browser.faults.clear()
    browser.open(serve(photos))
    browser.wait("document.querySelectorAll('#results .tile').length === 12")
    yield browser
    faults = list(browser.faults)
    browser.open("about:blank")  # Before what it asks has ended.
    assert faults == []


def test_drop_box_more_like_this_and_keys(page, photos):
    page.drop(photos / "a" / "2.png")
    page.wait(SEARCHED)
    assert page.run(NAMES)[0] == "a/2.png" and len(page.run(NAMES)) == 12
    page.wait(SHOWN)
    # The first result is looked at, and a part of it is drawn.
    page.key("ArrowRight")
    page.key("Enter", "\r")
    page.wait("document.querySelector('#viewer').open")
    page.wait("document.querySelector('#viewer img').naturalWidth > 900")
    where = "document.querySelector('#viewer img').getBoundingClientRect()"
    left, top, width, height = page.run(f"(r => [r.left, r.top, r.width, r.height])({where})")
    corners = [(left + x * width, top + y * height) for x, y in ((0.3, 0.2), (0.7, 0.8))]
    page.drag(*corners)
    page.wait("!document.querySelector('#viewer .box').hidden")
    page.run("document.querySelector('#viewer .search').click()")
    page.wait(SEARCHED)
    page.wait("!document.querySelector('.part .cut').hidden")
    assert page.run("document.querySelectorAll('.part').length") == 1
    # The best match of the part is drawn from the whole picture, so it is less than the same.
    score = "parseFloat(document.querySelector('#results .score').textContent)"
    assert page.run(score) < 0.999
    # Search with another one, add a third, not like a fourth, and back.
    page.run("document.querySelectorAll('#results .tile .search')[3].click()")
    page.wait(f"{SEARCHED} && {score} === 1")
    page.run("document.querySelectorAll('#results .tile .look')[2].focus()")
    page.key("+", "+")
    # What is focused goes when the results of the new query take its place.
    page.wait("document.querySelectorAll('.tile.is-query').length === 2")
    page.run("document.querySelectorAll('#results .tile .look')[5].focus()")
    page.key("-", "-")
    page.wait("document.querySelectorAll('.part.not').length === 1")
    page.wait(f"{SEARCHED} && document.querySelectorAll('.tile.is-query').length === 3")
    page.run("history.back()")
    page.wait("document.querySelectorAll('.part').length === 2")
    page.key("Escape")
    page.wait("document.querySelectorAll('.part').length === 0")


def test_pictures_are_pasted_and_chosen(page, photos):
    page.paste(photos / "a" / "2.png")
    page.wait(SEARCHED)
    assert page.run(NAMES)[0] == "a/2.png"
    # What is chosen is added to a query, and begins one where there is none.
    page.choose("#files", photos / "b" / "1.png")
    page.wait(f"{NAMES}.slice(0, 2).sort().join() === 'a/2.png,b/1.png'")
    assert page.run("document.querySelectorAll('.part').length") == 2
    page.run("document.querySelector('#clear').click()")
    page.wait("document.querySelectorAll('.part').length === 0")
    page.choose("#files", photos / "a" / "2.png")
    page.wait("document.querySelectorAll('.part').length === 1")
    page.wait(SEARCHED)
    assert page.run(NAMES)[0] == "a/2.png"


def test_odd_names_are_text_and_their_pictures_are_shown(page, photos):
    page.wait(SHOWN)
    names = page.run(NAMES)
    assert "b/<img src=x onerror=alert(1)>.png" in names
    assert "b/a\\u000ab\\udcff.png" in names and "b/\"'&\\u202e.png" in names
    assert page.run("document.querySelectorAll('img[src=x]').length") == 0
    page.drop(os.fsdecode(os.fsencode(photos / "b") + b"/" + ODD_NAMES[0]))
    page.wait(SEARCHED)
    assert page.run(NAMES)[0] == "b/<img src=x onerror=alert(1)>.png"


def test_folder_duplicates_and_an_index_that_grows(page, photos, tmp_path):
    page.run("(f => { f.selectedIndex = 1; f.onchange() })(document.querySelector('#folder'))")
    page.wait("document.querySelectorAll('#results .tile').length === 5")
    page.key("d", "d")
    page.run("(t => { t.value = t.min; t.oninput() })(document.querySelector('#threshold'))")
    page.wait("document.querySelectorAll('.group').length > 0")
    text = "[...document.querySelectorAll('.group h2')].map(e => e.textContent)"
    page.wait(f"{text}.some(t => t.startsWith('2 files, up to 1.0000'))")
    page.key("d", "d")
    write_image(photos / "c" / "new.png", 30, 30, seed=50)
    run(tmp_path / "index", photos, model=Model())
    page.wait("!document.querySelector('#news').hidden")
    assert "1 more images are in the index" in page.run("document.body.innerText")
    page.run("document.querySelector('#news button').click()")
    page.wait("document.querySelector('#count').textContent === '13 images'")


def test_rows_of_an_index_that_was_rewritten_are_forgotten(page, photos, tmp_path):
    page.run("document.querySelectorAll('#results .tile .search')[3].click()")
    page.wait(SEARCHED)
    page.drop(photos / "b" / "1.png")
    page.wait(f"{SEARCHED} && document.querySelectorAll('.part').length === 1")
    page.run("history.back()")
    page.wait("document.querySelector('.part img')?.src.includes('/thumbnail/')")
    shutil.rmtree(photos / "a")
    run(tmp_path / "index", photos, model=Model())
    # Another window, or `darac query`, has the page take it in.
    page.run("fetch('take_in', {method: 'POST', body: '{}'}).then(() => 0)")
    page.wait("document.querySelector('#count').textContent === '8 images'")
    page.wait("document.querySelectorAll('#results .tile').length === 8")
    assert page.run("document.querySelectorAll('.part').length") == 0
    page.run("history.forward()")
    page.wait(f"{SEARCHED} && document.querySelectorAll('.part').length === 1")
    assert page.run(NAMES)[0] == "1.png"


def test_a_part_that_is_being_described_keeps_its_sign(page, photos):
    sign = "document.querySelector('.part .sign')"
    page.drop(photos / "a" / "2.png")
    page.wait(f"{sign}?.disabled === true || {SEARCHED}")
    page.wait(f"{SEARCHED} && !{sign}.disabled")
    page.run(f"{sign}.click()")
    page.wait(f"{SEARCHED} && document.querySelectorAll('.part.not').length === 1")


def test_what_is_no_picture_is_said_and_the_query_goes(page, tmp_path):
    (tmp_path / "none.png").write_bytes(b"no picture")
    page.drop(tmp_path / "none.png")
    page.wait("!document.querySelector('#alert').hidden")
    assert "cannot be decoded" in page.run("document.querySelector('#alert').textContent")
    page.wait("document.querySelectorAll('.part').length === 0")
    page.run("history.back()")
    page.run("history.forward()")
    page.wait("document.querySelectorAll('#results .tile').length === 12")
    assert page.run("document.querySelectorAll('.part').length") == 0
    # The page asked in vain, which the browser notes.
    assert all("status of 400" in fault for fault in page.faults)
    page.faults.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone_and_is_dark_where_that_is_wanted(page, tmp_path, scheme):
    address = page.run("location.href")
    page.open(address, 390, 800, scheme)
    page.wait("document.querySelectorAll('#results .tile').length === 12")
    page.wait(SHOWN)
    assert page.run("document.documentElement.scrollWidth") <= 390
    page.screenshot(tmp_path / "shot.png")
    with Image.open(tmp_path / "shot.png") as shot:
        corner = np.mean(shot.getpixel((3, 790))[:3])
    assert corner > 200 if scheme == "light" else corner < 60


def test_ten_thousand_thumbnails_scroll_without_a_stutter(browser, serve, tmp_path):
    kinds = [write_image(tmp_path / f"{n}.png", 40, 40, seed=n) for n in range(10)]
    for number in range(10_000):
        path = tmp_path / "many" / f"{number // 1000}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kinds[number % 10], path)
        with path.open("ab") as file:
            file.write(number.to_bytes(4))  # So that each is a content of its own.
    browser.faults.clear()
    browser.open(serve(tmp_path / "many", has_thumbnails=True))
    browser.wait("document.querySelectorAll('#results .tile').length > 0")
    # From top to bottom: the time between frames while pages come and pictures are shown.
    gaps = browser.run("""new Promise(done => {
        const gaps = [], begun = performance.now(); let last = begun;
        const frame = now => {
            gaps.push(now - last); last = now;
            scrollBy(0, 1000);
            const all = Number(document.querySelector('#results').dataset.count);
            const isEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
            const isLate = now - begun > 150000;
            if ((all === 10000 && isEnd) || isLate) done(gaps); else requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
    })""")
    assert browser.run("document.querySelector('#results').dataset.count") == "10000"
    # On busy cores a frame may take any time, but not more where there is more above it.
    first, *_, last = (np.median(part) for part in np.array_split(gaps, 4))
    assert last < 2 * first + 17, (first, last)
    browser.wait(
        "[...document.querySelectorAll('#results img')].slice(-5).every(e => e.naturalWidth > 0)"
    )
    assert browser.faults == []
