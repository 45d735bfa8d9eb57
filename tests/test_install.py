"""The installer of packages hands the configuration of pip to uv."""

import importlib.util

import pytest
from conftest import REPOSITORY


@pytest.fixture(scope="module")
def install():
    spec = importlib.util.spec_from_file_location("install", REPOSITORY / "envs" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_variables_overrule_files_and_other_commands_do_not_count(install):
    listed = ":env:.timeout='9'\nfreeze.all='1'\nglobal.timeout='60'\ninstall.no-index='true'\n"
    assert install.pip_settings(listed) == {"timeout": "9", "no-index": "true"}


def test_mirrors_and_certificates_of_pip_reach_uv(install):
    settings = {"index-url": "https://m/simple", "extra-index-url": "https://a https://b", "cert": "c.pem"}
    settings |= {"find-links": "/wheels", "no-index": "true", "quiet": "1", "proxy": "http://p"}
    options, variables, unknown = install.for_uv(settings)
    assert " ".join(options) == (
        "--index-url https://m/simple --extra-index-url https://a --extra-index-url https://b "
        "--find-links /wheels --no-index"
    )
    assert variables == {"SSL_CERT_FILE": "c.pem", "ALL_PROXY": "http://p"}
    assert not unknown


def test_pip_installs_where_uv_has_no_such_setting(install, monkeypatch, capsys):
    def run(command, **options):
        assert command[-2:] == ["config", "list"]
        return install.subprocess.CompletedProcess(command, 0, "global.platform='any'\n")

    monkeypatch.setattr(install.subprocess, "run", run)
    command, _ = install.installer()
    assert command[:3] == install.PIP[:3]
    assert "platform" in capsys.readouterr().out


def test_pip_installs_where_there_is_no_uv(install, monkeypatch, capsys):
    def run(command, **options):
        return install.subprocess.CompletedProcess(command, int("install" in command), "")

    monkeypatch.setattr(install.subprocess, "run", run)
    command, _ = install.installer()
    assert "pip" in command
    assert "uv" not in command
    assert "there is no uv" in capsys.readouterr().out
