"""Hydra's access to neroRL's configs: YAML 1.2 files, and any neroRL config as the primary one.

A search path of neroRL has three parts: the primary file alone, completed by the documented
defaults; the directory it lies in; and the shipped ``conf/`` with its groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from neroRL.composition.completion import complete, defaults
from neroRL.config.documents import Document, read_document
from neroRL.config.published import modernise
from neroRL.errors import ConfigError, Problem

DEFAULTS_NAME = "nerorl_defaults"
# The group whose shipped files name only differences from the defaults of their type.
ENVIRONMENT = "environment"
_SWEEPER = {"override hydra/sweeper": "nerorl"}
# Groups that can be chosen for a config without a defaults list.
_GROUPS = ("environment", "model/memory")
_DIRECTORIES = {
    "run": {"dir": "runs/${run_id}/${now:%Y-%m-%d_%H-%M-%S}"},
    "sweep": {"dir": "grid_search/${run_id}", "subdir": "${hydra.job.num}"},
}


def shipped_conf() -> Path:
    """Returns the shipped ``conf/``: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


class FileSource(ConfigSource):
    """A directory of YAML 1.2 files, its subdirectories being groups."""

    @staticmethod
    def scheme() -> str:
        """Returns the scheme of this source's search path elements."""
        return "nerorl"

    def load_config(self, config_path: str) -> ConfigResult:
        """Reads one config; see Hydra's ``ConfigSource``."""
        document = read_document(self._file(config_path))
        content = document.data or {}
        if document.path.parent == shipped_conf() / ENVIRONMENT:
            content = complete({ENVIRONMENT: content})[ENVIRONMENT]
        return self._result(content, document.text)

    def available(self) -> bool:
        """Returns whether the directory exists."""
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        """Returns whether a path names a subdirectory."""
        return (Path(self.path) / config_path).is_dir()

    def is_config(self, config_path: str) -> bool:
        """Returns whether a path names a file."""
        return self._file(config_path).is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Returns the names of the configs and groups in a group."""
        found: list[str] = []
        for path in (Path(self.path) / config_path).iterdir():
            relative = str(path.relative_to(self.path))
            self._list_add_result(found, relative, path.name, results_filter)
        return sorted(set(found))

    def _file(self, config_path: str) -> Path:
        return Path(self.path) / self._normalize_file_name(config_path)

    def _result(self, content: dict[str, Any], text: str = "") -> ConfigResult:
        try:
            config = OmegaConf.create(content)
        except Exception as error:  # OmegaConf refuses keys and values in many ways
            raise ConfigLoadError(f"{self.path}: {error}") from error
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{self.path}",
            config=config,
            header=ConfigSource._get_header_dict(text),
        )


class PrimarySource(FileSource):
    """The primary config, completed with the defaults."""

    @staticmethod
    def scheme() -> str:
        """Returns the scheme of this source's search path elements."""
        return "nerorl-primary"

    def available(self) -> bool:
        """Returns whether the file exists."""
        return Path(self.path).is_file()

    def is_group(self, config_path: str) -> bool:
        """Returns whether a path names the root, the only group."""
        return config_path == ""

    def is_config(self, config_path: str) -> bool:
        """Returns whether a path names the primary config or the documented defaults."""
        return config_path.removesuffix(".yaml") in (DEFAULTS_NAME, Path(self.path).stem)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:  # noqa: ARG002
        """Returns nothing, since the directory's own source lists the file."""
        return []

    def load_config(self, config_path: str) -> ConfigResult:
        """Reads and completes the primary config."""
        if config_path == DEFAULTS_NAME:
            return self._result(
                {**defaults(), "defaults": ["_self_", _SWEEPER], "hydra": _DIRECTORIES}
            )
        document = read_document(Path(self.path))
        return self._result(primary_content(document), document.text)


def primary_content(document: Document) -> dict[str, Any]:
    """Returns the content of a primary config for Hydra.

    Args:
        document: a neroRL config, complete or not, or a Hydra config with a ``defaults`` list.

    Returns:
        A neroRL config merged onto the documented defaults of its environment; a Hydra config
        with those defaults before its own.

    Raises:
        ConfigError: the file is empty, no map, or asks for a feature that is not available.
    """
    if document.data is None:
        raise _not_a_config(document, "is empty")
    if not isinstance(document.data, dict):
        raise _not_a_config(document, f"holds a {type(document.data).__name__} at the top level")
    content, _ = modernise(document)
    if "defaults" in content:
        return {**content, "defaults": [DEFAULTS_NAME, *content["defaults"]]}
    directories = _merged(_DIRECTORIES, content.pop("hydra", None) or {})
    defaults_list = ["_self_", *({group: None} for group in _GROUPS), _SWEEPER]
    return {**complete(content), "hydra": directories, "defaults": defaults_list}


def _merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = OmegaConf.to_container(OmegaConf.merge(base, given))
    assert isinstance(merged, dict)
    return {str(key): value for key, value in merged.items()}


def _not_a_config(document: Document, problem: str) -> ConfigError:
    expected = "expected a map with environment, model, evaluation, sampler and trainer"
    return ConfigError([Problem("", f"{problem}; {expected}", str(document.path))])


class PrimarySearchPath(SearchPathPlugin):
    """Puts the primary file first, its directory second and the shipped groups last."""

    primary: ClassVar[Path]

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Replaces Hydra's plain-file element for the primary config's directory."""
        for element in search_path.get_path():
            if element.provider == "main":
                element.path = f"{FileSource.scheme()}://{self.primary.parent}"
        search_path.prepend("primary", f"{PrimarySource.scheme()}://{self.primary}", "main")
        shipped = f"{FileSource.scheme()}://{shipped_conf()}"
        search_path.append("nerorl", shipped, SearchPathQuery("main", None))
