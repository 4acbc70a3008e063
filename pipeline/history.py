"""Undo and redo over the edits of a session: which of them is shown.

Edits are never taken back from the folder. Each knows the one that it goes on from, so that they
form a tree; undo goes towards its root, the untouched photo, and redo to the newest branch.
"""

from pipeline.errors import SessionError
from pipeline.session import Session
from pipeline.stored import SHOWN, recall_edit


def shown_edit(session: Session) -> int:
    """Number of the edit that is shown, 0 for the untouched photo; a new edit is shown at once."""
    number = session.reports.get(SHOWN, {}).get("edit", 0)
    return number if isinstance(number, int) and number in session.edits else 0


def undo(session: Session) -> int:
    """Show what the shown edit goes on from, and give its number.

    Raises:
        SessionError: The untouched photo is shown.
    """
    number = shown_edit(session)
    if number == 0:
        raise SessionError(f"{session.folder} shows the untouched photo: there is nothing to undo")
    return _show(session, recall_edit(session, number).parent)


def redo(session: Session) -> int:
    """Show the newest edit that goes on from the shown one, and give its number.

    Raises:
        SessionError: No edit does.
    """
    number = shown_edit(session)
    further = [k for k in session.edits if recall_edit(session, k).parent == number]
    if not further:
        shown = f"edit {number}" if number else "the untouched photo"
        raise SessionError(f"{session.folder}: no edit goes on from {shown}, nothing to redo")
    return _show(session, further[-1])


def _show(session: Session, number: int) -> int:
    session.keep({}, SHOWN, {"edit": number})
    return number
