"""nginx's configuration: filled in, and checked by the real nginx."""

import re

import pytest

from byoc.errors import UserError
from byoc.serving import nginx
from byoc.serving.models import admission
from byoc.serving.settings import Settings
from tests import engine


def settings(**environ):
    return Settings.from_environ(environ, cpus=1, memory=1 << 30)


def test_limits_come_from_the_settings(tmp_path):
    """CONTRACT checks 57, 81, 85 and 99."""
    resolved = settings(SAGEMAKER_BIND_TO_PORT="9123", SAGEMAKER_MAX_PAYLOAD_IN_MB="100", MODEL_SERVER_TIMEOUT="300")
    text = nginx.fill_in(nginx.TEMPLATE.read_text(), resolved, tmp_path)
    assert re.findall(r"listen (\S+)", text) == ["9123"]
    assert "client_max_body_size 104857600;" in text
    assert "the limit of 100 MB" in text
    assert f"proxy_read_timeout {resolved.nginx_timeout}s;" in text
    assert str(tmp_path / "worker-0.sock") in text
    assert "{{" not in text


def test_many_models_have_their_manager_where_one_has_its_workers(tmp_path):
    text = nginx.fill_in(nginx.TEMPLATE.read_text(), settings(SAGEMAKER_MULTI_MODEL="true"), tmp_path)
    assert re.findall(r"server unix:(\S+)", text) == [str(tmp_path / "manager.sock")]
    assert admission.NAME.pattern in text


def test_an_unknown_word_is_told_with_the_known_ones(tmp_path):
    with pytest.raises(UserError, match=r"unknown words \['prot'\]; known are .*'port'"):
        nginx.fill_in("listen {{prot}};", settings(), tmp_path)


@pytest.mark.parametrize("capabilities", [0, nginx.STEP_DOWN, (1 << 41) - 1])
def test_who_nginx_runs_as(monkeypatch, capabilities, tmp_path):
    """CONTRACT checks 60 and 105: without the capabilities that a change of user needs, none is tried."""
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapEff:\t{capabilities:016x}\n")
    monkeypatch.setattr(nginx, "Path", lambda _path: status)
    monkeypatch.setattr(nginx.os, "geteuid", lambda: 0)
    reachable = tmp_path.parents[-1] / "byoc"
    assert nginx._user(reachable).startswith("user nobody") is bool(capabilities)
    (tmp_path / "private").mkdir(mode=0o700)
    assert nginx._user(tmp_path / "private" / "byoc").startswith("user root")
    monkeypatch.setattr(nginx.os, "geteuid", lambda: 1000)
    assert not nginx._user(reachable).startswith("user ")


def test_the_real_nginx_takes_it_and_says_what_it_refuses(tmp_path, monkeypatch):
    if nginx.find() is None:
        engine.unavailable("nginx is not installed")
    file = nginx.configure(settings(), tmp_path)
    assert nginx.command(file)[0] == nginx.find()
    broken = tmp_path / "template.conf"
    broken.write_text(nginx.TEMPLATE.read_text().replace("keepalive_timeout", "keepalive_timeuot"))
    monkeypatch.setattr(nginx, "TEMPLATE", broken)
    with pytest.raises(UserError, match=r'nginx refuses .*unknown directive "keepalive_timeuot"'):
        nginx.configure(settings(), tmp_path)
