"""Where proposals, their logs and earlier versions lie: beside the constitution.

house.constitution.md
house.changelog.md
proposals/0007-shorter-answers.md         the proposal, edited by people
proposals/0007-shorter-answers.jsonl      comments, votes, steps; only ever added to
versions/house-0.3.0-1a2b3c4d5e6f.constitution.md    every version that was amended
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charter.constitution.amending.edit import sha_of
from charter.constitution.amending.log import Log, read_log
from charter.constitution.amending.proposal import Proposal, read_proposal
from charter.constitution.constitution import Constitution, read_text
from charter.errors import ConstitutionError, EnvironmentFault, UserError, did_you_mean
from charter.rundir import write_text

ENDING = ".constitution.md"
_NAME = re.compile(r"(\d{4,})-.+\.md")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a constitution that is amended.

    Attributes:
        path: the folder.
        patience: seconds to wait for another person's command to end.
    """

    path: Path
    patience: float = _PATIENCE

    @property
    def proposals(self) -> Path:
        """Proposals and their logs."""
        return self.path / "proposals"

    @property
    def versions(self) -> Path:
        """Earlier versions."""
        return self.path / "versions"

    # -- the constitution -----------------------------------------------------

    def constitution(self, name: str = "") -> Path:
        """The constitution's file; without a name the only one there is.

        Raises:
            ConstitutionError: there is none, or more than one and no name.
        """
        found = sorted(path.name for path in self.path.glob(f"*{ENDING}"))
        if not name and len(found) == 1:
            return self.path / found[0]
        if not name:
            what = "several constitutions here" if found else f"no *{ENDING} here"
            known = f"name one with --constitution: {', '.join(found)}" if found else "give its folder: --in"
            raise ConstitutionError(what, where=str(self.path), fix=known)
        if not (self.path / name).is_file():
            raise ConstitutionError(
                f"no constitution {name!r}", where=str(self.path), fix=did_you_mean(name, found)
            )
        return self.path / name

    def read(self, proposal: Proposal) -> tuple[Constitution, str]:
        """The constitution that ``proposal`` is about, and its text."""
        file = self.constitution(proposal.head.constitution)
        text = read_text(file)
        return Constitution.from_text(text, file), text

    # -- proposals ------------------------------------------------------------

    def files(self) -> dict[int, Path]:
        """Proposals by number.

        Raises:
            ConstitutionError: two have the same number.
        """
        found: dict[int, Path] = {}
        for path in sorted(self.proposals.glob("*.md")):
            name = _NAME.fullmatch(path.name)
            if name is None:
                continue
            number = int(name[1])
            if number in found:
                raise ConstitutionError(
                    f"two proposals have the number {number}",
                    where=str(path),
                    fix=f"rename it and its .jsonl, and change its id; the other is {found[number].name}",
                )
            found[number] = path
        return found

    def unfiled(self) -> list[Path]:
        """Markdown among the proposals that has no number, and so is none."""
        return [path for path in sorted(self.proposals.glob("*.md")) if not _NAME.fullmatch(path.name)]

    def proposal(self, id: str) -> Proposal:
        """The proposal that ``id`` names: ``7``, ``0007``, ``0007-shorter-answers`` or its words alone.

        Raises:
            ConstitutionError: there is none, or its file is wrong.
        """
        files = self.files()
        said = Path(id).name.removesuffix(".md").removesuffix(".jsonl")
        if said.isdecimal() and int(said) in files:
            return self._read(files[int(said)])
        for path in files.values():
            if said in (path.stem, path.stem.partition("-")[2]):
                return self._read(path)
        known = [path.stem for path in files.values()]
        fix = did_you_mean(said, known)
        if said.isdecimal() and known:
            fix = "known: " + ", ".join(known)
        raise ConstitutionError(f"no proposal {id!r}", where=str(self.proposals), fix=fix)

    def log_path(self, proposal: Proposal) -> Path:
        """Where what was said about it is kept."""
        return proposal.path.with_suffix(".jsonl")

    def log(self, proposal: Proposal) -> Log:
        """What was said about it."""
        return read_log(self.log_path(proposal))

    def _read(self, path: Path) -> Proposal:
        found = read_proposal(path, read_text(path))
        number = int(path.name.partition("-")[0])
        if found.head.id != number:
            raise ConstitutionError(
                f"the file says id {found.head.id}, its name {number}",
                where=str(path),
                fix="make them one; a new proposal is filed with `charter constitution propose`",
            )
        return found

    # -- versions -------------------------------------------------------------

    def changelog(self, constitution: Constitution) -> Path:
        """The changelog for people."""
        return self.path / f"{_stem(constitution)}.changelog.md"

    def keep(self, constitution: Constitution, text: str) -> Path:
        """Keep this version; the same one is kept once."""
        name = f"{_stem(constitution)}-{constitution.version}-{sha_of(text)[:12]}{ENDING}"
        path = self.versions / name
        if not path.exists():
            _make(self.versions)
            write_text(path, text)
        return path

    def version(self, sha: str, name: str = "") -> Constitution:
        """A version by its fingerprint, as a report names it, or by that of its text; beginnings do.

        Files named in rules are looked for beside the constitution as it is now; where their content
        changed since, the fingerprint differs and the version is not found.

        Raises:
            UserError: no version, or more than one, has it.
        """
        here = self.constitution(name)
        stem = here.name.removesuffix(ENDING)
        found: dict[str, Constitution] = {}
        for path in [here, *sorted(self.versions.glob(f"{stem}-*{ENDING}"))]:
            text = read_text(path)
            one = Constitution.from_text(text, here)
            if sha and (one.sha.startswith(sha) or sha_of(text).startswith(sha)):
                found[sha_of(text)] = one
        if not found:
            raise UserError(f"no version of {here.name} has the sha {sha!r}", where=str(self.versions))
        if len(found) > 1:
            which = ", ".join(f"{one.version} (text {text[:12]})" for text, one in found.items())
            raise UserError(
                f"{len(found)} versions have the sha {sha!r}",
                where=str(self.versions),
                fix=f"name one by its text: {which}",
            )
        return next(iter(found.values()))

    # -- lock -----------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One command at a time may write here.

        Raises:
            EnvironmentFault: another one holds it for longer than ``patience``, or the disk refuses.
        """
        from filelock import FileLock, Timeout

        _make(self.proposals)
        guard = FileLock(self.proposals / ".lock", timeout=self.patience)
        try:
            guard.acquire()
        except Timeout:
            raise EnvironmentFault(
                "another command is writing here",
                where=str(self.proposals),
                fix="try again when it has ended",
            ) from None
        except OSError as error:
            raise EnvironmentFault(
                f"cannot write: {error.strerror or error}", where=str(self.proposals)
            ) from None
        try:
            yield
        finally:
            guard.release()


def _stem(constitution: Constitution) -> str:
    return Path(constitution.path).name.removesuffix(ENDING).removesuffix(".md")


def _make(path: Path) -> None:
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"cannot be made: {error.strerror or error}", where=str(path)) from None
