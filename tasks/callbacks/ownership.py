"""The secret that an owner's callbacks are signed with, instead of the hub's: set, replaced and removed by the owner.

While one is being replaced the new and the former both sign, and receivers accept either. It is shown once.
"""

from __future__ import annotations

from typing import Any

from tasks import audit
from tasks.callbacks.signature import generate_secret
from tasks.database import transactional
from tasks.models import CallbackSecret


@transactional
def rotate(user: Any) -> str:
    """A new secret, which signs from now on; the one before it, if there was one, signs besides until `retire`."""
    made = generate_secret()
    own = _own(user)
    before = own.secret.split()[:1] if own else []
    own, _ = CallbackSecret.objects.update_or_create(user=user, defaults={"secret": " ".join([made, *before])})
    audit.record(user, [own], "rotate: own → new and former" if before else "set: the hub's → own")
    return made


@transactional
def retire(user: Any) -> bool:
    """The former secret signs no more. False when there was none."""
    own = _own(user)
    if own is None or not has_former(own):
        return False
    own.secret = own.secret.split()[0]
    own.save(update_fields=["secret"])
    audit.record(user, [own], "retire: new and former → new")
    return True


@transactional
def remove(user: Any) -> bool:
    """The hub's secret signs again. False when it did already."""
    own = _own(user)
    if own is None:
        return False
    audit.record(user, [own], "remove: own → the hub's")
    own.delete()
    return True


def has_former(own: CallbackSecret) -> bool:
    return " " in own.secret


def _own(user: Any) -> CallbackSecret | None:
    return CallbackSecret.objects.select_for_update().filter(user=user).first()
