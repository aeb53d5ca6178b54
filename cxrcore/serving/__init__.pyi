from .catalog import Catalog, analysis_report, model_facts, open_catalog
from .deployment import DeploymentConfig, read_deployment
from .example_films import ExampleFilm, fetch_example_film, list_example_films
from .hub_catalog import HubCatalog, NewerRevision, hub_open_to_visitors, is_local
from .notices import DISCLAIMER, SYNTHETIC_MODEL, Notices, read_notices
from .recent_films import RecentFilms

__all__ = [
    "DISCLAIMER",
    "SYNTHETIC_MODEL",
    "Catalog",
    "DeploymentConfig",
    "ExampleFilm",
    "HubCatalog",
    "NewerRevision",
    "Notices",
    "RecentFilms",
    "analysis_report",
    "fetch_example_film",
    "hub_open_to_visitors",
    "is_local",
    "list_example_films",
    "model_facts",
    "open_catalog",
    "read_deployment",
    "read_notices",
]
