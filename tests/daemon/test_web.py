"""Pages that a model reads: decided by the policy, reached by the rules of egress, recorded, and never trusted."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon.asking import asking
from tests.daemon.cards import answered, card_of
from tests.daemon.conftest import MakeDaemon
from tests.daemon.harness import Daemon
from tests.doubles.provider import Call, Say, ScriptedProvider

NOTIFY = '[[rule]]\ntool = "web_fetch"\ntier = "notify"\n[[rule]]\npattern = ["uname*"]\ntier = "notify"\n'


class _Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """A page, and one that leads elsewhere."""
        host = self.headers["Host"]
        elsewhere = f"http://localhost:{host.partition(':')[2]}/"
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Location", elsewhere if self.path == "/away" else "/")
        self.end_headers()
        self.wfile.write(b"<title>Site</title><p>The word is <b>quartz</b>.<script>no</script>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A web server on loopback."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield server.server_address[1]
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider on loopback."""
    with ScriptedProvider() as made:
        made.one_conversation = False
        yield made


def _daemon(make: MakeDaemon, provider: ScriptedProvider, port: int, *, policy: str = "", allow: bool = True) -> Daemon:
    agent = '[agent]\nmodel = "m"\n[models.m]\nprovider = "openai"\nmodel = "m-1"\n'
    egress = f'[egress]\nallow = ["127.0.0.1:{port}"]\n' if allow else ""
    return make(policy=policy, config=f'{agent}base_url = "{provider.url}"\nretries = 0\n{egress}')


def _fetch(port: int, path: str = "/", call: str = "call_a") -> Call:
    return Call(tool="web_fetch", arguments={"url": f"http://127.0.0.1:{port}{path}", "reason": "to read"}, id=call)


def _done(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["outcome"], event["reason"]) for event in events if event["type"] == "call_done"]


def test_a_page_of_an_allowed_host_is_read_and_what_it_says_is_not_trusted(
    make_daemon: MakeDaemon, provider: ScriptedProvider, port: int
) -> None:
    daemon = _daemon(make_daemon, provider, port, policy=NOTIFY)
    url = f"http://127.0.0.1:{port}/"
    after = Call(tool="bash", arguments={"command": "uname -s"}, id="call_b")
    provider.says(Say(calls=(_fetch(port),)), Say(calls=(after,)), Say(text="quartz"))
    events = daemon.ask("what is the word?", wait_s=1)
    (result,) = provider.asked[1].results.values()
    assert result.startswith("<data-")
    assert f"\n{url}\nSite\n\nThe word is quartz.\n" in result
    first, second = (event["verdict"] for event in events if event["type"] == "decision")
    assert (first["tier"], second["tier"]) == ("notify", "require_approval")
    assert "sandbox 'workspace': no file of the host can change, network to * only" in first["confinement"]
    assert "Text from elsewhere was read in this turn (web)" in second["reason"]
    assert [outcome for outcome, _ in _done(events)] == ["done", "unanswered"]
    decided = next(record for record in daemon.records() if record["kind"] == "decided")
    assert (decided["tool"], decided["action"]) == ("web_fetch", f"web_fetch {url}")
    reached = [record for record in daemon.records() if record["kind"] == "connected"]
    assert [(each["host"], each["port"], each["reason"]) for each in reached] == [("127.0.0.1", port, "")]
    assert f"web_fetch: {url}" in daemon.aios("log", "--sent").out


def test_a_page_of_another_host_is_not_read_nor_one_that_leads_there(
    make_daemon: MakeDaemon, provider: ScriptedProvider, port: int
) -> None:
    daemon = _daemon(make_daemon, provider, port, policy=NOTIFY)
    for call, host in (
        (Call(tool="web_fetch", arguments={"url": f"http://localhost:{port}/"}), f"localhost:{port}"),
        (_fetch(port, "/away"), f"localhost:{port}"),
    ):
        provider.says(Say(calls=(call,)), Say(text="No."))
        ((outcome, reason),) = _done(daemon.ask("read it"))
        assert (outcome, f"the network: {host} is not in egress.allow" in reason) == ("failed", True), reason
        (result,) = provider.asked[-1].results.values()
        assert "quartz" not in result


def test_without_a_rule_a_person_is_asked_and_a_yes_is_to_that_host_alone(
    make_daemon: MakeDaemon, provider: ScriptedProvider, port: int
) -> None:
    daemon = _daemon(make_daemon, provider, port, allow=False)
    for path, outcome in (("/", "done"), ("/away", "failed")):
        provider.says(Say(calls=(_fetch(port, path),)), Say(text="Read."))
        with asking(daemon, "read it") as stream:
            card = card_of(daemon, stream.until("approval_needed")["approval"])
            assert (card["tool"], card["action"]) == ("web_fetch", f"web_fetch http://127.0.0.1:{port}{path}")
            assert f"network to *, 127.0.0.1:{port} only" in card["confinement"]
            assert (card["claim"], card["run_as"]) == ("to read", "user")
            assert answered(daemon, card) == {}
            assert stream.until("call_done")["outcome"] == outcome
            stream.until("turn_done")
    provider.says(Say(calls=(_fetch(port),)), Say(text="No."))
    assert _done(daemon.ask("read it", wait_s=1))[0][0] == "unanswered"


@pytest.mark.parametrize(
    ("url", "why"),
    [("file:///etc/passwd", "an address begins with"), ("http://user@127.0.0.1/", "an address holds no user")],
)
def test_what_is_no_address_of_a_page_is_told_to_the_model(
    make_daemon: MakeDaemon, provider: ScriptedProvider, port: int, url: str, why: str
) -> None:
    daemon = _daemon(make_daemon, provider, port, policy=NOTIFY)
    provider.says(Say(calls=(Call(tool="web_fetch", arguments={"url": url}),)), Say(text="No."))
    ((outcome, reason),) = _done(daemon.ask("read it"))
    assert (outcome, reason.startswith(why)) == ("failed", True)
