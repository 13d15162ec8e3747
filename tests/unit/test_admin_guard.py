import re
from pathlib import Path

import pytest
from support_console import TOKEN, Browser, Desk

from dicomanon_node.admin.guard import COOKIE, MAX_BODY_BYTES
from dicomanon_node.admin.sessions import SESSION_S, Sessions

PAGES = ("/", "/studies", "/queues", "/failures", "/holds", "/rules", "/configuration", "/log")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def locked(tmp_path: Path) -> Desk:
    return Desk(tmp_path, TOKEN)


def form_token(client: Browser, page: str = "/failures") -> str:
    [*_, found] = re.findall(r'name="form_token" value="([0-9a-f]+)"', client.get(page).text)
    return str(found)


@pytest.mark.parametrize("host", ["localhost", "localhost:8042", "127.0.0.1:8042", "[::1]:8042"])
def test_this_machine_and_addresses_may_be_asked_for(desk: Desk, host: str) -> None:
    assert desk.client.get("/", headers={"Host": host}).status_code == 200


def test_a_listed_name_may_be_asked_for_in_any_case(desk: Desk) -> None:
    assert desk.client.get("/", headers={"Host": "Console.Example:8042"}).status_code == 200


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example:8042", "", "1:2"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/api/v1/overview", "/metrics"])
def test_another_name_is_refused(desk: Desk, host: str, path: str) -> None:
    answer = desk.client.get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert desk.log.events[0][0] == "admin.denied"
    assert desk.log.events[0][1]["reason"] == "host"


@pytest.mark.parametrize("path", [*PAGES, "/healthz", "/nothing", "/static/console.js", "/login"])
def test_every_answer_allows_a_browser_our_own_files_only(desk: Desk, path: str) -> None:
    headers = desk.client.get(path).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_script_a_style_or_a_handler_of_its_own(desk: Desk, path: str) -> None:
    text = desk.client.get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\bstyle=|\bon\w+=|javascript:", text)
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)


def test_without_a_token_nobody_is_asked(desk: Desk) -> None:
    assert desk.client.get("/api/v1/overview").status_code == 200
    assert desk.client.get("/metrics").status_code == 200


@pytest.mark.parametrize("path", [*PAGES, "/study", "/nothing"])
def test_with_a_token_pages_lead_to_where_it_is_entered(locked: Desk, path: str) -> None:
    answer = locked.client.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize(
    "path", ["/api/v1/overview", "/api/v1/openapi.json", "/metrics", "/events", "/api/v1/nothing"]
)
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic x", f"Basic {TOKEN}", "é"])
def test_with_a_token_programs_need_it(locked: Desk, path: str, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    answer = locked.client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "SCANNER" not in answer.text


def test_the_token_lets_programs_in(locked: Desk) -> None:
    program = locked.browser(Authorization=f"Bearer {TOKEN}")
    assert program.get("/api/v1/overview").status_code == 200
    assert program.get("/metrics").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_asks_nobody(locked: Desk, path: str) -> None:
    assert locked.client.get(path).status_code in {200, 503}


def test_who_enters_the_token_is_in_until_logging_out(locked: Desk) -> None:
    answer = locked.client.post("/login", data={"token": f" {TOKEN}\n"})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert locked.client.get("/").status_code == 200
    answer = locked.client.post("/logout", data={"form_token": form_token(locked.client, "/")})
    assert answer.status_code == 303
    assert locked.client.get("/").status_code == 303


def test_a_wrong_token_is_told_and_logged(locked: Desk) -> None:
    answer = locked.client.post("/login", data={"token": "wrong"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "not the token" in answer.text
    assert locked.log.events[0][1]["reason"] == "token"


def test_of_many_denials_one_a_second_is_logged(locked: Desk) -> None:
    for _ in range(20):
        locked.client.get("/api/v1/overview")
    assert len(locked.log.events) <= 3


def test_nothing_changes_without_a_form_of_ours(desk: Desk) -> None:
    path = desk.fail()
    desk.client.get("/failures")
    for data in ({}, {"form_token": ""}, {"form_token": "0" * 64}):
        answer = desk.client.post("/failures/retry", data={"destination": "pacs"} | data)
        assert answer.status_code == 403
    assert path.exists()


def test_a_form_of_another_session_is_not_ours(desk: Desk) -> None:
    path = desk.fail()
    token = form_token(desk.browser())
    desk.client.get("/failures")
    answer = desk.client.post("/failures/retry", data={"destination": "pacs", "form_token": token})
    assert answer.status_code == 403
    assert path.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_elsewhere_changes_nothing_even_with_the_form_token(
    desk: Desk, headers: dict[str, str]
) -> None:
    path = desk.fail()
    token = form_token(desk.client)
    answer = desk.client.post(
        "/failures/retry", data={"destination": "pacs", "form_token": token}, headers=headers
    )
    assert answer.status_code == 403
    assert path.exists()


@pytest.mark.parametrize("path", ["/failures/retry", "/api/v1/failures/retry", "/logout"])
def test_a_get_changes_nothing(desk: Desk, path: str) -> None:
    failed = desk.fail()
    answer = desk.client.get(path, params={"destination": "pacs"})
    assert answer.status_code in {404, 405}
    assert failed.exists()


def test_a_program_without_a_token_needs_a_header_no_form_can_send(desk: Desk) -> None:
    path = desk.fail()
    url = "/api/v1/failures/retry?destination=pacs"
    assert desk.browser().post(url).status_code == 403
    assert path.exists()
    answer = desk.browser().post(url, headers={"X-Requested-With": "curl"})
    assert answer.json() == {"retried": 1}
    assert not path.exists()


def test_where_a_token_is_asked_for_that_header_is_not_enough(locked: Desk) -> None:
    path = locked.fail()
    url = "/api/v1/failures/retry?destination=pacs"
    answer = locked.browser().post(url, headers={"X-Requested-With": "curl"})
    assert answer.status_code == 401
    assert path.exists()
    program = locked.browser(Authorization=f"Bearer {TOKEN}")
    assert program.post(url).json() == {"retried": 1}


def test_a_body_that_is_too_long_is_not_read(desk: Desk) -> None:
    answer = desk.client.post("/failures/retry", content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413


def test_a_cookie_is_valid_until_its_time_and_not_if_it_was_changed() -> None:
    now = 1000.0
    sessions = Sessions(TOKEN, lambda: now)
    cookie = sessions.begin()
    assert sessions.is_valid(cookie)
    ends, nonce, signature = cookie.split(".")
    assert not sessions.is_valid(f"{int(ends) + 1}.{nonce}.{signature}")
    assert not sessions.is_valid(f"{ends}.{nonce[::-1]}.{signature}")
    now += SESSION_S
    assert not sessions.is_valid(cookie)


def test_a_session_outlives_the_process_and_ends_with_the_token() -> None:
    cookie = Sessions(TOKEN).begin()
    assert Sessions(TOKEN).is_valid(cookie)
    assert not Sessions(TOKEN + "x").is_valid(cookie)
    assert not Sessions(None).is_valid(cookie)


def test_the_name_of_the_cookie_is_ours(locked: Desk) -> None:
    answer = locked.client.post("/login", data={"token": TOKEN})
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=")
