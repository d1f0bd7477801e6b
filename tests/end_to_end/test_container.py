"""Dockerfile, compose.yaml and deploy/kubernetes.yaml: held to the code, and their steps done without an engine."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from importlib import metadata

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import hfcls
from hfcls import cli

PORT = 8000


def instructions() -> list[tuple[str, str]]:
    """(instruction, rest) of each line of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines]


def of(name: str) -> list[str]:
    return [rest for instruction, rest in instructions() if instruction == name]


def health_check() -> list[str]:
    return json.loads(of("HEALTHCHECK")[0].split("CMD", 1)[1])


def test_what_is_copied_is_there_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert ignored[0] == "*"
    for rest in of("COPY"):
        for name in rest.split()[:-1]:
            assert (ROOT / name).exists()
            assert f"!{name}" in ignored


def test_it_runs_as_a_user_without_rights_the_command_that_there_is():
    assert of("USER") == ["10001"]
    (entry,) = map(json.loads, of("ENTRYPOINT"))
    args = cli._parser().parse_args(entry[1:])
    assert (args.port, args.host, args.model, args.page) == (PORT, "0.0.0.0", "/model", False)
    assert of("EXPOSE") == [str(PORT)]
    assert f"127.0.0.1:{PORT}/health" in health_check()[-1]
    for rest in of("RUN"):
        assert re.match(r"(pip install --no-cache-dir|useradd) ", rest)


def test_compose_opens_that_port_to_this_machine_and_mounts_an_export():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["hfcls"]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert service["volumes"] == ["./outputs/quickstart-onnx:/model:ro"]
    assert service["read_only"] is True


def test_kubernetes_asks_what_there_is():
    deployment, service = yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text("utf-8"))
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": PORT}]
    source = (ROOT / "hfcls/serving/api.py").read_text("utf-8")
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[kind]["httpGet"]
        assert f'@app.get("{probe["path"]}"' in source
        assert probe["port"] == "http"
    cli._parser().parse_args(["serve", "/model", *container["args"]])
    (mount,) = container["volumeMounts"]
    assert container["args"][1].startswith(mount["mountPath"])
    assert str(pod["spec"]["securityContext"]["runAsUser"]) == of("USER")[0]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert pod["metadata"]["labels"] == selector == service["spec"]["selector"]


WITHOUT = """
import json, sys
sys.modules.update(dict.fromkeys(json.loads(sys.argv.pop(1))))  # None there: as if it were not installed
from hfcls.cli import main
sys.exit(main())
"""


def absent_modules(packages: list[str]) -> list[str]:
    """The modules of this environment that one with only these packages, and what they need, would not have."""
    present: set[tuple[str, str]] = set()
    wanted = [(canonicalize_name(package), "") for package in packages]
    while wanted:
        package, extra = wanted.pop()
        if (package, extra) not in present:
            present.add((package, extra))
            for needed in map(Requirement, metadata.requires(package) or []):
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    wanted += [(canonicalize_name(needed.name), extra) for extra in ("", *needed.extras)]
    there = {package for package, _ in present} | {"hfcls"}
    modules = metadata.packages_distributions()
    absent = {module for module, names in modules.items() if not {canonicalize_name(name) for name in names} & there}
    return sorted(absent - sys.stdlib_module_names)


def test_it_serves_where_only_what_it_installs_is_there(classifier_folder, tmp_path):
    """As the slow test below, in the environment of the tests: all other packages are hidden."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    hfcls.export(model=classifier_folder, output=str(tmp_path / "model"))
    (install,) = [rest for rest in of("RUN") if "-c constraints.txt" in rest]
    absent = absent_modules(install.partition("constraints.txt")[2].split())
    assert {"torch", "transformers", "datasets", "pyarrow", "rich", "gradio"} <= set(absent)
    command = [sys.executable, "-c", WITHOUT, json.dumps(absent), "serve", str(tmp_path / "model"), "--no-page"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r" is at (http://[\d.:]+)/", process.stdout.readline())
            assert found, process.stderr.read()
            body = json.dumps({"text": "영화 최고"}).encode()
            request = urllib.request.Request(f"{found[1]}/predict", body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=20) as response:
                answer = json.load(response)
        finally:
            process.kill()
    assert answer["label"] == hfcls.Classifier.from_pretrained(classifier_folder)("영화 최고")["label"]


COMMANDS = [
    ["train"], ["adapt", "--dataset", "."], ["distill", "--dataset", "."], ["check"], ["clean"], ["report", "run"],
    ["evaluate", "--model", "run"], ["predict", "--model", "run", "좋다"], ["export", "run"], ["push", "run"],
    ["predict", "--input", ".", "--output", "out"],
]  # fmt: skip


def test_every_other_command_says_there_what_it_lacks(tmp_path):
    """One line and no traceback, for a package that is missing."""
    (install,) = [rest for rest in of("RUN") if "-c constraints.txt" in rest]
    absent = absent_modules(install.partition("constraints.txt")[2].split())
    each = WITHOUT.replace("sys.exit(main())", "print([main(words) for words in json.loads(sys.argv.pop(1))])")
    words = [sys.executable, "-c", each, json.dumps(absent), json.dumps(COMMANDS)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == str([1] * len(COMMANDS)), done.stderr
    needed = r"hfcls: error: (this|a report) needs (\w+)(, which is not installed here)?: pip install .*\n"
    assert re.fullmatch(f"({needed}){{{len(COMMANDS)}}}", done.stderr), done.stderr


@pytest.mark.slow
def test_its_steps_make_a_server_that_answers(classifier_folder, tmp_path):
    """Copied, installed and started in a fresh environment; only the paths, the port and the user are others."""
    hfcls.export(model=classifier_folder, output=str(tmp_path / "model"))
    environment, app = tmp_path / "venv", tmp_path / "app"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    app.mkdir()
    clean = {"PATH": f"{environment}/bin:/usr/bin:/bin", "PYTHONIOENCODING": "utf-8"}
    clean |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HTTP", "SSL"))}
    for instruction, rest in instructions():
        if instruction == "COPY":
            *names, target = rest.split()
            for name in names:
                place = app / target / name if target == "./" else app / target
                shutil.copytree(ROOT / name, place) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, place)
        elif instruction == "RUN" and rest.startswith("pip"):
            done = subprocess.run(shlex.split(rest), cwd=app, env=clean, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"needs a package index: {done.stderr[-300:]}")
    assert not list(environment.glob("lib/python*/site-packages/torch*"))
    port = "18731"
    (entry,) = map(json.loads, of("ENTRYPOINT"))
    entry = [{"/model": str(tmp_path / "model"), str(PORT): port}.get(word, word) for word in entry]
    entry[0] = str(environment / "bin" / entry[0])
    command = [str(environment / "bin/python"), *health_check()[1:-1], health_check()[-1].replace(str(PORT), port)]
    with subprocess.Popen(entry, cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline().startswith(f"{tmp_path}/model is at http://0.0.0.0:{port}/")
            subprocess.run(command, check=True, env=clean, timeout=20)
            body = json.dumps({"text": "영화 최고"}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=20) as response:
                answer = json.load(response)
            began = time.monotonic()
            process.terminate()
            assert process.wait(20) == 0
            assert time.monotonic() - began < 5
        finally:
            process.kill()
    assert answer["label"] == hfcls.Classifier.from_pretrained(classifier_folder)("영화 최고")["label"]
    assert subprocess.run(command, check=False, env=clean, capture_output=True, timeout=20).returncode != 0
