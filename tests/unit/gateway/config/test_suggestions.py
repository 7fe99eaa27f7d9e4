"""Names that are near one that is wrong: looked for where that is quickly done."""

from gateway.config.validation_messages import suggested

FEW = [f"deployment-{number:05}" for number in range(300)]


def test_the_nearest_of_some_hundred_names_is_suggested() -> None:
    assert "did you mean `deployment-" in suggested("deployment-0002", FEW)


def test_of_thousands_none_is_looked_for() -> None:
    assert suggested("deployment-0002", [*FEW, "one-more"]) == ""


def test_for_a_name_longer_than_any_none_is_looked_for() -> None:
    assert suggested("deployment-" * 40, ["deployment-" * 39]) == ""
