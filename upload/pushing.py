"""Pushing: sends a finished build to the Hub in one commit, resumable and verified.

::

    check the build ─► ask the Hub what it has ─► plan ─► send what it lacks ─► ONE commit ─► compare every file ─► read a row
                              ▲                                                    │ 409 412 429 5xx, connection broken
                              └────────────────────── wait ────────────────────────┘

A reader sees the old state of the repository or the new one.  Shards are stored before the commit that names them, and the commit
is bound to the state that the plan was made for (its parent).  After a failure, the Hub is asked again: a commit whose answer was
lost is found, and a commit of somebody else becomes the new parent.  A push that was killed continues with the same command: the
Hub recognises stored shards by their hash, and the journal keeps the hashes.
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
"""The least bytes of a batch of files; Xet sends that much at once.  If the push is killed during a batch and Xet takes several
files at once, the batch is sent again, because Xet packs files into blocks together and the blocks depend on their order.
``modalmix push`` makes it take one file at a time."""

_BATCH_FILES = 64

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, the bytes done and the bytes to do."""


class Push(msgspec.Struct):
    """The result of a push, or of a dry run.

    Attributes:
        repository: ``namespace/name``.
        revision: branch or pull request of the commit.
        url: page of the dataset.
        plan: files sent, found and deleted.
        commit: the commit that holds the build; None after a dry run.
        committed: whether this run made the commit; False if nothing had changed.
        verification: of the files and the first rows; None after a dry run.
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
    report: Callable[[str], None] | None = None,
) -> Push:
    """Pushes a finished build to a dataset repository of the Hub.

    Args:
        folder: folder that `modalmix.builders.build.build` has made.
        repository: ``namespace/name``; it is created if it does not exist.
        private: create a private repository; refuse one that is public.
        revision: branch to commit to, created if it does not exist; ``main`` by default.
        create_pr: open a pull request instead of committing to ``main``.
        config: add the build beside others in the repository, in a folder and as a config of this name.
        dry_run: only plan.
        prune: delete shards and plots that are no longer in the build.
        row_group_limit: bytes of the largest row group; the Hub's viewer refuses larger ones.
        private_paths: send texts that contain paths of this machine, too.
        token: token to use instead of the stored one.
        patience: how long to retry.
        progress: called with the progress.
        report: called with a line for each wait.

    Returns:
        The result.  `Push.verification` is true if everything on the Hub equals the build.

    Raises:
        HubError: the push is refused or fails.  The message is one line, without the token.
    """
    if config is not None and (not _PART.fullmatch(config) or config in _RESERVED or config.endswith(".parquet")):
        raise HubError(
            f"{config!r} is not a valid name for a config: use letters, digits, '_', '-', '.', and not {', '.join(_RESERVED)}"
        )
    if create_pr and revision:
        raise HubError("a pull request is made against main: pass --create-pr or --revision, not both")
    build = builds.finished_build(folder)
    target = Repository(repository, token)
    running = _RunningPush(build, target, config, prune, patience or Patience(), progress or _silent, report or _silent)
    with only_one(folder), target.errors():
        running.author = running.retry(lambda: owner(target), "the owner of the token")
        builds.check(build, viewer_limit=row_group_limit, private_paths=private_paths)
        return running.run(private, revision, create_pr, dry_run, private_paths)


def _number(branch: str) -> int:
    return int(branch.rpartition("/")[2])


def _digest(local: dict[str, Hashed]) -> str:
    """Twelve digits that identify the build."""
    text = "\n".join(f"{path} {file.sha256}" for path, file in sorted(local.items()))
    return hashed_bytes(text.encode()).sha256[:12]


def _silent(*_: object) -> None:
    pass


class _RunningPush:
    """A push that is running."""

    def __init__(
        self,
        build: builds.Build,
        target: Repository,
        part: str | None,
        prune: bool,
        patience: Patience,
        progress: Progress,
        report: Callable[[str], None],
    ) -> None:
        self.build, self.target, self.part, self.prune = build, target, part, prune
        self.patience, self.progress, self.report = patience, progress, report
        self.prefix = part_prefix(part)
        self.journal = Journal(build.folder)
        self.key = self.author = ""
        self.additions: dict[str, CommitOperationAdd] = {}
        self.stored: set[str] = set()

    def run(
        self, private: bool | None, revision: str | None, create_pr: bool, dry_run: bool, private_paths: bool
    ) -> Push:
        """Runs all steps."""
        if not cards.is_current(self.build.folder, self.build.report):
            try:
                cards.write(self.build.folder, self.build.report)
            except cards.CardError as error:
                raise HubError(f"{os.path.join(self.build.folder, CARD)}: {error}") from None
            self.build = builds.finished_build(self.build.folder)
        local = self._manifest()
        self.key = f"{self.target.endpoint} {self.target.name} {'pull request' if create_pr else revision or 'main'} {self.part}"
        if dry_run:
            return self.retry(lambda: self._dry(local, revision, private_paths), "what the Hub has")
        self.retry(lambda: self._make(private), "creating the repository")
        if create_pr and self.journal.pushed(self.key).pull_request is None:
            planned = self.retry(lambda: self._dry(local, None, private_paths), "what the Hub has")
            if not planned.plan.changes:
                planned.verification = self.retry(lambda: self._verified(planned, local), "comparing")
                return planned
        branch = self._branch(revision, create_pr, local)
        push = retry(
            lambda: self._commit(local, branch, private_paths),
            self.patience,
            self.report,
            "the commit",
            lambda: len(self.stored),
        )
        if create_pr:
            self.retry(lambda: self._publish(branch), "opening the pull request")
        push.verification = self.retry(lambda: self._verified(push, local), "comparing")
        return push

    def retry(self, step: Callable[[], Result], what: str) -> Result:
        """Repeats a step until it succeeds, or fails for good."""
        return retry(step, self.patience, self.report, what)

    def _manifest(self) -> dict[str, Hashed]:
        """Every file of the build except the card: path in the repository → its digests."""
        total = sum(os.path.getsize(os.path.join(self.build.folder, path)) for path in self.build.files)
        done, found = 0, {}
        for path in self.build.files:
            self.progress("reading", done, total)
            found[self.prefix + path] = self.journal.hashed(path)
            done += found[self.prefix + path].size
        return found

    def _make(self, private: bool | None) -> None:
        """Creates the repository if it does not exist."""
        public = is_public(self.target)
        if public and private:
            raise HubError(f"{self.target.name} is public; make it private on its page, or leave --private out")
        if public is None:
            create(self.target, private)
            if is_public(self.target) is None:
                raise ConnectionError("the repository was created, but is not visible yet")

    def _branch(self, revision: str | None, create_pr: bool, local: dict[str, Hashed]) -> str:
        """The revision to commit to, created if it does not exist; the journal has the pull request of a stopped push."""
        api, name = self.target.api, self.target.name
        if create_pr:
            pushed = self.journal.pushed(self.key)
            opened = pushed.pull_request
            if opened and self.retry(lambda: self._state(opened), "the pull request's state") in ("draft", "open"):
                return opened
            title = f"modalmix: {self._title()} ({_digest(local)})"
            branch = f"refs/pr/{self.retry(lambda: self._pull_request(title), 'creating the pull request')}"
            self.journal.note(self.key, Pushed(pull_request=branch))
            return branch
        if revision not in (None, "main"):
            self.retry(
                lambda: api.create_branch(name, branch=str(revision), repo_type=DATASET, exist_ok=True),
                "creating the branch",
            )
        return revision or "main"

    def _pull_request(self, title: str) -> int:
        """The number of a draft with this title: an existing one, if the answer or the journal was lost, or a new one."""
        api, name = self.target.api, self.target.name
        listed = api.get_repo_discussions(name, repo_type=DATASET, discussion_type="pull_request", author=self.author)
        draft = next((one.num for one in listed if one.title == title and one.status == "draft"), None)
        if draft is not None:
            return draft
        return int(api.create_pull_request(name, title=title, repo_type=DATASET).num)

    def _publish(self, branch: str) -> None:
        """Opens the draft of a pull request, and removes it from the journal: the next push makes another."""
        if self._state(branch) == "draft":
            self.target.api.change_discussion_status(
                self.target.name, _number(branch), "open", repo_type=DATASET, comment="The build is complete."
            )
        self.journal.note(self.key, Pushed())

    def _state(self, branch: str) -> str:
        return str(self.target.api.get_discussion_details(self.target.name, _number(branch), repo_type=DATASET).status)

    def _dry(self, local: dict[str, Hashed], revision: str | None, private_paths: bool) -> Push:
        """The result of a dry run; a branch that does not exist would start from main."""
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
            raise HubError(f"{self.target.name} holds other files ({other!r}, …); name another repository")
        return head

    def _planned(self, local: dict[str, Hashed], head: Head, private_paths: bool) -> tuple[bytes, Plan]:
        """The card for the current state of the repository, and the plan."""
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
        private = None if private_paths else builds.private_path_in(text, self.build.folder)
        if private:
            raise HubError(
                f"the card contains {private!r}, a path of this machine; pass --private-paths to push it anyway"
            )
        if self.target.token and self.target.token in text:
            raise HubError("the card contains the token; remove it")
        try:
            RepoCard(text, ignore_metadata_errors=False).validate(repo_type=DATASET)
        except ValueError as error:
            raise HubError(f"the Hub refuses the card: {' '.join(str(error).split())}") from None
        data = text.encode()
        return data, plan({**local, CARD: hashed_bytes(data)}, head, self.prefix, self.prune)

    def _commit(self, local: dict[str, Hashed], branch: str, private_paths: bool) -> Push:
        """Asks, plans, sends and commits once; a second call gives the same result or continues."""
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
        """Stores files on the Hub before the commit, in batches; the Hub skips those that it has."""
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
            additions = [self.additions[one] for one in batch]
            self.target.api.preupload_lfs_files(
                self.target.name, additions, repo_type=DATASET, revision=branch, free_memory=False
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
