from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import Config, load_config, settings_hash
from pipeline.errors import ConfigError
from pipeline.runtime.cluster import Workers
from pipeline.runtime.cluster_settings import Slurm, Tls, bytes_of, seconds_of
from pipeline.runtime.jobs import security_of

TLS = Tls("ca.pem", "cert.pem", "key.pem")


def test_tables_come_from_file_environment_and_options(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('seed = 3\n[slurm]\npartition = "long"\njobs = 4\nprivate_network = true\n')
    environment = {"ASM_ATLAS_SLURM_JOBS": "5", "ASM_ATLAS_TLS_CA": ""}
    config = load_config(file, environment, {"slurm.cores": 2, "slurm.account": None})
    assert config.slurm == Slurm(partition="long", jobs=5, cores=2, private_network=True)
    assert not config.tls
    assert load_config(environment={"ASM_ATLAS_SLURM_PRIVATE_NETWORK": "true"}).slurm == Slurm(
        private_network=True
    )


@pytest.mark.parametrize(
    "text",
    [
        "[slurm]\npartitoin = 'x'",
        "slurm = 1",
        "[slrum]\njobs = 2",
        "[slurm]\njobs = 'many'",
        "[slurm]\nprivate_network = 'yes'",
        "[slurm.deep]\njobs = 1",
        "[tls]\nca = 'ca.pem'",
    ],
)
def test_unknown_keys_and_wrong_kinds_are_errors(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError):
        load_config(tmp_path / "a.toml", {})


@pytest.mark.parametrize(
    "keys",
    [
        {"partition": "a\nb"},
        {"account": "$(id)"},
        {"interface": "eth0;x"},
        {"memory": "3"},
        {"driver_memory": "3GB"},
        {"walltime": "1 hour"},
        {"walltime": "00:00:30"},
        {"driver_walltime": "24:00"},
        {"cores": 0},
        {"jobs": 0},
        {"directives": "--qos=low\n#SBATCH --x=$(id)"},
        {"directives": "echo"},
    ],
)
def test_nothing_gets_into_a_script_that_is_no_plain_word(keys: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Slurm(**keys)  # type: ignore[arg-type]


def test_times_and_sizes() -> None:
    assert [seconds_of(text) for text in ("00:10:00", "1-00:00:00", "36:00:01", "x")] == [
        600, 86_400, 129_601, 0,
    ]  # fmt: skip
    assert (bytes_of("3GiB"), bytes_of("512MiB")) == (3 << 30, 512 << 20)


def test_an_open_network_needs_tls_or_a_word() -> None:
    with pytest.raises(ConfigError, match="would run whatever anybody sends it") as caught:
        Workers("slurm", slurm=Slurm(interface="ib0"))
    assert "private_network" in caught.value.next_step
    Workers("slurm", slurm=Slurm(interface="ib0"), tls=TLS)
    Workers("slurm", slurm=Slurm(interface="ib0", private_network=True))
    Workers("slurm")
    with pytest.raises(ConfigError, match="no certificates"):
        Workers("tls://host:8786")


def test_all_three_speak_encrypted_or_not_at_all() -> None:
    assert security_of(Tls()) is None
    security = security_of(TLS)
    assert security is not None
    assert security.require_encryption
    for role in ("scheduler", "worker", "client"):
        assert security.get_tls_config_for_role(role)["key"] == "key.pem"


def test_where_it_runs_changes_nothing_in_the_result() -> None:
    usual = settings_hash(Config())
    assert usual == settings_hash(
        Config(slurm=Slurm(jobs=9), tls=TLS).with_keys(
            cluster="slurm", workers=3, log="x", workspace="y"
        )
    )
    assert usual != settings_hash(Config().with_keys(seed=2))
