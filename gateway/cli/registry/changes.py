"""What a command says that it has changed: a setting before and after; of a secret only whether it is set."""

from collections.abc import Callable, Mapping

from gateway.cli.output import print_json, say
from gateway.cli.registry.shared_options import as_option

Changed = Mapping[str, tuple[object, object]]  # by the name of the setting: before, after; None for its default


def say_changed(
    called: str, thing_id: str, changed: Changed, as_json: bool, in_words: Callable[[str, object, object], str]
) -> None:
    """Print what was changed. `in_words` takes a setting's name, one value, and the one before it, if any."""
    if as_json:
        said = {name: {"before": before, "after": after} for name, (before, after) in changed.items()}
        print_json({"id": thing_id, "done": "changed", "changed": said})
        return
    if not changed:
        say(f"{called} is like that already; nothing was changed.")
        return
    say(f"{called} is changed.")
    for name, (before, after) in changed.items():
        say(f"  {as_option(name)}: {in_words(name, before, None)} -> {in_words(name, after, before)}")
