"""Where each channel of the policy leads: Apprise URLs from a file, secrets from the environment, no defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import apprise
import yaml

from schemas.errors import OneLineError

LANGUAGES: Mapping[str, tuple[str, ...]] = {"es": ("es",), "en": ("en",), "both": ("es", "en")}
_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


class TargetsError(OneLineError, ValueError):
    """The file cannot be used; one line that names the channel, never a URL, since URLs hold secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Apprise URLs of each channel, and the languages of the messages."""

    languages: tuple[str, ...]
    channels: Mapping[str, tuple[str, ...]]

    def of(self, channels: Collection[str]) -> tuple[str, ...]:
        """The URLs of these channels, each once."""
        return tuple(dict.fromkeys(url for channel in channels for url in self.channels.get(channel, ())))


def load_targets(path: Path, needed: Collection[str], env: Mapping[str, str] = os.environ) -> Targets:
    """Read `{language: es|en|both, channels: {"#emergencias": [URL, …]}}`; `${NAME}` is taken from `env`.

    Every channel in `needed` must be named: a channel that leads nowhere is an alarm that nobody hears, so an empty
    list has to be written down. Raises TargetsError.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TargetsError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError:
        # Its text may quote a URL.
        raise TargetsError(f"{path}: not YAML") from None
    if not isinstance(content, dict) or not isinstance(content.get("channels"), dict):
        raise TargetsError(f"{path}: must hold `channels`, a list of Apprise URLs for each")
    if unknown := set(content) - {"language", "channels"}:
        raise TargetsError(f"{path}: unknown entry {sorted(map(str, unknown))[0]}")
    language = content.get("language", "both")
    if language not in LANGUAGES:
        raise TargetsError(f"{path}: language must be es, en or both")
    channels = {str(name): _urls(path, str(name), urls, env) for name, urls in content["channels"].items()}
    if missing := sorted(set(needed) - set(channels)):
        raise TargetsError(f"{path}: channel {missing[0]} of the policy has no entry; write [] if it leads nowhere")
    if not any(channels.values()):
        raise TargetsError(f"{path}: no channel leads anywhere")
    return Targets(languages=LANGUAGES[language], channels=channels)


def _urls(path: Path, channel: str, urls: object, env: Mapping[str, str]) -> tuple[str, ...]:
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise TargetsError(f"{path}: {channel} must be a list of Apprise URLs")
    found = []
    for position, url in enumerate(urls, start=1):
        for name in _VARIABLE.findall(url):
            if not env.get(name):
                raise TargetsError(f"{path}: {channel}, target {position}: the variable {name} is not set")
        filled = _VARIABLE.sub(lambda match: env[match[1]], url)
        if not apprise.Apprise().add(filled):
            raise TargetsError(f"{path}: {channel}, target {position} is no URL that Apprise knows")
        found.append(filled)
    return tuple(found)
