"""Where models are kept: objects in the lake's bucket that are written whole, never changed, and named by their content.

`models/ID/FILE` and `models/ID/manifest.json` (written last: a model without one is not there yet); `aliases/NAME/NUMBER.json`,
one object for each change of an alias. The one with the highest number is what the alias means; the others are its history.
An object is created or it is not, by whoever comes first: two promotions at once cannot both get a number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.learn.registry.artifact import Artifact, Manifest, read_manifest
from quantlytic.model.errors import DataError, InputError, StoreError
from quantlytic.store.lake.objects import open_objects
from quantlytic.store.lake.reason import one_line

CHAMPION, CHALLENGER, PINNED = "champion", "challenger", "pinned"
PROMOTION, ROLLBACK, WITHDRAWAL, DAMAGED = "promotion", "rollback", "withdrawal", "damaged"
_ID = re.compile(r"[0-9a-f]{64}")
_ALIAS = re.compile(rf"[A-Za-z0-9][A-Za-z0-9:._-]*/[A-Za-z0-9][A-Za-z0-9:._-]*/({CHAMPION}|{CHALLENGER}|{PINNED})")
_CHANGE = re.compile(r"(\d{8})\.json")
_TRIES = 20


class AliasChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """From `time_ns` on the alias means `model_id`, "" for no model. `cause`: "promotion", "rollback" or "withdrawal"; `by`: who
    did it. `new_label`: that the model forecasts another label than the line did is meant.

    One that cannot be read has the cause "damaged", and what is wrong with it as its reason.
    """

    number: int
    model_id: str
    previous: str
    cause: str
    reason: str
    by: str
    time_ns: int
    new_label: bool = False


Changes = list[AliasChange]
Keys = list[str]
Manifests = list[Manifest]


def alias_of(line: str, role: str) -> str:
    """The alias of a line ("NAME/INSTRUMENT"): `alias_of("trend/pooled", "champion")`."""
    return f"{line}/{role}"


def went_before(history: Sequence[AliasChange], name: str) -> tuple[str, str]:
    """What an alias of that history meant before its last change that was not rolled back ("": no model), and what it means now.
    InputError where there was nothing before."""
    meant: list[str] = []
    for change in history:
        if change.cause == ROLLBACK and meant:
            meant.pop()
        else:
            meant.append(change.model_id)
    if len(meant) < 2:
        raise InputError(f"{name} has no earlier model to go back to")
    return meant[-2], meant[-1]


class Registry:
    """The models in the lake at `address`, a folder or a URL; `options` as `Lake` takes them."""

    def __init__(self, address: str | Path, options: Mapping[str, str] | None = None) -> None:
        self.address = str(address).rstrip("/")
        self._objects: Any = open_objects(self.address, options)

    # ---- models

    def put(self, artifact: Artifact) -> str:
        """Keep it; returns its id. What is there already stays as it is. StoreError when it cannot be written: then it is not
        there."""
        model_id, manifest = artifact.model_id, artifact.manifest
        if hashlib.sha256(artifact.content).hexdigest() != manifest.file_sha256:
            raise DataError(f"model {model_id[:12]}: its file is not the one its manifest speaks of")
        key = f"models/{model_id}/{manifest.file}"
        if not self._create(key, artifact.content) and self._get(key) != artifact.content:
            self._write(key, artifact.content)  # damaged since; its right bytes are known
        key = f"models/{model_id}/manifest.json"
        if not self._create(key, manifest.to_json()) and not self._is_sound(key, model_id):
            self._write(key, manifest.to_json())
        return model_id

    def get(self, model_id: str) -> Artifact:
        """A model, verified: DataError when a byte of it was changed or is missing, InputError when there is none."""
        manifest = self.manifest(model_id)
        key = f"models/{manifest.model_id}/{manifest.file}"
        content = self._get(key)
        if content is None:
            raise DataError(f"{self.address}/{key} is gone: promote another model, or train this one again")
        if hashlib.sha256(content).hexdigest() != manifest.file_sha256:
            raise DataError(
                f"{self.address}/{key} was changed or cut off: its SHA-256 is not the manifest's. Promote another model, "
                "or train this one again"
            )
        return Artifact(manifest, content)

    def manifest(self, model_id: str) -> Manifest:
        """A model's manifest, verified. `model_id` may be cut to as few digits as tell it apart."""
        whole = self._whole(model_id)
        key = f"models/{whole}/manifest.json"
        content = self._get(key)
        if content is None:
            raise InputError(f"there is no model {model_id}: `quantlytic models list` shows them")
        found = read_manifest(content, f"{self.address}/{key}")
        if found.model_id != whole:
            raise DataError(f"{self.address}/{key} was changed: it is not model {whole[:12]}. Promote another model")
        return found

    def list(self) -> tuple[Manifests, Keys]:
        """All whole models, oldest first, and what is wrong with those whose manifests are damaged, a line each."""
        found, damaged = [], []
        for path in self._listed("models"):
            if path.endswith("/manifest.json"):
                try:
                    found.append(self.manifest(path.split("/")[-2]))
                except DataError as error:
                    damaged.append(str(error))
        return sorted(found, key=lambda one: (one.created_ns, one.model_id)), damaged

    def remove(self, model_id: str) -> None:
        """Delete a model: its manifest first, without which it is not there. Whoever calls sees to it that nobody needs it."""
        manifest = self.manifest(model_id)
        folder = f"models/{manifest.model_id}"
        for key in (f"{folder}/manifest.json", f"{folder}/{manifest.file}"):
            self._delete(key)

    # ---- aliases

    def alias(self, name: str) -> str | None:
        """The id of the model that the alias means; None when it means none yet."""
        changes = self.history(name, newest=1)
        return (changes[-1].model_id or None) if changes else None

    def history(self, name: str, newest: int | None = None) -> Changes:
        """The changes of an alias, oldest first; the `newest` of them. DataError when one of them is damaged."""
        _check_alias(name)
        keys = sorted(key for key in self._listed(f"aliases/{name}") if _CHANGE.fullmatch(key.rsplit("/", 1)[-1]))
        found = [self._change(key) for key in (keys if newest is None else keys[-newest:])]
        if damaged := next((one for one in found if one.cause == DAMAGED), None):
            raise DataError(damaged.reason)
        return found

    def changes(self, name: str = "") -> dict[str, AliasChange]:
        """The last change of every alias (of the spec `name`), by alias: also those that are damaged, or mean no model."""
        newest: dict[str, str] = {}
        for key in sorted(self._listed(f"aliases/{name}".rstrip("/"))):
            alias, _, file = key.removeprefix("aliases/").rpartition("/")
            if _ALIAS.fullmatch(alias) and _CHANGE.fullmatch(file):
                newest[alias] = key
        return {alias: self._change(key) for alias, key in newest.items()}

    def aliases(self) -> dict[str, str]:
        """The model id of every alias that means one."""
        return {name: change.model_id for name, change in self.changes().items() if change.model_id}

    def latest(self, name: str) -> dict[str, AliasChange]:
        """The last change of every alias of the spec `name` that means a model, by alias."""
        return {alias: change for alias, change in self.changes(name).items() if change.model_id}

    def promote(
        self, model_id: str, name: str, reason: str, by: str, now_ns: int, *, expected: str | None = None,
        new_label: bool = False,
    ) -> AliasChange:  # fmt: skip
        """From now on the alias means this model, which must be whole and, by its line, the alias's own. `new_label`: see
        `AliasChange`.

        `expected`: the id it must mean until now; where somebody else was faster, StoreError and nothing is changed.
        """
        manifest = self.check_alias(model_id, name)
        made = AliasChange(0, manifest.model_id, "", PROMOTION, reason, by, now_ns, new_label)
        return self._add(name, made, expected)

    def check_alias(self, model_id: str, name: str) -> Manifest:
        """The manifest of a model that is whole and of the alias' line. InputError or DataError otherwise."""
        _check_alias(name)
        manifest = self.get(model_id).manifest
        if manifest.line != name.rpartition("/")[0]:
            raise InputError(f"model {model_id[:12]} is of the line {manifest.line}: it cannot be {name}")
        return manifest

    def withdraw(self, name: str, reason: str, by: str, now_ns: int) -> AliasChange:
        """From now on the alias means no model."""
        model_id = self.alias(name)
        if model_id is None:
            raise InputError(f"{name} means no model: there is nothing to withdraw")
        return self._add(name, AliasChange(0, "", "", WITHDRAWAL, reason, by, now_ns), model_id)

    def rollback(self, name: str, reason: str, by: str, now_ns: int) -> AliasChange:
        """The alias means again what it meant before its last promotion that was not rolled back."""
        earlier, last = went_before(self.history(name), name)
        if earlier:
            self.get(earlier)
        return self._add(name, AliasChange(0, earlier, "", ROLLBACK, reason, by, now_ns), last)

    def _add(self, name: str, made: AliasChange, expected: str | None) -> AliasChange:
        """Write it down as the next change of the alias, after what that means now, even where this is damaged."""
        for _ in range(_TRIES):
            last = self.changes(name).get(name)
            number, previous = (last.number + 1, last.model_id) if last else (1, "")
            if expected is not None and previous != expected:
                raise StoreError(f"{name} was changed by somebody else to {previous[:12] or 'nothing'}: look again")
            change = msgspec.structs.replace(made, number=number, previous=previous)
            if self._create(f"aliases/{name}/{number:08d}.json", msgspec.json.encode(change)):
                return change
        raise StoreError(f"{name} is being changed by others all the time: try again")

    def _change(self, key: str) -> AliasChange:
        content = self._get(key)
        try:
            return msgspec.json.decode(content or b"", type=AliasChange)
        except msgspec.MsgspecError as error:
            wrong = f"{self.address}/{key} is damaged ({error}): restore it from a copy, or promote the model again by its id"
            return AliasChange(int(key[-13:-5]), "", "", DAMAGED, wrong, "", 0)

    # ---- objects

    def _whole(self, model_id: str) -> str:
        if _ID.fullmatch(model_id):
            return model_id
        if not re.fullmatch(r"[0-9a-f]{4,63}", model_id):
            raise InputError(f"{model_id!r} is no model's id: it is 64 hex digits, or the first 4 or more of them")
        found = sorted({key.split("/")[1] for key in self._listed("models")})
        fitting = [one for one in found if one.startswith(model_id)]
        if len(fitting) != 1:
            what = "there is no model" if not fitting else f"{len(fitting)} models begin with"
            raise InputError(f"{what} {model_id}: `quantlytic models list` shows them")
        return fitting[0]

    def _is_sound(self, key: str, model_id: str) -> bool:
        try:
            return read_manifest(self._get(key) or b"", key).model_id == model_id
        except DataError:
            return False

    def _create(self, key: str, content: bytes) -> bool:
        """Whether it was written; False when there is one already."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            obstore.put(self._objects, key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except Exception as error:
            raise self._error("written", key, error) from None
        return True

    def _write(self, key: str, content: bytes) -> None:
        import obstore

        try:
            obstore.put(self._objects, key, content, use_multipart=False)
        except Exception as error:
            raise self._error("written", key, error) from None

    def _delete(self, key: str) -> None:
        import obstore

        try:
            obstore.delete(self._objects, key)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._error("deleted", key, error) from None

    def _get(self, key: str) -> bytes | None:
        import obstore

        try:
            return bytes(obstore.get(self._objects, key).bytes().to_bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._error("read", key, error) from None

    def _listed(self, prefix: str) -> Keys:
        import obstore

        try:
            return [str(meta["path"]) for chunk in obstore.list(self._objects, prefix) for meta in chunk]
        except Exception as error:
            raise self._error("listed", prefix, error) from None

    def _error(self, done: str, key: str, error: Exception) -> StoreError:
        return StoreError(f"{self.address}/{key} cannot be {done}: {one_line(error)}")


def _check_alias(name: str) -> None:
    if not _ALIAS.fullmatch(name):
        raise InputError(
            f"{name!r} is no alias: write SPEC/INSTRUMENT/ROLE, such as trend/pooled/champion; a role is {CHAMPION}, "
            f"{CHALLENGER} or {PINNED}"
        )
