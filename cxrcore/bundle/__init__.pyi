from .calibrators import Calibration, fit_calibration, to_probabilities
from .config import BundleConfig, EnsembleConfig
from .folder import embedded_models, export_bundle, is_ensemble, read_config, read_ensemble, read_metrics, write_bundle
from .reference import Reference, origin, parse_reference
from .weights import check_weights, read_network

__all__ = [
    "BundleConfig",
    "Calibration",
    "EnsembleConfig",
    "Reference",
    "check_weights",
    "embedded_models",
    "export_bundle",
    "fit_calibration",
    "is_ensemble",
    "origin",
    "parse_reference",
    "read_config",
    "read_ensemble",
    "read_metrics",
    "read_network",
    "to_probabilities",
    "write_bundle",
]
