"""The configuration: frozen groups of keys, from a TOML file, the environment, the command line.

A key means the same everywhere: ``tries`` in the file's table ``[reading]`` (or ``read_tries``
outside of all tables), ``ASM_ATLAS_READ_TRIES`` in the environment (where the Makefile puts
``READ_TRIES=...``) and ``--read-tries`` on the command line; the later wins. An unknown key is an
error, and the hash of what a result depends on goes into every output.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from features.recipe import RECIPES
from pipeline.geo.seasons import season_windows
from pipeline.imagery.blend import BLENDS, is_blend
from pipeline.runtime.cluster_settings import ClusterSettings, Slurm, Tls
from pipeline.runtime.settings import (
    Allowed,
    Key,
    Settings,
    between,
    find_key,
    form,
    keys_of,
    one_of,
    read_file,
    setting,
)
from pipeline.runtime.workspace import WorkspaceSettings
from pipeline.words.catalogue import ENGLISH, languages

ENVIRONMENT_PREFIX = "ASM_ATLAS_"
# Variables of this prefix that are not configuration: where the tests find real data.
_NOT_CONFIGURATION = {"ASM_ATLAS_TEST_DATA"}
# What changes where and how fast a run works, and never what it gives.
SURROUNDINGS = (
    "workspace", "mirror", "plain_http", "s3_profile", "cluster", "workers", "log", "slurm", "tls",
)  # fmt: skip
_BLENDS = Allowed(f"one of {', '.join(BLENDS)} (N: 1 to 99)", is_blend)
_CLASSES = form(r"(\d|1[01])(,(\d|1[01]))*", "classes of 0 to 11")
_PATCHES = form("[1-9](,[1-9])*", "sizes of 1 to 9 px")


@dataclass(frozen=True)
class RunSettings(Settings):
    """Region, season and bounds of a run.

    Parameters
    ----------
    region : str
        A region's name, a GeoJSON or GeoPackage file, or ``bbox:west,south,east,north``.
    season : str
        Months of the images, ``YYYY-MM..YYYY-MM``, both included. Empty: what the region names,
        else every date. Several with commas: one composite of the same months of several years.
    seed : int
        Seed of the demo's landscape, and of what is drawn at random.
    max_blocks : int
        A region of more 0.1-degree blocks than this is refused.
    log : str
        File to which every step and block is appended as a line of JSON.
    """

    region: str = setting("region", "")
    season: str = setting("season", "", common=True)
    seed: int = setting("seed", 1, between(least=0))
    max_blocks: int = setting("max_blocks", 50_000, between(least=1))
    log: str = setting("log", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        season_windows(self.season)


@dataclass(frozen=True)
class ImagerySettings(Settings):
    """Which images are used, and how they become one.

    Parameters
    ----------
    source : str
        Where imagery is found: ``planetary-computer``, ``earth-search``, ``copernicus``, an
        address, a folder; ``auto``: what the region names. An address is that of a STAC API, a
        folder holds a static catalogue, and a file lists items, such as a stored scene manifest.
        The demo region names its simulated catalogue.
    collection : str
        Collection of a STAC API, or several with commas. For example
        ``sentinel-2-l2a,sentinel-1-rtc``.
    bands : str
        Bands to composite, such as ``B04,B03,B02,VV``; empty: all usual ones. The usual ones
        are six, and radar, where the imagery has them.
    hosts : str
        Further hosts where assets may lie, with commas, such as ``files.example.org`` or
        ``127.0.0.1:8081``.
    max_cloud : float
        Scenes of more cloud than this are left out. In per cent, as the catalogue says; 100: none.
    blend : str
        How observations become one.
    scl_unclear : str
        Classes of the scene classification that are not a clear view of the ground.
    cloud_dilation : int
        Pixels by which clouds and shadows are grown.
    """

    source: str = setting("source", "auto", common=True)
    collection: str = setting("collection", "sentinel-2-l2a", common=True)
    bands: str = setting("bands", "", common=True)
    hosts: str = setting("hosts", "")
    max_cloud: float = setting("max_cloud", 100.0, between(above=0), common=True)
    blend: str = setting("blend", "median", _BLENDS)
    scl_unclear: str = setting("scl_unclear", "0,1,3,8,9,10", _CLASSES)
    cloud_dilation: int = setting("cloud_dilation", 0, between(least=0))

    @property
    def collections(self) -> tuple[str, ...]:
        """Collections to search in."""
        return tuple(name.strip() for name in self.collection.split(","))


@dataclass(frozen=True)
class ReadingSettings(Settings):
    """How imagery is read, and what becomes of reads that fail.

    Parameters
    ----------
    failed_scenes : str
        A scene that cannot be read: ``stop`` fails its block, ``mark`` leaves a gap. With ``mark``
        the block is made from the other scenes, the gap is counted as failed, and the command ends
        with an exit code of its own.
    tries : int
        Tries of one request, or of decoding one window, before it counts as failed.
    seconds : float
        Seconds for one file's window, all tries together.
    timeout : float
        Seconds without a byte.
    backoff : float
        Seconds before the second try, doubled each time.
    verify_mib : int
        A file up to this size with a checksum in the catalogue is read whole and checked.
    connections : int
        Files of one scene that are read side by side.
    """

    failed_scenes: str = setting("failed_scenes", "stop", one_of("stop", "mark"), common=True)
    tries: int = setting("read_tries", 5, between(least=1))
    seconds: float = setting("read_seconds", 300.0, between(above=0))
    timeout: float = setting("read_timeout", 30.0, between(above=0))
    backoff: float = setting("backoff", 0.5, between(above=0))
    verify_mib: int = setting("verify_mib", 16, between(least=0))
    connections: int = setting("connections", 8, between(least=1))


@dataclass(frozen=True)
class LabelSettings(Settings):
    """What is known of mines: for training, and for joining with the map.

    Parameters
    ----------
    file : str
        What is known of mines: visits (.csv, .gpkg, a WFS) or polygons (.gpkg, .geojson, .shp).
        Empty: what the region names. Visits, in the IPIS form (in a GeoPackage: the table
        ``visits``), are trained on and joined with, polygons are trained on.
    mapping : str
        What the columns of visits in another form are: a file (.toml), ``car``, ``tanzania`` or
        ``zimbabwe``. Empty: IPIS's table of the DRC, or polygons.
    column : str
        Column of the polygons' labels (1 mine, 0 looks like one), where they have it; ``none``:
        every polygon is a mine.
    searched : str
        File of the area in which the polygons are all the mines that there are.
    inspections : str
        Points with a label (mine, no mine, look-alike, cannot tell) and a date, to train on.
    use_sample : str
        A labelled sample (``asm-atlas sample``) to train on. It can then no longer estimate areas
        for the maps of those models.
    prior : float
        Share of mines among the unlabelled cells that are trained on; 0: estimated from them.
    positive_share : float
        What share of all the weight mines get where others are unlabelled.
    visit_years : int
        A visit is used with the imagery of a season at most this many years away from it.
    """

    file: str = setting("labels", "", common=True)
    mapping: str = setting("labels_mapping", "")
    column: str = setting("label_column", "label")
    searched: str = setting("searched", "")
    inspections: str = setting("inspections", "")
    use_sample: str = setting("use_sample", "")
    prior: float = setting("prior", 0.0, between(least=0, below=1))
    positive_share: float = setting("positive_share", 0.1, between(above=0, below=1))
    visit_years: int = setting("visit_years", 2, between(least=0))


@dataclass(frozen=True)
class FeatureSettings(Settings):
    """How features are computed and stored.

    Parameters
    ----------
    filters : int
        Filters of a newly sampled bank, for each of its patch sizes.
    patches : str
        Patch sizes of a newly sampled bank in pixels, such as ``3,5``.
    neighbourhood : int
        Side, in cells, of the square whose mean features a newly trained model sees with each
        cell's own; 1: none.
    recipe : str
        How patches become the filters of a newly sampled bank. ``atlas-quarters`` is for models of
        chips, the others are published definitions (``features.recipe``).
    dtype : str
        How features are stored; ``float16``: in half the room and to three digits.
    device : str
        Where features are computed; ``cuda``: on a GPU, by torch.
    """

    filters: int = setting("filters", 64, between(least=1))
    patches: str = setting("patches", "3,5", _PATCHES)
    neighbourhood: int = setting("context", 1, one_of(1, 3))
    recipe: str = setting("recipe", "atlas", one_of(*RECIPES))
    dtype: str = setting("feature_type", "float32", one_of("float32", "float16"))
    device: str = setting("device", "cpu", one_of("cpu", "cuda"))

    @property
    def patch_sizes(self) -> tuple[int, ...]:
        """Patch sizes of a newly sampled bank in pixels."""
        return tuple(int(size) for size in self.patches.split(","))


@dataclass(frozen=True)
class ModelSettings(Settings):
    """Which model is used, and how its scores are read.

    Parameters
    ----------
    name : str
        A registered model, or ``auto``: the nearest one that fits the imagery.
    prevalence : float
        Share of cells with mining in the region; 0: as in training. Probabilities are corrected
        to it.
    min_observed : float
        A cell with less than this share of its windows observed is called "cannot tell".
    """

    name: str = setting("model", "auto", common=True)
    prevalence: float = setting("prevalence", 0.0, between(least=0, below=1), common=True)
    min_observed: float = setting("min_observed", 0.25, between(above=0, most=1))


@dataclass(frozen=True)
class MapSettings(Settings):
    """What the map shows, to whom, and in which language.

    Parameters
    ----------
    disclosure : str
        Who the map is for; ``public``: coarse, safe to hand on.
    language : str
        Language of names and styles in the map.
    layers : str
        Folder of context layers, and of declarations of one's own; empty: ``layers`` in the
        workspace.
    removals : str
        List of requests to be left out (.csv), see ``data/DISCLOSURE.md``; empty: the workspace's
        ``removals.csv``, if any.
    random_places : int
        Cells below possible that are drawn for visits, as candidates are, so that visits measure
        what the map misses; 0: none.
    """

    disclosure: str = setting("disclosure", "public", one_of("public", "restricted"), common=True)
    language: str = setting("map_lang", ENGLISH, one_of(*languages()), common=True)
    layers: str = setting("layers", "")
    removals: str = setting("removals", "")
    random_places: int = setting("random_places", 20, between(least=0))


@dataclass(frozen=True)
class Config:
    """All settings of a run, in groups; each is a table of the TOML file.

    Parameters
    ----------
    run : RunSettings
        ``[run]``.
    imagery : ImagerySettings
        ``[imagery]``.
    reading : ReadingSettings
        ``[reading]``.
    labels : LabelSettings
        ``[labels]``.
    features : FeatureSettings
        ``[features]``.
    model : ModelSettings
        ``[model]``.
    map : MapSettings
        ``[map]``.
    workspace : WorkspaceSettings
        ``[workspace]``.
    cluster : ClusterSettings
        ``[cluster]``.
    slurm : Slurm
        ``[slurm]``.
    tls : Tls
        ``[tls]``.
    """

    run: RunSettings = field(default_factory=RunSettings)
    imagery: ImagerySettings = field(default_factory=ImagerySettings)
    reading: ReadingSettings = field(default_factory=ReadingSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    features: FeatureSettings = field(default_factory=FeatureSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    map: MapSettings = field(default_factory=MapSettings)
    workspace: WorkspaceSettings = field(default_factory=WorkspaceSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    slurm: Slurm = field(default_factory=Slurm)
    tls: Tls = field(default_factory=Tls)

    def with_keys(self, **values: Any) -> Config:
        """Return itself with other values.

        Parameters
        ----------
        **values : object
            By the keys' names, such as ``read_tries=3``.

        Returns
        -------
        Config
            Checked.

        Raises
        ------
        ConfigError
            If a key is unknown, or a value out of its range.
        """
        changed: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            key = find_key(name, known_keys())
            changed.setdefault(key.group, {})[key.field] = value
        groups = {
            name: dataclasses.replace(getattr(self, name), **new) for name, new in changed.items()
        }
        return dataclasses.replace(self, **groups)

    def value(self, key: Key) -> Any:
        """Return the value of a key."""
        return getattr(getattr(self, key.group), key.field)

    def flat(self) -> dict[str, Any]:
        """Return all values by the names of their keys, as manifests record them."""
        found: dict[str, Any] = {}
        for name, key in known_keys().items():
            table, _, last = name.rpartition(".")
            (found.setdefault(table, {}) if table else found)[last] = self.value(key)
        return found


@cache
def known_keys() -> dict[str, Key]:
    """Return every key by its name, group by group; Slurm's and TLS's are ``table.key``."""
    return {key.name: key for group in vars(Config()).items() for key in keys_of(*group)}


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
        Command-line options by the keys' names; those that are None were not given.

    Returns
    -------
    Config
        The merged configuration.

    Raises
    ------
    ConfigError
        If a key is unknown or given twice, or a value is of the wrong kind or out of its range.
    """
    merged = read_file(file, known_keys()) if file is not None else {}
    names = {key.variable: name for name, key in known_keys().items()}
    for variable, value in (os.environ if environment is None else environment).items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NOT_CONFIGURATION and value:
            name = variable.removeprefix(ENVIRONMENT_PREFIX)
            merged[names.get(name, name.lower())] = value
    merged |= {name: value for name, value in (options or {}).items() if value is not None}
    return Config().with_keys(
        **{name: find_key(name, known_keys()).cast(value) for name, value in merged.items()}
    )


def settings_hash(config: Config) -> str:
    """Return the fingerprint of what a configuration says about the results."""
    return fingerprint({k: v for k, v in config.flat().items() if k not in SURROUNDINGS})


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
