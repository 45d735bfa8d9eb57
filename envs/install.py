"""Installs locked packages into the environment of this Python: install.py FILE...

A file that ends with .lock has hashes and all dependencies; torch.txt has neither. uv takes a fifth of the
processor time of pip, but reads neither the configuration nor the variables of pip, so mirrors and
certificates are handed over. Where that is impossible, or where there is no uv, pip installs, and says so.
"""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
ROOT = Path(__file__).parents[1]

OPTIONS = {
    "index-url": "--index-url",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
VARIABLES = {
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
# Versions are exact, so that a constraint could not change them; the others change no package.
WITHOUT_EFFECT = {
    *("constraint", "disable-pip-version-check", "no-cache-dir", "cache-dir", "no-color", "no-input"),
    *("no-compile", "no-warn-script-location", "progress-bar", "quiet", "require-virtualenv", "retries"),
    "root-user-action",
}
# Jobs import these; what no job imports is not compiled. Two processes, each of half of the work.
IMPORTS = (
    "import torch, scipy.optimize, sklearn.cluster, sklearn.decomposition, sklearn.linear_model, netCDF4",
    "import snakemake.cli, xarray, h5py, matplotlib.backends.backend_svg, seaborn, bokeh.plotting, docutils",
)


def pip_settings(listed: str) -> dict[str, str]:
    """Settings of ``pip install`` from the output of ``pip config list``; variables overrule files."""
    settings = {}
    lines = [line.partition("=") for line in listed.splitlines()]
    for section in ("global", "install", ":env:"):
        for name, _, value in lines:
            if name.startswith(f"{section}."):
                settings[name.removeprefix(f"{section}.")] = ast.literal_eval(value)
    return settings


def for_uv(settings: dict[str, str]) -> tuple[list[str], dict[str, str], list[str]]:
    """Options and variables of uv for settings of pip, and the settings that uv has no counterpart for."""
    options, variables, unknown = [], {}, []
    for name, value in settings.items():
        if name in OPTIONS:
            options += [word for one in value.split() for word in (OPTIONS[name], one)]
        elif name in VARIABLES:
            variables[VARIABLES[name]] = value
        elif name == "no-index":
            options += ["--no-index"] if value.lower() in ("1", "true", "yes", "on") else []
        elif name not in WITHOUT_EFFECT:
            unknown.append(name)
    return options, variables, unknown


def installer() -> tuple[list[str], dict[str, str]]:
    """Command and variables that install packages: of uv, or else of pip."""
    pip = [*PIP, "install", "--quiet", "--no-compile"]
    listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    options, variables, unknown = for_uv(pip_settings(listed))
    if unknown:
        print(
            f"pip is configured with {', '.join(unknown)}, which uv does not know: pip installs", flush=True
        )
        return pip, {}
    lock = str(ROOT / "envs" / "uv.lock")
    if subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", lock], check=False).returncode:
        print("pip installs, which takes a minute more: there is no uv (see above)", flush=True)
        return pip, {}
    # As pip does: the best version of all indexes, not the first index that has the package.
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
    return [*uv, "--index-strategy", "unsafe-best-match", *options], variables


def compile_imports() -> None:
    """Compiles what jobs import, because every job is a process and would take four seconds more."""
    settings = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    running = [subprocess.Popen([sys.executable, "-c", one], env=settings) for one in IMPORTS]
    if any([process.wait() for process in running]):
        sys.exit("Error: the installed packages cannot be imported (see above): remove .venv and try again")


def main(files: list[str]) -> None:
    """Installs files of requirements, and says what is done and how long it took."""
    began = time.monotonic()
    count = sum("==" in line for file in files for line in Path(file).read_text().splitlines())
    print(f"Installing {count} packages (a minute or less, and the downloads) ...", flush=True)
    command, variables = installer()
    for file in files:
        locked = ["--no-deps", "--require-hashes"] if file.endswith(".lock") else []
        done = subprocess.run([*command, *locked, "-r", file], env=os.environ | variables, check=False)
        if done.returncode:
            sys.exit(f"Error: {file}: could not be installed (see above)")
    print("Compiling them ...", flush=True)
    compile_imports()
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
