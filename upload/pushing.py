"""Pushing: a finished build onto the Hub, in one commit, resumable, verified.

::

    check the build ─► ask the Hub what it has ─► plan ─► send what it lacks ─► ONE commit ─► compare every file ─► read a row
                              ▲                                                    │ 409 412 429 5xx, connection broken
                              └────────────────────── wait ────────────────────────┘

Readers see the repository as it was or as it will be: shards are stored before the commit that names them, and the commit is
bound to the state that the plan was made for (its parent).  Whatever fails, the Hub is asked again, so a commit whose answer was
lost is found to be there, and somebody else's commit is built upon.  Killed anywhere, the same command goes on: stored shards
are recognised by their hash, hashes are in the journal.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import msgspec
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, RepoCard
from huggingface_hub.errors import RevisionNotFoundError

from .. import cards
from ..builders.core.errors import HubError
from ..builders.core.report import Shard
from ..builders.pipeline.hub_client import CARD, DATASET, Head, Repository
from ..builders.pipeline.hub_retry import Patience, Result, retry
from . import build as builds
from .hub import card, create, is_public, owner
from .journal import Hashed, Journal, Pushed, hashed_bytes, only_one
from .planning import Plan, foreign, part_prefix, plan, stale
from .verification import Verification, verify_files, verify_rows

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,94}")
_RESERVED = ("data", "plots", "main", "all")
_BATCH_BYTES = 64 << 20
"""Files are stored in batches of at least that many bytes, which is what Xet sends at once.  A batch that was begun when the push
was killed is sent again where Xet takes several files at once (``modalmix push`` has it take one): it packs files into blocks
together, and in another order the blocks are others."""

_BATCH_FILES = 64

Progress = Callable[[str, int, int], None]
"""Called with what is being done in words, the bytes done and the bytes to do."""


class Push(msgspec.Struct):
    """What a push did, or would do.

    Attributes:
        repository: ``namespace/name``.
        revision: branch or pull request that was written to.
        url: where to look at it.
        plan: files sent, found and deleted.
        commit: the commit that holds the build; None after a dry run.
        committed: whether this run made it; False where nothing had changed.
        verification: that of the files and the first rows; None after a dry run.
    """

    repository: str
    revision: str
    url: str
    plan: Plan
    commit: str | None = None
    committed: bool = False
    verification: Verification | None = None


def push(
    folder: str,
    repository: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    config: str | None = None,
    dry_run: bool = False,
    prune: bool = False,
    row_group_limit: int = builds.VIEWER_LIMIT,
    private_paths: bool = False,
    token: str | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
    told: Callable[[str], None] | None = None,
) -> Push:
    """Pushes a finished build to a dataset repository of the Hub.

    Args:
        folder: what `modalmix.builders.build.build` made.
        repository: ``namespace/name``; it is made if it does not exist.
        private: make it private; a public one that exists is refused then.
        revision: branch to commit to, made if it does not exist; ``main`` by default.
        create_pr: open a pull request instead of committing to ``main``.
        config: push beside other builds in the repository, below a folder and as a config of this name.
        dry_run: only plan.
        prune: delete shards and plots of this build's place that are no longer in it.
        row_group_limit: bytes of the largest row group; the Hub's viewer refuses larger ones.
        private_paths: push texts that name folders of this machine.
        token: instead of the one that is logged in.
        patience: how long to try again.
        progress: told how far it is.
        told: told of waits, one line each.

    Returns:
        What was done.  `Push.verification` is true when everything on the Hub is what is here.

    Raises:
        HubError: it is refused or did not succeed, with the reason in one line; the token is not in it.
    """
    if config is not None and (not _PART.fullmatch(config) or config in _RESERVED or config.endswith(".parquet")):
        raise HubError(
            f"{config!r} is no name for a config: letters, digits, '_', '-', '.', and not {', '.join(_RESERVED)}"
        )
    if create_pr and revision:
        raise HubError("a pull request is made against main: pass --create-pr or --revision, not both")
    build = builds.opened(folder)
    target = Repository(repository, token)
    one = _Pushing(build, target, config, prune, patience or Patience(), progress or _silent, told or _silent)
    with only_one(folder), target.errors():
        one.author = one.wait(lambda: owner(target), "who the token belongs to")
        builds.check(build, viewer_limit=row_group_limit, private_paths=private_paths)
        return one.run(private, revision, create_pr, dry_run, private_paths)


def _number(branch: str) -> int:
    return int(branch.rpartition("/")[2])


def _digest(local: dict[str, Hashed]) -> str:
    """Twelve digits that tell a build from another."""
    text = "\n".join(f"{path} {file.sha256}" for path, file in sorted(local.items()))
    return hashed_bytes(text.encode()).sha256[:12]


def _silent(*_: object) -> None:
    pass


class _Pushing:
    """One push under way."""

    def __init__(
        self,
        build: builds.Build,
        target: Repository,
        part: str | None,
        prune: bool,
        patience: Patience,
        progress: Progress,
        told: Callable[[str], None],
    ) -> None:
        self.build, self.target, self.part, self.prune = build, target, part, prune
        self.patience, self.progress, self.told = patience, progress, told
        self.prefix = part_prefix(part)
        self.journal = Journal(build.folder)
        self.key = self.author = ""
        self.additions: dict[str, CommitOperationAdd] = {}
        self.stored: set[str] = set()

    def run(
        self, private: bool | None, revision: str | None, create_pr: bool, dry_run: bool, private_paths: bool
    ) -> Push:
        """Takes the steps."""
        if not cards.is_current(self.build.folder, self.build.report):
            try:
                cards.write(self.build.folder, self.build.report)
            except cards.CardError as error:
                raise HubError(f"{os.path.join(self.build.folder, CARD)}: {error}") from None
            self.build = builds.opened(self.build.folder)
        local = self._manifest()
        self.key = f"{self.target.endpoint} {self.target.name} {'pull request' if create_pr else revision or 'main'} {self.part}"
        if dry_run:
            return self.wait(lambda: self._dry(local, revision, private_paths), "what the Hub has")
        self.wait(lambda: self._make(private), "making the repository")
        if create_pr and self.journal.pushed(self.key).pull_request is None:
            planned = self.wait(lambda: self._dry(local, None, private_paths), "what the Hub has")
            if not planned.plan.changes:
                planned.verification = self.wait(lambda: self._verified(planned, local), "comparing")
                return planned
        branch = self._branch(revision, create_pr, local)
        push = retry(
            lambda: self._commit(local, branch, private_paths),
            self.patience,
            self.told,
            "the commit",
            lambda: len(self.stored),
        )
        if create_pr:
            self.wait(lambda: self._publish(branch), "opening the pull request")
        push.verification = self.wait(lambda: self._verified(push, local), "comparing")
        return push

    def wait(self, step: Callable[[], Result], what: str) -> Result:
        """Takes a step until it succeeds or will not."""
        return retry(step, self.patience, self.told, what)

    def _manifest(self) -> dict[str, Hashed]:
        """Every file of the build but the card: path in the repository → its digests."""
        total = sum(os.path.getsize(os.path.join(self.build.folder, path)) for path in self.build.files)
        done, found = 0, {}
        for path in self.build.files:
            self.progress("reading", done, total)
            found[self.prefix + path] = self.journal.hashed(path)
            done += found[self.prefix + path].size
        return found

    def _make(self, private: bool | None) -> None:
        """Makes the repository if it is not there."""
        public = is_public(self.target)
        if public and private:
            raise HubError(f"{self.target.name} is public already; make it private on its page, or leave --private out")
        if public is None:
            create(self.target, private)
            if is_public(self.target) is None:
                raise ConnectionError("the repository was made, but is not there yet")

    def _branch(self, revision: str | None, create_pr: bool, local: dict[str, Hashed]) -> str:
        """The revision to commit to: made if it is not there; the journal knows a pull request that was opened before."""
        api, name = self.target.api, self.target.name
        if create_pr:
            pushed = self.journal.pushed(self.key)
            known = pushed.pull_request
            if known and self.wait(lambda: self._state(known), "the pull request's state") in ("draft", "open"):
                return known
            title = f"modalmix: {self._title()} ({_digest(local)})"
            branch = f"refs/pr/{self.wait(lambda: self._pull_request(title), 'making the pull request')}"
            self.journal.note(self.key, Pushed(pull_request=branch))
            return branch
        if revision not in (None, "main"):
            self.wait(
                lambda: api.create_branch(name, branch=str(revision), repo_type=DATASET, exist_ok=True),
                "making the branch",
            )
        return revision or "main"

    def _pull_request(self, title: str) -> int:
        """The number of a draft with this title: one that was begun, be its answer lost or the journal, or else a new one."""
        api, name = self.target.api, self.target.name
        listed = api.get_repo_discussions(name, repo_type=DATASET, discussion_type="pull_request", author=self.author)
        begun = next((one.num for one in listed if one.title == title and one.status == "draft"), None)
        if begun is not None:
            return begun
        return int(api.create_pull_request(name, title=title, repo_type=DATASET).num)

    def _publish(self, branch: str) -> None:
        """Takes a pull request out of its draft state, and forgets it: the next one is another."""
        if self._state(branch) == "draft":
            self.target.api.change_discussion_status(
                self.target.name, _number(branch), "open", repo_type=DATASET, comment="The build is complete."
            )
        self.journal.note(self.key, Pushed())

    def _state(self, branch: str) -> str:
        return str(self.target.api.get_discussion_details(self.target.name, _number(branch), repo_type=DATASET).status)

    def _dry(self, local: dict[str, Hashed], revision: str | None, private_paths: bool) -> Push:
        """What would be done; a branch that is not there would be made of main."""
        try:
            head = self._head(revision)
        except RevisionNotFoundError:
            head = self._head(None)
        _, made = self._planned(local, head, private_paths)
        return Push(self.target.name, revision or "main", self._url(None), made, None if made.changes else head.commit)

    def _head(self, revision: str | None) -> Head:
        head = self.target.head(revision)
        other = foreign(head, card(self.target, head) if CARD in head else None)
        if other is not None:
            raise HubError(f"{self.target.name} holds something else ({other!r}, …); name another repository")
        return head

    def _planned(self, local: dict[str, Hashed], head: Head, private_paths: bool) -> tuple[bytes, Plan]:
        """The card for the repository as it is now, and what has to change."""
        explicit = bool(stale(local, head, self.prefix)) and not self.prune
        try:
            text = cards.for_hub(
                self.build.folder,
                self.build.report,
                self.target.name,
                self.part,
                card(self.target, head),
                explicit=explicit,
            )
        except cards.CardError as error:
            raise HubError(f"the card of {self.target.name}: {error}") from None
        named = None if private_paths else builds.texts_name(text, self.build.folder)
        if named:
            raise HubError(
                f"the card names {named!r}, a folder of this machine; pass --private-paths to push it all the same"
            )
        if self.target.token and self.target.token in text:
            raise HubError("the card holds the token; take it out")
        try:
            RepoCard(text, ignore_metadata_errors=False).validate(repo_type=DATASET)
        except ValueError as error:
            raise HubError(f"the Hub refuses the card: {' '.join(str(error).split())}") from None
        data = text.encode()
        return data, plan({**local, CARD: hashed_bytes(data)}, head, self.prefix, self.prune)

    def _commit(self, local: dict[str, Hashed], branch: str, private_paths: bool) -> Push:
        """Asks, plans, sends and commits once; whoever calls it again is told the same or goes on."""
        head = self._head(branch)
        data, made = self._planned(local, head, private_paths)
        push = Push(self.target.name, branch, self._url(branch), made, head.commit)
        if made.changes:
            self._send([path for path in made.send if path != CARD and path not in self.stored], made, branch)
            operations: list[Any] = [self.additions[path] for path in made.send if path != CARD]
            if CARD in made.send:
                operations.append(CommitOperationAdd(CARD, data))
            operations += [CommitOperationDelete(path, is_folder=False) for path in made.delete]
            self.progress("committing", 1, 1)
            done = self.target.api.create_commit(
                self.target.name,
                operations,
                commit_message=f"modalmix: {self._title()}",
                repo_type=DATASET,
                revision=branch,
                parent_commit=head.commit,
            )
            push.commit, push.committed = done.oid, True
        pushed = self.journal.pushed(self.key)
        pushed.commit = push.commit
        self.journal.note(self.key, pushed)
        return push

    def _send(self, paths: list[str], made: Plan, branch: str) -> None:
        """Stores files on the Hub ahead of the commit, some at a time; what it has already is not sent again."""
        total = sum(made.send[path] for path in paths)
        done, batch = 0, list[str]()
        for number, path in enumerate(paths):
            batch.append(path)
            size = sum(made.send[one] for one in batch)
            if number + 1 < len(paths) and size < _BATCH_BYTES and len(batch) < _BATCH_FILES:
                continue
            self.progress("sending", done, total)
            for one in batch:
                if one not in self.additions:
                    place = os.path.join(self.build.folder, one.removeprefix(self.prefix))
                    self.additions[one] = CommitOperationAdd(one, place)
            wanted = [self.additions[one] for one in batch]
            self.target.api.preupload_lfs_files(
                self.target.name, wanted, repo_type=DATASET, revision=branch, free_memory=False
            )
            self.stored.update(batch)
            done, batch = done + size, []
        self.progress("sending", total, total)

    def _verified(self, push: Push, local: dict[str, Hashed]) -> Verification:
        self.progress("comparing", 0, 1)
        head = self.target.head(push.commit)
        result = verify_files(local, head)
        if not result.wrong:
            result.rows = verify_rows(self.build, self.target, self.part, str(push.commit))
        return result

    def _title(self) -> str:
        shards: list[Shard] = self.build.report.all_shards()
        rows = sum(shard.rows for shard in shards)
        return f"{self.part + ', ' if self.part else ''}{rows:,} rows in {len(shards)} shard{'s' * (len(shards) != 1)}"

    def _url(self, branch: str | None) -> str:
        url = f"{self.target.endpoint}/datasets/{self.target.name}"
        if branch and branch.startswith("refs/pr/"):
            return f"{url}/discussions/{branch.rpartition('/')[2]}"
        return url if branch in (None, "main") else f"{url}/tree/{branch}"
