"""What a bundle holds about how it was made and measured: the record that the reporting checklists are filled from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from cxrcore.bundle.config import BundleConfig, EnsembleConfig
from cxrcore.bundle.folder import is_ensemble, member_folders, read_config, read_ensemble, weights_digest
from cxrcore.bundle.weights import WEIGHTS
from cxrcore.errors import InvalidBundle, InvalidPredictions
from cxrcore.evaluation.record import METRICS, Metrics, read_metrics
from cxrcore.evaluation.robustness import read_robustness
from cxrcore.evaluation.split_origins import UNKNOWN
from cxrcore.evaluation.subgroups import Gap, groups_of, subgroup_gaps
from cxrcore.predictions.record import PREDICTIONS, Predictions

UNNAMED = ("", "folders", "csv")  # datasets whose name does not tell which films they are
_SEVERAL = "composed"  # films of several datasets


@dataclass(frozen=True, eq=False)
class BundleFacts:
    """A bundle's config, recipes and scores; an ensemble's are those of its members and its own scores."""

    folder: Path
    config: BundleConfig | EnsembleConfig
    members: tuple[BundleConfig, ...]  # a single network is its own only member
    member_folders: tuple[Path, ...]
    scores: tuple[Metrics, ...]  # every evaluation in the folder

    @property
    def ensemble(self) -> bool:
        """Whether several networks answer as one."""
        return isinstance(self.config, EnsembleConfig)

    @property
    def provenances(self) -> list[Mapping[str, Any]]:
        """How each network was made, those alike in data and split once."""
        each = [member.provenance for member in self.members]
        unlike = {(facts.get("dataset"), facts.get("split_sha256"), facts.get("seed")): facts for facts in each}
        return list(unlike.values())

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets that the networks learned from; empty for an unknown one."""
        return list(dict.fromkeys(str(facts.get("dataset") or "") for facts in self.provenances))

    @property
    def synthetic(self) -> bool:
        """Whether every network learned from drawn films alone."""
        return all(bool(facts.get("synthetic")) for facts in self.provenances)

    @property
    def public(self) -> bool:
        """Whether all training films are of public collections (or drawn)."""
        return not set(self.datasets) & set(UNNAMED)

    def stated(self, key: str) -> str:
        """What the provenance of the networks says under a key, each once; empty unless all of them say it."""
        values = [str(facts.get(key) or "") for facts in self.provenances]
        return "; ".join(dict.fromkeys(values)) if all(values) else ""

    def of_source(self, key: str) -> str:
        """What is known of the films' sources under a key (title, url, license, who), each once."""
        sources = [facts.get("source") or {} for facts in self.provenances]
        return "; ".join(dict.fromkeys(str(source[key]) for source in sources if source.get(key)))

    @cached_property
    def recipes(self) -> list[dict[str, Any]]:
        """The resolved recipe of each network; empty unless all of them have one that can be read."""
        recipes = []
        for folder in self.member_folders:
            try:
                recipe = yaml.safe_load((folder / "recipe.yaml").read_text("utf-8"))
            except (OSError, UnicodeDecodeError, yaml.YAMLError):
                return []
            if not isinstance(recipe, dict):
                return []
            recipes.append(recipe)
        return recipes

    def setting(self, section: str, key: str) -> list[Any]:
        """Distinct values of a recipe's setting over the networks; empty where a recipe lacks it."""
        values: list[Any] = []
        for recipe in self.recipes:
            part = recipe.get(section)
            if not isinstance(part, dict) or key not in part:
                return []
            if part[key] not in values:
                values.append(part[key])
        return values

    @property
    def internal(self) -> Metrics | None:
        """Scores on held-out patients of the training films' dataset."""
        held_out = (one for one in self.scores if one.split == "test" and one.dataset in self.datasets)
        return next(held_out, None)

    @property
    def external(self) -> list[Metrics]:
        """Scores on people's films of another dataset than any of training's, both known by name."""
        trained = set(self.datasets)
        if trained & {*UNNAMED, _SEVERAL}:
            return []
        vague = trained | {*UNNAMED, _SEVERAL, "phantom"}
        held_out = [one for one in self.scores if one.split in ("test", "all")]
        return [one for one in held_out if one.dataset not in vague and one.origin is not UNKNOWN]

    @cached_property
    def robustness(self) -> dict[str, Any] | None:
        """Scores of the films behind ``internal`` under harmless changes; None where they were not measured."""
        scores = self.internal
        folder = scores and self.folder / "evaluation" / f"{scores.dataset}-{scores.split}"
        return read_robustness(folder, scores.model) if scores and folder else None

    @cached_property
    def films(self) -> Predictions | None:
        """The films behind ``internal``; None where their table is not at hand."""
        scores = self.internal
        if scores is None:
            return None
        try:
            table = Predictions.read(self.folder / "evaluation" / f"{scores.dataset}-{scores.split}" / PREDICTIONS)
            return table.of_split(scores.split)
        except InvalidPredictions:
            return None

    @cached_property
    def gaps(self) -> list[Gap]:
        """AUROC by finding and group of the held-out films; empty without sex, age or view of their patients."""
        films = self.films
        if films is None or not (groups := groups_of(films.metadata, together=1)):
            return []
        gaps = subgroup_gaps(films, groups=groups)
        return [gap for gap in gaps if gap.measure == "auroc" and gap.score.value is not None]

    @property
    def version(self) -> str:
        """The first digits of the weights' SHA-256; empty where the weights are not at hand."""
        try:
            if self.ensemble:
                return " and ".join(dict.fromkeys(weights_digest(folder) for folder in self.member_folders))
            return weights_digest(self.folder)
        except OSError:
            return ""

    @property
    def weights_bytes(self) -> int:
        """Size of all weights; 0 where they are not at hand."""
        paths = [folder / WEIGHTS for folder in self.member_folders]
        return sum(path.stat().st_size for path in paths) if all(path.is_file() for path in paths) else 0

    def each_has(self, name: str) -> bool:
        """Whether a file lies in the folder of every network."""
        return all((folder / name).is_file() for folder in self.member_folders)


def read_facts(folder: Path, config: BundleConfig | EnsembleConfig | None = None) -> BundleFacts:
    """The facts of a bundle or an ensemble; ``config``: as it will be written. Raises InvalidBundle."""
    if config is None:
        config = read_ensemble(folder) if is_ensemble(folder) else read_config(folder)
    if isinstance(config, EnsembleConfig):
        folders = tuple(member_folders(folder, config))
        members = tuple(read_config(member) for member in folders)
    else:
        folders, members = (folder,), (config,)
    try:
        scores = tuple(read_metrics(path) for path in sorted(folder.glob(f"evaluation/*/{METRICS}")))
    except InvalidPredictions as error:
        raise InvalidBundle(f"the scores of model {folder.name!r} cannot be read: {error}") from None
    return BundleFacts(folder, config, members, folders, scores)
