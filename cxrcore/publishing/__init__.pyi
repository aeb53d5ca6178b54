from .commit import Published, check_push
from .embed import embed_bundle
from .ensemble import make_ensemble
from .model_card import illustrate, write_model_card
from .push import prepare_push, push_bundle
from .space_upload import deploy_space
from .spaces import Screen, SpacePlan, plan_space, space_url, write_space

__all__ = [
    "Published",
    "Screen",
    "SpacePlan",
    "check_push",
    "deploy_space",
    "embed_bundle",
    "illustrate",
    "make_ensemble",
    "plan_space",
    "prepare_push",
    "push_bundle",
    "space_url",
    "write_model_card",
    "write_space",
]
