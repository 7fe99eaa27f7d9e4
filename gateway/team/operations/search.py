"""Which rows of a list a search finds."""

from sqlalchemy import ColumnElement, false, or_


def has_text(search: str, *columns: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether one of these columns has the text in it, in capital or small letters."""
    if "\0" in search:  # no name has one; SQLite would search for what stands before it, and PostgreSQL takes none
        return false()
    return or_(*(column.icontains(search, autoescape=True) for column in columns))
