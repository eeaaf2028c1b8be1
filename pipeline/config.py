"""The configuration: one frozen object, from one TOML file, the environment and the command line.

A key means the same in all three: ``region`` in the file, ``ASM_ATLAS_REGION`` in the environment
(where the Makefile puts ``REGION=...``) and ``--region`` on the command line; the later wins. An
unknown key is an error, and the hash of what a result depends on goes into every output.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.recipe import RECIPES
from pipeline.errors import ConfigError
from pipeline.geo.seasons import season_windows
from pipeline.runtime.mirror import is_mirror, opened, root_of
from pipeline.runtime.s3 import PLAIN_HTTP, PROFILE
from pipeline.runtime.settings import Slurm, Tls

ENVIRONMENT_PREFIX = "ASM_ATLAS_"
# Variables of this prefix that are not configuration: where the tests find real data.
_NOT_CONFIGURATION = {"ASM_ATLAS_TEST_DATA"}
_BLENDS = r"median|percentile-[1-9][0-9]?|medoid|geometric-median"
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_TRUTH = {"true": True, "false": False}
# What changes where and how fast a run works, and never what it gives.
SURROUNDINGS = (
    "workspace", "mirror", "plain_http", "s3_profile", "cluster", "workers", "log", "slurm", "tls",
)  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Everything that a run can be told.

    Parameters
    ----------
    region : str
        A region's name, a GeoJSON or GeoPackage file, or ``bbox:west,south,east,north``.
    model : str
        A registered model's name, or ``auto``: the nearest one that fits the imagery.
    source : str
        ``planetary-computer``, ``earth-search``, ``copernicus``, the address of any STAC API, a
        static catalogue's folder, a file of items (a stored scene manifest), or ``auto``: what the
        region itself names (the demo's simulated catalogue).
    season : str
        ``YYYY-MM..YYYY-MM``, both months included; several with commas, for one composite of the
        same months of several years; empty: what the region names, else every date.
    cluster : str
        ``local``, ``slurm``, the address of a Dask scheduler (``tcp://...``, ``tls://...``), or
        ``none``: in one process.
    disclosure : str
        ``public`` (coarse, safe to hand on) or ``restricted``.
    map_lang : str
        ``en`` or ``fr``: the language of names and styles in the map.
    workspace : str
        Folder that holds ``raw``, ``interim`` and ``processed``, or ``s3://bucket/prefix``.
    mirror : str
        Folder on each machine that is to hold what it has in hand of a workspace on object storage;
        empty: ``asm-atlas`` in the user's cache.
    plain_http : bool
        Whether an endpoint of object storage may go without encryption, other than this machine's.
    s3_profile : str
        Profile of AWS's own settings for the workspace's bucket, where imagery is read with other
        keys; empty: as for imagery.
    collection : str
        Collection to search in, where the source is a STAC API; several with commas, such as
        ``sentinel-2-l2a,sentinel-1-rtc``.
    bands : str
        Bands to composite, such as ``B04,B03,B02,VV``; empty: those of the usual six, and of radar,
        that the imagery has.
    hosts : str
        Hosts with commas where assets may lie besides the service's own, such as
        ``files.example.org`` or ``127.0.0.1:8081``.
    max_cloud : float
        Scenes of more cloud than this, in per cent as the catalogue says, are left out; 100: none.
    blend : str
        How observations become one: ``median``, ``percentile-25`` (1 to 99), ``medoid`` or
        ``geometric-median``.
    scl_unclear : str
        Classes of the scene classification that are not a clear view of the ground.
    cloud_dilation : int
        Pixels by which clouds and shadows are grown.
    failed_scenes : str
        ``stop``: a scene that cannot be read fails its block. ``mark``: the block is made from the
        others, the gap is counted as failed, and the command ends with an exit code of its own.
    read_tries : int
        Tries of one request, or of decoding one window, before it counts as failed.
    read_seconds : float
        Seconds for one file's window, all tries together.
    read_timeout : float
        Seconds without a byte.
    backoff : float
        Seconds before the second try, doubled each time.
    verify_mib : int
        A file up to this size with a checksum in the catalogue is read whole and checked.
    connections : int
        Files of one scene that are read side by side.
    labels : str
        A table of visits in the IPIS form (.csv, a GeoPackage's table ``visits``, the address of a
        WFS), to train on and to join with, or polygons of mines (.gpkg, .geojson, .shp) to train
        on; empty: what the region names.
    labels_mapping : str
        What the columns of a table of visits in another form are: a file (.toml), ``car``,
        ``tanzania`` or ``zimbabwe``; empty: IPIS's table of the DRC, or polygons.
    layers : str
        Folder of context layers, and of declarations of one's own; empty: ``layers`` in the
        workspace.
    removals : str
        List of requests to be left out (.csv), see ``data/DISCLOSURE.md``; empty: ``removals.csv``
        in the workspace, where it is there.
    label_column : str
        Column of the polygons' labels (1 mine, 0 looks like one), where they have it; ``none``:
        every polygon is a mine.
    searched : str
        File of the area in which the polygons are all the mines that there are.
    inspections : str
        Points with a label (mine, no mine, look-alike, cannot tell) and a date, to train on.
    use_sample : str
        A labelled sample (``asm-atlas sample``) to train on; it can then no longer estimate areas
        for the maps of those models.
    prior : float
        Share of mines among the unlabelled cells that are trained on; 0: estimated from them.
    positive_share : float
        What share of all the weight mines get where others are unlabelled.
    random_places : int
        Cells below possible that are drawn for visits beside the candidates, so that visits measure
        what the map misses; 0: none.
    seed : int
        Seed of the demo's landscape, and of what is drawn at random.
    workers : int
        Worker processes of the local cluster; 0: one a core, and no more than memory allows.
    log : str
        File to which every step and block is appended as a line of JSON; empty: none.
    max_blocks : int
        A region of more 0.1-degree blocks than this is refused.
    min_observed : float
        A cell with less than this share of its windows observed is called "cannot tell".
    prevalence : float
        Share of cells with mining where the map is made, which probabilities are corrected to; 0:
        as among the model's training rows.
    filters : int
        Filters of a newly sampled bank, for each of its patch sizes.
    patches : str
        Patch sizes of a newly sampled bank in pixels, such as ``3,5``.
    context : int
        Side, in cells, of the square whose mean features stand beside a cell's own in a newly
        trained model: 3, or 1 for none.
    recipe : str
        How patches become the filters of a newly sampled bank: ``atlas``, ``atlas-quarters`` (for
        models of chips) or a published definition (``features.recipe``).
    feature_type : str
        How features are stored: ``float32``, or ``float16`` in half the room and to three digits.
    visit_years : int
        A visit is used with the imagery of a season at most this many years away from it.
    device : str
        Where features are computed: ``cpu``, or ``cuda``: a GPU, by torch.
    slurm : Slurm
        The table ``[slurm]``: how jobs are asked for.
    tls : Tls
        The table ``[tls]``: certificates of encrypted connections.
    """

    region: str = ""
    model: str = "auto"
    source: str = "auto"
    season: str = ""
    cluster: str = "local"
    disclosure: str = "public"
    map_lang: str = "en"
    workspace: str = "data"
    mirror: str = ""
    plain_http: bool = False
    s3_profile: str = ""
    collection: str = "sentinel-2-l2a"
    bands: str = ""
    hosts: str = ""
    max_cloud: float = 100.0
    blend: str = "median"
    scl_unclear: str = "0,1,3,8,9,10"
    cloud_dilation: int = 0
    failed_scenes: str = "stop"
    read_tries: int = 5
    read_seconds: float = 300.0
    read_timeout: float = 30.0
    backoff: float = 0.5
    verify_mib: int = 16
    connections: int = 8
    labels: str = ""
    labels_mapping: str = ""
    layers: str = ""
    removals: str = ""
    label_column: str = "label"
    searched: str = ""
    inspections: str = ""
    use_sample: str = ""
    prior: float = 0.0
    positive_share: float = 0.1
    random_places: int = 20
    seed: int = 1
    workers: int = 0
    log: str = ""
    max_blocks: int = 50_000
    min_observed: float = 0.25
    prevalence: float = 0.0
    filters: int = 64
    patches: str = "3,5"
    context: int = 1
    recipe: str = "atlas"
    feature_type: str = "float32"
    visit_years: int = 2
    device: str = "cpu"
    slurm: Slurm = field(default_factory=Slurm)
    tls: Tls = field(default_factory=Tls)

    def __post_init__(self) -> None:
        _one_of("disclosure", self.disclosure, ("public", "restricted"))
        _one_of("map_lang", self.map_lang, ("en", "fr"))
        _one_of("context", self.context, (1, 3))
        _one_of("feature_type", self.feature_type, ("float32", "float16"))
        _one_of("recipe", self.recipe, tuple(RECIPES))
        _one_of("device", self.device, ("cpu", "cuda"))
        _one_of("failed_scenes", self.failed_scenes, ("stop", "mark"))
        season_windows(self.season)
        self._check_workspace()
        if not 0 <= self.prevalence < 1:
            raise ConfigError(f"prevalence must lie between 0 and 1, not at {self.prevalence}")
        if not 0 < self.min_observed <= 1:
            raise ConfigError(
                f"min_observed must lie above 0 and at most at 1, not {self.min_observed}"
            )
        if not 0 <= self.prior < 1:
            raise ConfigError(f"prior must lie from 0 to below 1, not {self.prior}")
        if not 0 < self.positive_share < 1:
            raise ConfigError(f"positive_share must lie between 0 and 1, not {self.positive_share}")
        if not re.fullmatch(_BLENDS, self.blend):
            raise ConfigError(
                f"blend must be median, percentile-1 to percentile-99, medoid or geometric-median, "
                f"not {self.blend!r}"
            )
        if not re.fullmatch(r"(\d|1[01])(,(\d|1[01]))*", self.scl_unclear):
            raise ConfigError(f"scl_unclear must be classes of 0 to 11, not {self.scl_unclear!r}")
        for name in ("max_cloud", "read_seconds", "read_timeout", "backoff"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} must lie above 0, not {getattr(self, name)}")
        if not re.fullmatch(r"[1-9](,[1-9])*", self.patches):
            raise ConfigError(f"patches must be sizes of 1 to 9 px, not {self.patches!r}")
        least_of = {"workers": 0, "max_blocks": 1, "filters": 1, "seed": 0, "visit_years": 0}
        least_of |= {"cloud_dilation": 0, "read_tries": 1, "verify_mib": 0, "connections": 1}
        least_of |= {"random_places": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Patch sizes of a newly sampled bank in pixels."""
        return tuple(int(size) for size in self.patches.split(","))

    @property
    def collections(self) -> tuple[str, ...]:
        """Collections to search in."""
        return tuple(name.strip() for name in self.collection.split(","))

    def _check_workspace(self) -> None:
        if "://" not in self.workspace and is_mirror(Path(self.workspace)):
            raise ConfigError(
                "this folder is one machine's copy of a workspace on object storage",
                where=self.workspace,
                next_step="WORKSPACE=s3://..., as the folder's name says",
            )
        if not self.home.parts:
            raise ConfigError("workspace must not be empty")

    def opened(self) -> Config:
        """Return itself; a workspace on object storage is looked at first.

        Raises
        ------
        ObjectStoreError
            If it cannot be used.
        """
        # For the workers that this process starts, too.
        if self.plain_http:
            os.environ[PLAIN_HTTP] = "true"
        if self.s3_profile:
            os.environ[PROFILE] = self.s3_profile
        opened(self.home)
        return self

    @property
    def home(self) -> Path:
        """The workspace's folder on this machine."""
        if "://" in self.workspace:
            return root_of(self.workspace, self.mirror)
        return Path(self.workspace)

    @property
    def raw(self) -> Path:
        """What came from outside: downloads, the demo's imagery."""
        return self.home / "raw"

    @property
    def interim(self) -> Path:
        """The stages' stores, which later runs reuse."""
        return self.home / "interim"

    @property
    def processed(self) -> Path:
        """The runs' folders: what users open."""
        return self.home / "processed"


TABLES: dict[str, Any] = {"slurm": Slurm, "tls": Tls}


def load_config(
    file: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Config:
    """Merge a TOML file, ``ASM_ATLAS_*`` variables and command-line options, in this order.

    Parameters
    ----------
    file : str or pathlib.Path, optional
        A TOML file of configuration keys.
    environment : mapping, optional
        Default: the process's environment.
    options : mapping, optional
        Command-line options; those that are None were not given.

    Returns
    -------
    Config
        The merged configuration.

    Raises
    ------
    ConfigError
        If a key is unknown, or a value is of the wrong kind or out of its range.
    """
    merged: dict[str, Any] = {}
    if file is not None:
        try:
            merged.update(_flat(tomllib.loads(Path(file).read_text(encoding="utf-8"))))
        except (OSError, ValueError) as error:
            what = f"the configuration cannot be read: {error}"
            step = "--config names a TOML file of keys: check the path, and text in quotes"
            raise ConfigError(what, where=str(file), next_step=step) from None
    dotted = {key.replace(".", "_"): key for key in known_keys()}
    for name, value in (os.environ if environment is None else environment).items():
        if name.startswith(ENVIRONMENT_PREFIX) and name not in _NOT_CONFIGURATION and value:
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            merged[dotted.get(key, key)] = value
    merged.update({key: value for key, value in (options or {}).items() if value is not None})
    known = known_keys()
    for key in merged:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ConfigError(
                f"unknown configuration key {key!r}",
                next_step=f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(known),
            )
    plain: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {name: {} for name in TABLES}
    for key, value in merged.items():
        table, _, name = key.rpartition(".")
        (tables[table] if table else plain)[name] = _cast(key, value, known[key])
    return Config(**plain, **{name: TABLES[name](**given) for name, given in tables.items()})


def known_keys() -> dict[str, type]:
    """Return the kind of every key; those of a table as ``table.key``."""
    keys = {f.name: type(f.default) for f in dataclasses.fields(Config) if f.name not in TABLES}
    for name, table in TABLES.items():
        keys |= {f"{name}.{f.name}": type(f.default) for f in dataclasses.fields(table)}
    return keys


def settings_hash(config: Config) -> str:
    """Return the fingerprint of what a configuration says about the results."""
    kept = dataclasses.asdict(config)
    return fingerprint({key: value for key, value in kept.items() if key not in SURROUNDINGS})


def _flat(given: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in given.items():
        if key in TABLES and isinstance(value, dict):
            flat |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            flat[key] = value
    return flat


def fingerprint(value: Any) -> str:
    """Return the first 16 hexadecimal digits of the sha256 of a value's canonical JSON.

    Parameters
    ----------
    value : object
        What JSON can hold; NaN and infinity are refused.

    Returns
    -------
    str
        The digits.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _cast(key: str, value: Any, kind: type) -> Any:
    wrong = ConfigError(f"{key} must be {_KINDS[kind]}, not {value!r}")
    if kind is bool:
        value = _TRUTH.get(value, value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise wrong
        return value
    allowed = {int: int | str, float: int | float | str, str: str}[kind]
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise wrong
    try:
        return kind(value)
    except (ValueError, OverflowError):
        raise wrong from None


def _one_of(key: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        near = difflib.get_close_matches(str(value), map(str, allowed), n=1)
        raise ConfigError(
            f"{key} must be one of {', '.join(map(str, allowed))}, not {value!r}",
            next_step=f"write {key.upper()}={near[0] if near else allowed[0]}",
        )
