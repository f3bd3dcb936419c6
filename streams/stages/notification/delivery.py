"""One message to one target, with a key by which the target can tell a repetition."""

from __future__ import annotations

from uuid import UUID

import apprise

from streams.stages.notification.message import Message

#: Apprise schemes that let a sender add headers of its own. Others (Slack, Teams, …) know no idempotency.
_WITH_HEADERS = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"})
KEY_HEADER = "Idempotency-Key"


def deliver(url: str, message: Message, event_id: UUID) -> bool:
    """Send, and say whether the target confirmed. Blocking. Every try for the same event carries the same key."""
    target = apprise.Apprise()
    return bool(
        target.add(with_key(url, event_id))
        and target.notify(title=message.title, body=message.body, body_format=apprise.NotifyFormat.TEXT)
    )


def with_key(url: str, event_id: UUID) -> str:
    """The URL with the idempotency key, where its scheme can carry one."""
    if url.partition("://")[0].lower() not in _WITH_HEADERS:
        return url
    return f"{url}{'&' if '?' in url else '?'}+{KEY_HEADER}={event_id}"
