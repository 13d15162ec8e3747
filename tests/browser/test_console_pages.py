"""The console in a real browser: three widths, both colours, keyboard, accessibility.

A node of its own, a real association, and values nobody would wish for. Where
`DICOMANON_SCREENSHOTS` names a directory, what was seen is kept there.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from support_node import ROOT, SMALL, Node, running_node, wait_until

from dicomanon_node.delivery.queue import Failure, QueueDirectory
from dicomanon_node.network.part10 import DicomFile
from dicomanon_node.network.proposal import contexts_for
from dicomanon_node.network.requestor import Requestor

pytestmark = [
    pytest.mark.tool("chromium"),
    pytest.mark.tool("chromedriver"),
    pytest.mark.timeout(300),
]

AXE = (ROOT / "tests" / "data" / "axe" / "axe.min.js").read_text(encoding="utf-8")
HOSTILE = '"><svg/onload=x>'  # 16 characters, as long as an AE title may be
PAGES = {
    "overview": "/",
    "studies": "/studies",
    "queues": "/queues",
    "failures": "/failures",
    "holds": "/holds",
    "rules": "/rules?study=default&state=",
    "configuration": "/configuration",
    "log": "/log",
    "missing": "/nothing",
}
WIDTHS = (360, 768, 1280)

TOML = """
[[destinations]]
name = "research-pacs"
kind = "dicom"
ae_title = "RESEARCH"
host = "127.0.0.1"
port = 9
[[destinations]]
name = "share"
kind = "folder"
path = "share"
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("console")
    (directory / "share").mkdir()
    with running_node(directory, toml=TOML) as running:
        wait_until(lambda: running.events("admin.ready"))
        for title in (HOSTILE, "SCANNER1"):
            files = [DicomFile.open(path) for path in SMALL]
            with Requestor(
                "127.0.0.1",
                running.port,
                calling_aet=title,
                called_aet="DICOMANON",
                contexts=contexts_for(files),
            ) as requestor:
                for file in files:
                    requestor.store(file)
        queue = QueueDirectory(directory / "var" / "spool", "research-pacs")
        wait_until(lambda: queue.waiting_count() >= 2)
        for entry in queue.waiting(2)[0]:
            queue.fail(entry, Failure("not-authorised", 0x0124, 1))
        yield running


@pytest.fixture(scope="module")
def address(node: Node) -> str:
    return f"http://127.0.0.1:{node.events('admin.ready')[0]['port']}"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


def show(browser: webdriver.Chrome, url: str, width: int = 1280, scheme: str = "light") -> None:
    # A window cannot be as narrow as a phone; what it pretends to be can.
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.get(url)


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser's own log has had since it was last asked for."""
    entries: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's
    return [entry["message"] for entry in entries]


def keep(browser: webdriver.Chrome, name: str) -> None:
    directory = os.environ.get("DICOMANON_SCREENSHOTS")
    if directory:
        browser.save_screenshot(str(Path(directory) / f"{name}.png"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_both_colours(
    browser: webdriver.Chrome, address: str, name: str, scheme: str
) -> None:
    show(browser, address + PAGES[name], scheme=scheme)
    keep(browser, f"{name}-1280-{scheme}")
    browser.execute_script(AXE)
    found = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done(JSON.stringify("
        "r.violations.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => n.html)]))));"
    )
    assert json.loads(found) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_width(
    browser: webdriver.Chrome, address: str, name: str, width: int
) -> None:
    show(browser, address + PAGES[name], width)
    keep(browser, f"{name}-{width}-light")
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width


@pytest.mark.parametrize("name", ["overview", "studies", "failures", "log"])
def test_a_script_in_an_ae_title_is_text(
    browser: webdriver.Chrome, address: str, name: str
) -> None:
    complaints(browser)
    show(browser, address + PAGES[name])
    assert browser.find_elements(By.CSS_SELECTOR, "[onload], main svg:not(.chart)") == []
    if name in {"studies", "log"}:
        assert HOSTILE in browser.find_element(By.TAG_NAME, "main").text
    assert complaints(browser) == []


@pytest.mark.parametrize("name", PAGES)
def test_the_browser_has_nothing_to_complain_about(
    browser: webdriver.Chrome, address: str, name: str
) -> None:
    complaints(browser)
    show(browser, address + PAGES[name])
    assert [
        message for message in complaints(browser) if not (name == "missing" and "404" in message)
    ] == []


def test_the_keyboard_reaches_the_content_first_and_what_has_the_focus_is_seen(
    browser: webdriver.Chrome, address: str
) -> None:
    show(browser, address + "/failures")
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to content"
    seen = []
    for _ in range(15):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        seen.append(
            browser.execute_script(
                "return getComputedStyle(document.activeElement).outlineWidth !== '0px'"
            )
        )
    assert all(seen)
    assert browser.switch_to.active_element.tag_name in {"a", "button", "div"}


def test_the_colours_can_be_changed_and_stay_changed(
    browser: webdriver.Chrome, address: str
) -> None:
    def background() -> str:
        return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))

    show(browser, address + "/")
    light = background()
    browser.find_element(By.ID, "theme").send_keys(Keys.ENTER)
    dark = background()
    assert dark != light
    browser.get(address + "/studies")
    assert background() == dark
    browser.find_element(By.ID, "theme").click()
    assert background() == light
    browser.execute_script("localStorage.clear()")


def test_what_comes_is_seen_without_loading_the_page_again(
    browser: webdriver.Chrome, address: str, node: Node
) -> None:
    show(browser, address + "/")
    browser.execute_script("document.body.dataset.same = 'yes'")

    def stored() -> int:
        # In one step: what was found may be replaced before it is read.
        text = browser.execute_script(
            "return [...document.querySelectorAll('dt')].find("
            "each => each.textContent === 'Stored since start').nextElementSibling.textContent"
        )
        return int("".join(character for character in str(text) if character.isdigit()))

    before = stored()
    node.store_all(SMALL[0])
    wait_until(lambda: stored() > before)
    assert browser.find_element(By.TAG_NAME, "body").get_attribute("data-same") == "yes"


def test_without_a_script_everything_can_be_read(browser: webdriver.Chrome, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(browser, address + "/failures")
        assert "not-authorised" in browser.find_element(By.TAG_NAME, "main").text
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_failed_delivery_is_put_back_with_the_keyboard(
    browser: webdriver.Chrome, address: str, node: Node
) -> None:
    show(browser, address + "/failures")
    browser.find_element(By.XPATH, "//button[text()='Retry']").send_keys(Keys.ENTER)
    # While a page is left, it has nothing.
    wait_until(lambda: browser.find_elements(By.XPATH, "//*[contains(., '1 put back')]"))
    keep(browser, "retried")
    [event] = node.events("delivery.retried")
    assert (event["destination"], event["count"]) == ("research-pacs", 1)
