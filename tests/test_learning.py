from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_root_index import put, tar

from modalmix.builders.cli.main import main
from modalmix.builders.core.errors import DataError
from modalmix.builders.core.findings import Finding
from modalmix.builders.core.sample import Reference
from modalmix.builders.media.items import PatchItems, read_bytes
from modalmix.builders.paths import Learned, Rewriter, Rule, Rules, learn

VIDEO_IDS = ["lltmlYR56dI", "nasa13013xx", "Q04US_x81bz", "7nRmsEw7nsE"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def learned(written: Sequence[str], *roots: Path, rules: Rules | None = None, kind: str = "video") -> Learned:
    cache = str(roots[0].parent / "cache")
    return learn(lambda: [(kind, path) for path in written], [str(one) for one in roots], rules=rules, cache=cache)


def found(written: Sequence[str], rules: Rules, *roots: Path) -> dict[str, str]:
    """What the rewriter makes of paths: a path under the first root that has it, or the name of a finding."""
    rewriter = Rewriter([str(one) for one in roots], rules=rules, cache=str(roots[0].parent / "cache"))
    reported = {}
    for path in written:
        where = rewriter.locate(path, "video", "")
        reported[path] = where.kind.name if isinstance(where, Finding) else os.path.relpath(where, roots[0])
    return reported


def prefixes(rules: Rules) -> list[tuple[str, str]]:
    return [(rule.before, rule.to) for rule in rules.rules if rule.kind == "prefix"]


def test_a_prefix_is_learned_from_the_longest_common_end(root: Path) -> None:
    for i in range(3):
        put(root, f"cross/finevideo/{i}.mp4"), put(root, f"sounds/audio/{i}.wav")
    written = [f"/mnt/omni/data/finevideo/{i}.mp4" for i in range(3)] + ["/home/me/sounds/audio/1.wav"]
    rules = learned(written, root).rules
    assert prefixes(rules) == [("/home/me", ""), ("/mnt/omni/data", "cross")]
    assert [rule.paths for rule in rules.rules] == [1, 3]
    assert rules.rules[1].examples[0] == ("/mnt/omni/data/finevideo/0.mp4", "cross/finevideo/0.mp4")
    assert found(written, rules, root) == {
        written[0]: "cross/finevideo/0.mp4",
        written[1]: "cross/finevideo/1.mp4",
        written[2]: "cross/finevideo/2.mp4",
        written[3]: "sounds/audio/1.wav",
    }


def test_what_is_written_relative_to_an_inner_folder_is_found(root: Path) -> None:
    put(root, "images/celeba/1.jpg"), put(root, "images/bm.jpg"), put(root, "videos/teaser.mp4")
    written = ["celeba/1.jpg", "bm.jpg", "teaser.mp4", "celeba/2.jpg"]
    reported = learned(written, root)
    assert (reported.rules.missing, reported.rules.missing_examples) == (1, ["celeba/2.jpg"])
    assert list(found(written, reported.rules, root).values()) == [
        "images/celeba/1.jpg", "images/bm.jpg", "videos/teaser.mp4", "media-missing",
    ]  # fmt: skip


def test_two_files_that_fit_equally_are_a_question_and_a_finding(root: Path) -> None:
    put(root, "one/v/a.mp4", b"1"), put(root, "two/v/a.mp4", b"2"), put(root, "two/v/b.mp4")
    written = ["/x/v/a.mp4", "/x/v/b.mp4"]
    rules = learned(written, root).rules
    assert (rules.ambiguous, rules.missing) == (1, 0)
    assert "'/x/v/a.mp4'" in rules.questions[0] and "'one/v/a.mp4'" in rules.questions[0]
    assert list(found(written, rules, root).values()) == ["media-ambiguous", "two/v/b.mp4"]


def test_two_copies_of_one_file_are_no_ambiguity(root: Path) -> None:
    data = random.Random(1).randbytes(5000)
    put(root, "one/v/a.mp4", data), put(root, "two/v/a.mp4", data)
    rules = learned(["/x/v/a.mp4"], root).rules
    assert rules.ambiguous == 0
    assert found(["/x/v/a.mp4"], rules, root) == {"/x/v/a.mp4": "one/v/a.mp4"}
    put(root, "two/v/a.mp4", data[:-1] + b"!")
    assert found(["/x/v/a.mp4"], rules, root) == {"/x/v/a.mp4": "media-ambiguous"}


def test_an_equal_name_in_a_folder_of_another_name_is_no_match(root: Path) -> None:
    put(root, "w/000001.jpg"), put(root, "w/000002.jpg"), put(root, "w/000003.jpg")
    written = [f"/x/v/00000{i}.jpg" for i in (1, 2, 3)]
    rules = learned(written, root).rules
    assert rules.missing == 3 and not rules.rules
    assert set(found(written, rules, root).values()) == {"media-missing"}


def test_a_folder_that_belongs_to_a_sibling_is_not_taken_for_another(root: Path) -> None:
    put(root, "VG/images/1.jpg"), put(root, "VG/images/2.jpg")
    written = ["/x/VG/images/1.jpg", "/x/COCO/images/2.jpg"]
    rules = learned(written, root).rules
    assert list(found(written, rules, root).values()) == ["VG/images/1.jpg", "media-missing"]
    assert "/x/COCO" in rules.questions[0]


@pytest.mark.parametrize("local", ["videos_of_fine", "data/extra/finevideo", "finevideo_v2"])
def test_a_renamed_folder_is_learned_from_names_that_say_enough(root: Path, local: str) -> None:
    for name in VIDEO_IDS:
        put(root, f"{local}/{name}.mp4")
    written = [f"/mnt/x/fine/part/{name}.mp4" for name in VIDEO_IDS]
    rules = learned(written, root).rules
    assert prefixes(rules) == [("/mnt/x/fine/part", local)]
    assert list(found(written, rules, root).values()) == [f"{local}/{name}.mp4" for name in VIDEO_IDS]


@pytest.mark.parametrize(
    ("written", "here", "kind"),
    [
        ("D:\\data\\clips\\a.mp4", "clips/a.mp4", "backslash"),
        ("/mnt/x/clips/a%20b%28c%29.mp4", "clips/a b(c).mp4", "url"),
        ("/mnt/x/clips/r_0:01:09.mp4", "clips/r_0_01_09.mp4", "colon"),
        ("/mnt/x/clips/r_0:01:09.mp4", "clips/r_0%3A01%3A09.mp4", "colon"),
        ("/mnt/x/clips/r_0:01:09.mp4", "clips/r_00109.mp4", "colon"),
        ("/mnt/x/clips/caf\u00e9.mp4", "clips/cafe\u0301.mp4", "unicode"),
        ("/mnt/x/cli\u0301ps/a.mp4", "cl\u00edps/a.mp4", "unicode"),
    ],
)
def test_a_spelling_is_learned_and_undone(root: Path, written: str, here: str, kind: str) -> None:
    put(root, here), put(root, "clips/decoy.mp4")
    rules = learned([written], root).rules
    assert [rule.kind for rule in rules.rules if rule.kind != "prefix"] == [kind]
    assert found([written], rules, root) == {written: here}
    assert rules.missing == 0


def test_several_spellings_at_once_are_undone(root: Path) -> None:
    put(root, "my clips/r_0_01.mp4")
    written = "D:\\x\\my%20clips\\r_0:01.mp4"
    rules = learned([written], root).rules
    assert {rule.kind for rule in rules.rules} == {"prefix", "backslash", "url", "colon"} or rules.missing == 0
    assert found([written], rules, root) == {written: "my clips/r_0_01.mp4"}


@pytest.mark.parametrize(("before", "after", "kind"), [(".mp4", ".mkv", "extension"), (".mp4", ".MP4", "case")])
def test_another_extension_or_case_needs_more_than_one_path(root: Path, before: str, after: str, kind: str) -> None:
    put(root, f"clips/a{after}"), put(root, f"clips/b{after}"), put(root, f"clips/c{before}")
    written = [f"/mnt/x/clips/{name}{before}" for name in "abcd"]
    one = learned(written[:1], root).rules
    assert one.missing == 1 and kind in one.questions[0]
    rules = learned(written, root).rules
    assert [rule.kind for rule in rules.rules] == ["prefix", kind]
    assert list(found(written, rules, root).values()) == [
        f"clips/a{after}", f"clips/b{after}", f"clips/c{before}", "media-missing",
    ]  # fmt: skip


def test_a_sound_is_not_found_as_the_video_it_was_cut_from(root: Path) -> None:
    put(root, "clips/a.mp4"), put(root, "clips/b.mp4"), put(root, "clips/c.wav")
    rules = learned([f"/x/clips/{name}.wav" for name in "abc"], root, kind="audio").rules
    assert rules.missing == 2


def test_a_file_as_it_is_written_goes_before_one_that_is_spelled_otherwise(root: Path) -> None:
    put(root, "c/a.mp4"), put(root, "c/A.mp4"), put(root, "c/B.mp4"), put(root, "c/C.mp4")
    written = ["/x/c/a.mp4", "/x/c/b.mp4", "/x/c/c.mp4"]
    rules = learned(written, root).rules
    assert list(found(written, rules, root).values()) == ["c/a.mp4", "c/B.mp4", "c/C.mp4"]


def test_members_of_archives_are_found_without_unpacking(root: Path) -> None:
    tar(root / "part/videos_1.tar.gz", {"academic/a.mp4": b"first"}, "w:gz")
    tar(root / "part/videos_2.tar", {"academic/b.mp4": b"second", "frames/x/2.jpg": b"2", "frames/x/1.jpg": b"1"})
    put(root, "part/academic/c.mp4", b"unpacked")
    written = ["academic/a.mp4", "academic/b.mp4", "academic/c.mp4", "academic/d.mp4", "/m/frames/x"]
    reported = learned(written, root)
    assert (reported.rules.total, reported.rules.missing) == (5, 1)
    rewriter = Rewriter([str(root)], rules=reported.rules, cache=str(root.parent / "cache"))
    items = [rewriter.item(Reference(path), "video", "") for path in written[:4]]
    assert [read_bytes(item) for item in items[:3] if not isinstance(item, Finding)] == [
        b"first",
        b"second",
        b"unpacked",
    ]
    assert isinstance(items[3], Finding) and items[3].kind.name == "media-missing"
    frames = rewriter.video(Reference("/m/frames/x"), "")
    assert isinstance(frames, list) and [read_bytes(frame) for frame in frames] == [b"1", b"2"]
    assert {str(root / "part/videos_1.tar.gz"), str(root / "part")} <= rewriter.watched.keys()


def test_an_archive_is_a_root_with_no_rules(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", {"v/a.mp4": b"one", "patch": b"--onetwo"})
    rewriter = Rewriter([str(tmp_path / "x.tar")], cache=str(tmp_path / "cache"))
    item = rewriter.item(Reference("/mnt/y/v/a.mp4"), "video", "")
    assert not isinstance(item, Finding) and (item.name, read_bytes(item)) == ("a.mp4", b"one")
    frames = rewriter.video(Reference("/mnt/patch", (3, 3), 2), "")
    assert isinstance(frames, PatchItems) and [read_bytes(frame) for frame in frames] == [b"one", b"two"]


def test_the_same_member_in_two_archives_is_ambiguous(root: Path) -> None:
    tar(root / "1.tar", {"v/a.mp4": b"one"}), tar(root / "2.tar", {"v/a.mp4": b"two"})
    rules = learned(["v/a.mp4"], root).rules
    assert rules.ambiguous == 1
    assert found(["v/a.mp4"], rules, root) == {"v/a.mp4": "media-ambiguous"}


def test_rules_say_the_same_on_another_machine_and_after_being_saved(tmp_path: Path) -> None:
    here, there = tmp_path / "here" / "root", tmp_path / "there" / "otherwise"
    for one in (here, there):
        put(one, "cross/v: [b]/a.mkv"), put(one, "cross/v: [b]/b.mkv"), put(one, "cross/v: [b]/c.mp4")
    written = [f"/x/v: [b]/{name}.mp4" for name in "abcd"]
    rules = learned(written, here).rules
    file = tmp_path / "rules.yaml"
    rules.save(str(file))
    assert str(tmp_path) not in file.read_text()
    assert Rules.load(str(file)) == rules
    assert found(written, Rules.load(str(file)), there) == found(written, rules, here)
    assert learned(written, there, rules=rules).rules.rules == rules.rules


@pytest.mark.parametrize(
    "text",
    [
        "rules: [{kind: prefix, to: ../../etc, root: 1}]",
        "rules: [{kind: prefix, to: /etc, root: 1}]",
        "rules: [{kind: prefix, from: /x, to: a}]",
        "rules: [{kind: regex, from: '(a+)+$', to: b}]",
        "rules: [{kind: extension, from: mp4, to: /../x}]",
        "rules: [{kind: colon, to: /}]",
        "a: &a [x, x]\nb: &b [*a, *a]\nrules: [*b, *b]",
        "rules: !!python/object/apply:os.system [true]",
        "rules: 7",
        "[",
        "\0",
        "version: 2",
        "rules: [" + "{kind: url}, " * 3000 + "]",
    ],
)
def test_a_rules_file_that_is_none_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(DataError, match=r"rules\.yaml") as error:
        Rules.load(str(tmp_path / "rules.yaml"))
    assert "\n" not in str(error.value)


def test_rules_for_a_root_that_is_not_given_find_nothing_and_say_so(root: Path) -> None:
    put(root, "v/a.mp4")
    rules = Rules(rules=[Rule("prefix", "/x", "", 2)])
    assert found(["/x/v/a.mp4"], rules, root) == {"/x/v/a.mp4": "media-missing"}
    assert "media root 2" in learned(["/x/v/a.mp4"], root, rules=rules).rules.questions[0]


def test_a_rewriter_works_after_pickling_and_after_fork(root: Path) -> None:
    tar(root / "x.tar", {"v/a.mp4": b"one"})
    rules = learned(["/m/v/a.mp4"], root).rules
    rewriter = Rewriter([str(root)], rules=rules, cache=str(root.parent / "cache"))
    expected = rewriter.item(Reference("/m/v/a.mp4"), "video", "")
    assert not isinstance(expected, Finding)
    assert pickle.loads(pickle.dumps(rewriter)).item(Reference("/m/v/a.mp4"), "video", "") == expected
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.starmap(rewriter.item, [(Reference("/m/v/a.mp4"), "video", "")] * 4) == [expected] * 4


STEPS = st.sampled_from(["a", "b", "v", "A", "0", "é"])
NAMES = st.sampled_from(
    ["a.mp4", "b.mp4", "0.mp4", "00001.jpg", "A.mp4", "a.mkv", "x:y.mp4", "x_y.mp4", "lltmlYR56dI.mp4"]
)
LOCAL = st.lists(STEPS, max_size=3)


@settings(max_examples=300, deadline=None)
@given(
    files=st.sets(st.tuples(LOCAL.map(tuple), NAMES), min_size=1, max_size=10),
    gone=st.sets(st.integers(0, 9)),
    prefix=st.lists(st.sampled_from(["mnt", "home", "data", "x y", "a"]), max_size=3),
    dropped=st.integers(0, 2),
    data=st.data(),
)
def test_never_a_wrong_file_and_every_one_whose_end_is_unique(
    tmp_path_factory: pytest.TempPathFactory,
    files: set[tuple[tuple[str, ...], str]],
    gone: set[int],
    prefix: list[str],
    dropped: int,
    data: st.DataObject,
) -> None:
    """A tree, some of its files gone; paths from another machine, with another prefix for some leading folders."""
    root = tmp_path_factory.mktemp("tree") / "root"
    root.mkdir()
    truth: dict[str, str] = {}
    for number, (folder, name) in enumerate(sorted(files)):
        local = "/".join((*folder, name))
        truth["/".join(["", "foreign", *prefix, *folder[min(dropped, len(folder)) :], name])] = local
        if number not in gone:
            put(root, local, str(number).encode())
    there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    order = data.draw(st.permutations(sorted(truth)))
    rules = learned(order, root).rules
    outcome = found(order, rules, root)
    for written, where in outcome.items():
        ends = {local: common_end(written, local) for local in there}
        best = max(ends.values(), default=0)
        nearest = [local for local, count in ends.items() if count == best]
        if not where.startswith("media-"):
            assert (best and nearest == [where]) or same_name(where, written), (written, where, rules)
        if best >= 2 and len(nearest) == 1:
            assert where == nearest[0] or any("they were not taken" in one for one in rules.questions), (written, rules)
    assert rules.total == len(order)
    assert rules.missing == sum(where == "media-missing" for where in outcome.values())
    assert rules.ambiguous == sum(where == "media-ambiguous" for where in outcome.values())
    assert what(learned(order[::-1], root).rules) == what(rules)


def what(rules: Rules) -> set[tuple[str, str, str]]:
    return {(rule.kind, rule.before, rule.to) for rule in rules.rules}


@settings(max_examples=150, deadline=None)
@given(
    folders=st.lists(st.lists(st.sampled_from(["v", "w", "clips", "é"]), max_size=3), min_size=1, max_size=4),
    names=st.lists(
        st.sampled_from(["1.mp4", "2.mp4", "a.mp4", "lltmlYR56dI.mp4"]), min_size=1, max_size=4, unique=True
    ),
    moved=st.lists(st.sampled_from(["deep", "er"]), max_size=2),
    foreign=st.lists(st.sampled_from(["mnt", "lustre", "x y"]), max_size=3),
    data=st.data(),
)
def test_a_dataset_that_was_moved_is_found_whole_and_nothing_else_among_decoys(
    tmp_path_factory: pytest.TempPathFactory,
    folders: list[list[str]],
    names: list[str],
    moved: list[str],
    foreign: list[str],
    data: st.DataObject,
) -> None:
    root = tmp_path_factory.mktemp("tree") / "root"
    root.mkdir()
    expected: dict[str, str] = {}
    for number, inner in enumerate(folders):
        folder = [f"set{number}", *inner]
        for name in names:
            local, written = "/".join((*moved, *folder, name)), "/".join(["", *foreign, *folder, name])
            here = data.draw(st.booleans(), label=local)
            expected[written] = local if here else "media-missing"
            if here:
                put(root, local, local.encode())
    for number, name in enumerate(names):
        put(root, f"decoys{number}/{name}"), put(root, f"{'/'.join([*moved, 'decoys', ''])}{name}")
    rules = learned(sorted(expected), root).rules
    assert found(sorted(expected), rules, root) == expected, rules


def common_end(written: str, local: str) -> int:
    one, other = written.strip("/").split("/"), local.split("/")
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return count


def same_name(here: str, written: str) -> bool:
    """Whether a file's name is the written one spelled otherwise, as the rules for case, colons and extensions have it."""

    def plain(path: str) -> str:
        stem = os.path.splitext(os.path.basename(path))[0].replace(":", "_").casefold()
        return unicodedata.normalize("NFC", stem)

    return plain(here) == plain(written)


def annotations(folder: Path, written: Sequence[str]) -> str:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "This."}]
    records = [{"id": i, "video": path, "conversations": turns} for i, path in enumerate(written)]
    return str(put(folder, "data.json", json.dumps(records).encode()))


def test_the_command_shows_saves_and_verifies(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODALMIX_CACHE", str(tmp_path / "user-cache"))
    put(root, "cross/[red]v[/red]/a.mp4"), put(root, "one/w/b.mp4", b"1"), put(root, "two/w/b.mp4", b"2")
    data = annotations(tmp_path, ["/m/[red]v[/red]/a.mp4", "/m/w/b.mp4", "/m/gone.mp4"])
    save = str(tmp_path / "rules.yaml")
    assert main(["paths", data, "--media-root", str(root), "--save", save]) == 1
    shown = "".join(capsys.readouterr().out.split())
    assert "[red]v[/red]" in shown and "1of3pathsfound" in shown and "Whichismeant?" in shown
    assert main(["paths", data, "--media-root", str(root), "--rules", save, "--json"]) == 1
    reported = json.loads(capsys.readouterr().out)
    assert (reported["total"], reported["found"], reported["missing"], reported["ambiguous"]) == (3, 1, 1, 1)
    assert Path(tmp_path, "user-cache", "paths").is_dir()


def test_the_command_ends_with_0_where_all_is_found(tmp_path: Path, root: Path) -> None:
    put(root, "v/a.mp4")
    data = annotations(tmp_path, ["/m/v/a.mp4"])
    assert main(["paths", data, "--media-root", str(root), "--quiet", "--index", str(tmp_path / "c")]) == 0
    assert main(["paths", data, "--media-root", str(tmp_path / "nowhere"), "--quiet"]) == 2


def test_the_name_of_an_archive_is_a_folder_of_its_members(root: Path) -> None:
    for i in range(2):
        tar(root / f"30s/shard-{i}.tar", {"0.mp4": b"%d" % i, f"v/{i}.jpg": b"picture", "once.mp4" if i else "x": b"1"})
    put(root, "60s/shard-0/0.mp4")
    tar(root / "60s/shard-0.tar", {"0.mp4": b"packed"})
    tar(root / "60s/shard-1.tar", {"1.mp4": b"1"})
    written = [f"/mnt/30s/shard-{i}/{name}" for i in range(2) for name in ("0.mp4", "v", "once.mp4")]
    written += ["60s/shard-0/0.mp4", "60s/shard-0/1.mp4", "30s/0.mp4"]
    rules = learned(written, root).rules
    assert found(written, rules, root) == {
        "/mnt/30s/shard-0/0.mp4": "30s/shard-0.tar: 30s/0.mp4",
        "/mnt/30s/shard-0/v": "30s/v",
        "/mnt/30s/shard-0/once.mp4": "media-missing",
        "/mnt/30s/shard-1/0.mp4": "30s/shard-1.tar: 30s/0.mp4",
        "/mnt/30s/shard-1/v": "30s/v",
        "/mnt/30s/shard-1/once.mp4": "30s/shard-1.tar: 30s/once.mp4",
        "60s/shard-0/0.mp4": "60s/shard-0/0.mp4",
        "60s/shard-0/1.mp4": "media-missing",
        "30s/0.mp4": "media-ambiguous",
    }
    rewriter = Rewriter([str(root)], rules=rules, cache=str(root.parent / "cache"))
    for i in range(2):
        frames = rewriter.video(Reference(f"/mnt/30s/shard-{i}/v"), "")
        assert not isinstance(frames, Finding) and [frame.name for frame in frames] == [f"{i}.jpg"]
