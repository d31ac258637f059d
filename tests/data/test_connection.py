"""Knowing that there is no network, by names that never and always have an address."""

import pytest

from kdiffusion.data.connection import check_any_host_known

NOWHERE = "https://archive.invalid/file"  # RFC 2606: never has an address
HERE = "http://localhost:1/file"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_no_known_host_is_refused():
    with pytest.raises(OSError, match=r"no network: no address is known for .*'archive\.invalid'"):
        check_any_host_known([NOWHERE])


@pytest.mark.parametrize("urls", [[HERE], [NOWHERE, HERE], [HERE, NOWHERE], [], ["no-address"]])
def test_one_known_host_is_enough_and_none_asked_for_is_fine(urls):
    check_any_host_known(urls)


def test_a_proxy_is_trusted_to_know(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://localhost:1")
    check_any_host_known([NOWHERE])
