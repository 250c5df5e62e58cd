"""The page in a real Chromium: what is seen, moved, zoomed and asked for."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.report.conftest import COLOURS, make_test_run, report_of

pytest.importorskip('selenium', reason='selenium is not installed: pip install selenium')
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
CHROMEDRIVER = shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason="no chromium and chromedriver here: Debian's packages chromium, chromium-driver",
)
SWITCHES = (
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--force-prefers-reduced-motion',  # no smooth scrolling to wait for
    '--force-color-profile=srgb',
    '--window-size=1100,900',
)
FOCUS_IS_SEEN = """
  const [element, label] = [arguments[0], arguments[0].nextElementSibling];
  const outlined = (other) => other && getComputedStyle(other).outlineStyle === 'solid';
  const ring = 'rgb(31, 95, 191) 0px 0px 0px 6px';
  return outlined(element) || (element.type === 'radio' && outlined(label))
    || getComputedStyle(element, '::after').boxShadow.includes(ring);"""
Pixels = NDArray[np.uint8]


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = make_test_run(tmp_path_factory.mktemp('browser') / 'run')
    return report_of(run).as_uri()


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for switch in (*SWITCHES, f'--user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(switch)
    options.binary_location = str(CHROMIUM)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER)))  # named, so nothing is looked for
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def opened(browser: webdriver.Chrome, page: str) -> Iterator[webdriver.Chrome]:
    """The page, anew; after the test its console must be empty."""
    browser.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
    browser.get(page)
    yield browser
    assert browser.get_log('browser') == []


def _viewer(browser: webdriver.Chrome, number: int = 0) -> WebElement:
    viewer = browser.find_elements(By.CSS_SELECTOR, '.viewer')[number]
    browser.execute_script('arguments[0].scrollIntoView()', viewer)
    return viewer


def _divider(viewer: WebElement) -> WebElement:
    return viewer.find_element(By.CSS_SELECTOR, '.divider')


def _pixels(stage: WebElement) -> Pixels:
    """What is seen of a stage, BGR."""
    picture = Image.open(io.BytesIO(stage.screenshot_as_png)).convert('RGB')
    return np.asarray(picture)[..., ::-1]


def _share(pixels: Pixels, kind: str) -> float:
    """How much of the lowest eighth, which has no square in it at first, has the colour of a kind."""
    lowest = pixels[-pixels.shape[0] // 8 :].astype(int)
    return float((np.abs(lowest - COLOURS[kind]).max(axis=2) < 12).mean())


def _stage(viewer: WebElement) -> WebElement:
    return viewer.find_element(By.CSS_SELECTOR, '.stage')


def _windows(browser: webdriver.Chrome, viewer: WebElement) -> list[list[float]]:
    """Where each visible picture lies in its window: left, top, width, in units of the window's width."""
    script = """
      return [...arguments[0].querySelectorAll('.layer')].filter((layer) => layer.offsetParent).map((layer) => {
        const around = layer.querySelector('.window').getBoundingClientRect();
        const inside = layer.querySelector('img').getBoundingClientRect();
        return [inside.left - around.left, inside.top - around.top, inside.width].map((v) => v / around.width);
      });"""
    found: list[list[float]] = browser.execute_script(script, viewer)
    return found


def _wheel(browser: webdriver.Chrome, stage: WebElement, x: int, y: int, turn: int) -> None:
    ActionChains(browser).scroll_from_origin(ScrollOrigin.from_element(stage, x, y), 0, turn).perform()


def test_nothing_is_asked_of_a_network(opened: webdriver.Chrome) -> None:
    asked = []
    for entry in opened.get_log('performance'):
        message: dict[str, Any] = json.loads(entry['message'])['message']
        if message['method'] == 'Network.requestWillBeSent':
            asked.append(message['params']['request']['url'])
    assert any(url.startswith('file:') for url in asked), 'the page itself is seen in the log'
    assert {url.partition(':')[0] for url in asked} <= {'file', 'data', 'chrome'}
    broken = 'return [...document.images].filter((image) => image.complete && !image.naturalWidth).length'
    assert opened.execute_script(broken) == 0


def test_divider_moves_by_mouse(opened: webdriver.Chrome) -> None:
    viewer = _viewer(opened)
    stage = _stage(viewer)
    before = _pixels(stage)
    assert _share(before, 'direct') == pytest.approx(0.5, abs=0.05)
    assert _share(before, 'restored') == pytest.approx(0.5, abs=0.05)
    quarter = stage.size['width'] // 4
    ActionChains(opened).drag_and_drop_by_offset(_divider(viewer), -quarter, 0).perform()
    after = _pixels(stage)
    assert _share(after, 'direct') == pytest.approx(0.25, abs=0.05)
    assert _share(after, 'restored') == pytest.approx(0.75, abs=0.05)
    assert float(_divider(viewer).get_attribute('aria-valuenow') or '') == pytest.approx(25, abs=1)


def test_divider_moves_by_keys(opened: webdriver.Chrome) -> None:
    viewer = _viewer(opened)
    divider = _divider(viewer)
    divider.send_keys(Keys.ARROW_RIGHT * 10)
    assert divider.get_attribute('aria-valuenow') == '70'
    assert divider.get_attribute('aria-valuetext') == '70 % direct, 30 % restored'
    assert _share(_pixels(_stage(viewer)), 'direct') == pytest.approx(0.7, abs=0.05)
    divider.send_keys(Keys.ARROW_LEFT)
    assert divider.get_attribute('aria-valuenow') == '68'
    divider.send_keys(Keys.HOME)
    assert _share(_pixels(_stage(viewer)), 'restored') > 0.9
    divider.send_keys(Keys.END)
    assert _share(_pixels(_stage(viewer)), 'direct') > 0.9


def test_pictures_are_chosen_and_never_beside_themselves(opened: webdriver.Chrome) -> None:
    opened.find_element(By.CSS_SELECTOR, '[name=right][value=gt]').click()
    viewer = _viewer(opened)
    assert _share(_pixels(_stage(viewer)), 'gt') == pytest.approx(0.5, abs=0.05)
    opened.find_element(By.CSS_SELECTOR, '[name=left][value=gt]').click()
    assert opened.find_element(By.CSS_SELECTOR, '[name=right]:checked').get_attribute('value') == 'direct'
    without_direct = _viewer(opened, 1)
    captions = [
        caption.text
        for caption in without_direct.find_elements(By.CSS_SELECTOR, 'figcaption')
        if caption.is_displayed()
    ]
    assert sorted(captions) == ['restored', 'sharp'], 'another kind where the chosen one is not there'


def test_zoom_keeps_all_layers_at_one_place(opened: webdriver.Chrome) -> None:
    viewer = _viewer(opened)
    stage = _stage(viewer)
    _divider(viewer).click()
    top_before = opened.execute_script('return scrollY')
    for _ in range(3):
        _wheel(opened, stage, -40, 10, -100)
    first, second = _windows(opened, viewer)
    assert first == second
    assert first[2] > 2
    # What is under the mouse stays there: it was 40 pixels left of the middle.
    assert first[0] == pytest.approx((0.5 - 40 / stage.size['width']) * (1 - first[2]), abs=0.01)
    assert opened.execute_script('return scrollY') == top_before
    # The square's lower rim, now right of the middle, runs on across the divider: at one height in both pictures.
    _divider(viewer).send_keys(Keys.ARROW_RIGHT * 17)
    opened.execute_script("arguments[0].style.visibility = 'hidden'", _divider(viewer))
    pixels = _pixels(stage)
    border = round(pixels.shape[1] * 0.84)
    above = [(np.abs(pixels[0, border + side].astype(int)) < 40).all() for side in (-9, 9)]
    rims = [np.flatnonzero(pixels[:, border + side].max(axis=1) < 40)[-1] for side in (-9, 9)]
    assert all(above)
    assert rims[0] == rims[1] < pixels.shape[0] - 5
    below = pixels[-2, [border - 9, border + 9]].astype(int)
    assert np.abs(below - [COLOURS['direct'], COLOURS['restored']]).max() < 12
    assert stage.value_of_css_property('--zoom') != '1'
    assert viewer.find_element(By.TAG_NAME, 'img').value_of_css_property('image-rendering') == 'pixelated'
    ActionChains(opened).move_to_element_with_offset(stage, -40, 20).click_and_hold().move_by_offset(10, -8).perform()
    ActionChains(opened).release().perform()
    moved, also_moved = _windows(opened, viewer)
    assert moved == also_moved
    assert moved[0] == pytest.approx(first[0] + 10 / stage.size['width'], abs=0.01)
    opened.find_element(By.CSS_SELECTOR, '[name=view][value=all]').click()
    places = np.array(_windows(opened, _viewer(opened)))
    assert len(places) == len(COLOURS)
    assert np.ptp(places, axis=0).max() < 0.01, 'side by side: the same part of each'
    assert places[0] == pytest.approx(np.array(moved), abs=0.01)


def test_zoom_by_keys_and_buttons(opened: webdriver.Chrome) -> None:
    viewer = _viewer(opened)
    divider = _divider(viewer)
    whole = _windows(opened, viewer)
    divider.send_keys('+')
    assert _windows(opened, viewer)[0][2] == pytest.approx(1.5)
    divider.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT, Keys.NULL)
    assert _windows(opened, viewer)[0][0] == pytest.approx(-0.35, abs=0.01)
    assert divider.get_attribute('aria-valuenow') == '50'
    divider.send_keys('-')
    assert _windows(opened, viewer) == whole
    viewer.find_element(By.CSS_SELECTOR, 'button[aria-label^="Zoom in"]').click()
    assert _windows(opened, viewer)[0][2] == pytest.approx(1.5)
    divider.send_keys('0')
    assert _windows(opened, viewer) == whole


def test_wheel_scrolls_the_page_over_a_picture_that_was_not_chosen(opened: webdriver.Chrome) -> None:
    metrics = {'width': 1100, 'height': 400, 'deviceScaleFactor': 1, 'mobile': False}
    opened.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    viewer = _viewer(opened)
    before = opened.execute_script('return scrollY')
    _wheel(opened, _stage(viewer), 0, 0, -60)
    WebDriverWait(opened, 5).until(lambda driver: driver.execute_script('return scrollY') < before)
    assert _windows(opened, viewer)[0][2] == 1


def test_tab_reaches_the_controls(opened: webdriver.Chrome) -> None:
    reached = []
    for _ in range(60):
        ActionChains(opened).send_keys(Keys.TAB).perform()
        element = opened.switch_to.active_element
        if element.tag_name == 'body':  # past the last one
            break
        reached.append(element.get_attribute('aria-label') or element.get_attribute('name') or element.text)
        assert opened.execute_script(FOCUS_IS_SEEN, element), element.get_attribute('outerHTML')
    for name in ('view', 'left', 'right', 'psnr_direct', 'scene0/a'):
        assert name in reached, name
    order = ['Divider between direct and restored', 'Zoom out', 'Zoom in', 'Whole picture']
    found = [[label.startswith(start) for label in reached].index(True) for start in order]
    assert found == sorted(found)


@pytest.mark.parametrize('view', ['slider', 'all'])
def test_phone_has_no_horizontal_overflow(opened: webdriver.Chrome, view: str) -> None:
    metrics = {'width': 360, 'height': 740, 'deviceScaleFactor': 2, 'mobile': True}
    opened.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    opened.refresh()
    opened.find_element(By.CSS_SELECTOR, f'[name=view][value={view}]').click()
    assert opened.execute_script('return innerWidth') == 360
    assert opened.execute_script('return document.documentElement.scrollWidth') == 360
    beyond = """return [...document.querySelectorAll('body *')].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width && box.right > 361 && !element.closest('.scroll, .window, .divider');
    }).map((element) => element.outerHTML.slice(0, 80))"""
    assert opened.execute_script(beyond) == []


def test_touch_screens_get_the_hints_for_touch(opened: webdriver.Chrome) -> None:
    def hint() -> str:
        return opened.find_element(By.CSS_SELECTOR, '.hint.keys').text

    keys = ('Ctrl', 'Shift', '←', '−', 'wheel')
    assert all(key in hint() for key in keys)
    opened.execute_cdp_cmd('Emulation.setTouchEmulationEnabled', {'enabled': True})
    metrics = {'width': 360, 'height': 740, 'deviceScaleFactor': 2, 'mobile': True}
    opened.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    try:
        opened.refresh()
        assert opened.execute_script("return matchMedia('(hover: none) and (pointer: coarse)').matches")
        assert hint() == 'Drag the divider. Zoom by two fingers. Enlarged pictures are moved by dragging.'
    finally:
        opened.execute_cdp_cmd('Emulation.setTouchEmulationEnabled', {'enabled': False})


def test_phone_shows_the_gain_without_scrolling(opened: webdriver.Chrome) -> None:
    metrics = {'width': 360, 'height': 740, 'deviceScaleFactor': 2, 'mobile': True}
    opened.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', metrics)
    opened.refresh()
    for table in ('.scores', '.sortable'):
        heads = opened.find_elements(By.CSS_SELECTOR, f'{table} thead th')
        gain = next(head for head in heads if 'gain' in head.text)
        assert gain.rect['x'] + gain.rect['width'] < 360, table


def test_table_is_sorted_by_a_click(opened: webdriver.Chrome) -> None:
    def names() -> list[str]:
        return [cell.text for cell in opened.find_elements(By.CSS_SELECTOR, '.sortable tbody th')]

    before = names()
    gain = next(cell for cell in opened.find_elements(By.CSS_SELECTOR, '.sortable thead th') if 'gain' in cell.text)
    for order, expected in (('ascending', before), ('descending', before[::-1])):
        gain.find_element(By.TAG_NAME, 'button').click()
        assert gain.get_attribute('aria-sort') == order
        assert names() == expected


def test_dark_page_is_dark(opened: webdriver.Chrome) -> None:
    ground = 'return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)'
    assert min(opened.execute_script(ground)) > 200
    dark = {'features': [{'name': 'prefers-color-scheme', 'value': 'dark'}]}
    opened.execute_cdp_cmd('Emulation.setEmulatedMedia', dark)
    try:
        assert max(opened.execute_script(ground)) < 60
    finally:
        opened.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': []})


def test_without_script_every_picture_is_there(browser: webdriver.Chrome, page: str) -> None:
    browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': True})
    try:
        browser.get(page)
        shown = [image for image in browser.find_elements(By.CSS_SELECTOR, '.layer img') if image.is_displayed()]
        assert len(shown) == 14
        assert not browser.find_element(By.CSS_SELECTOR, '.toolbar').is_displayed()
    finally:
        browser.execute_cdp_cmd('Emulation.setScriptExecutionDisabled', {'value': False})
