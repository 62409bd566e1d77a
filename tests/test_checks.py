"""The static checks look at every package there is."""

import tomllib

from qa_webhook import local


def test_types_and_layers_are_checked_in_every_package() -> None:
    packages = {place.parent.name for place in local.BASE_DIR.glob("*/__init__.py")}
    tools = tomllib.loads((local.BASE_DIR / "pyproject.toml").read_text())["tool"]

    assert packages <= set(tools["mypy"]["files"])
    assert packages - {"tests"} == set(tools["importlinter"]["root_packages"])
