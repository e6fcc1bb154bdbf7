"""Repositories: the Hub's interface to repositories, commits, pull requests and files."""

from __future__ import annotations

import base64
import json
import os
import re
from typing import Any
from urllib.parse import parse_qs, quote

import yaml

from .routes import REPO, route
from .store import COMMIT, LFS, ApiError, listing, now, tree_entry

_FILE = r"/datasets/(?P<name>[^/]+/[^/]+)"
_REGULAR = 10 << 20


@route("hub", "GET", "/api/whoami-v2")
def whoami(request: Any, hub: Any) -> None:
    if not request.user:
        raise ApiError(401, "Invalid username or password.")
    token = {"displayName": "test", "role": request.role, "createdAt": now()}
    orgs = [{"type": "org", "id": org, "name": org, "fullname": org, "roleInOrg": "admin"} for org in hub.orgs]
    user = request.user
    request.reply(value={"type": "user", "id": user, "name": user, "fullname": user, "email": None, "isPro": False,
                         "orgs": orgs, "auth": {"type": "access_token", "accessToken": token}})  # fmt: skip


@route("hub", "POST", "/api/repos/create")
def create(request: Any, hub: Any) -> None:
    request.need_write()
    body = request.json()
    owner = body.get("organization") or request.user
    if owner != request.user and owner not in hub.orgs:
        raise ApiError(403, f"You don't have the rights to create a dataset under the namespace {owner!r}")
    name = f"{owner}/{body['name']}"
    private = body.get("visibility") == "private" or bool(body.get("private"))
    url = f"{hub.url}/datasets/{name}"
    if hub.store.create(name, private, request.user):
        request.reply(value={"url": url, "name": name, "id": name})
    else:
        request.reply(409, {"error": "You already created this dataset repo", "url": url})


@route("hub", "POST", "/api/validate-yaml")
def validate(request: Any, hub: Any) -> None:
    """Checks a dataset's metadata as the real Hub is known to: YAML, and the types of a few keys."""
    errors: list[str] = []
    front = re.match(r"---\r?\n(.*?)\r?\n---\s*(\r?\n|$)", request.json()["content"], re.S)
    try:
        meta = yaml.safe_load(front[1]) if front else {}
        if not isinstance(meta, dict):
            errors.append("metadata must be a mapping")
        elif any(not isinstance(tag, str) for tag in meta.get("tags") or []):
            errors.append('"tags" must be a list of strings')
        elif not all(isinstance(meta.get(key, ""), (str, list)) for key in ("license", "language")):
            errors.append('"license" and "language" must be texts or lists')
    except yaml.YAMLError as error:
        errors.append(str(error))
    request.reply(400 if errors else 200, {"errors": [{"message": error} for error in errors], "warnings": []})


@route("hub", "GET", REPO)
@route("hub", "GET", REPO + r"/revision/(?P<revision>.+)")
def info(request: Any, hub: Any, name: str, revision: str = "main") -> None:
    repo = hub.store.repo(name, request.user)
    commit = hub.store.at(repo, revision)
    files = [{"rfilename": path} for path in sorted(commit["files"])]
    request.reply(value={"_id": name, "id": name, "author": name.split("/")[0], "sha": commit["oid"],
                         "lastModified": commit["date"], "createdAt": repo["created"], "private": repo["private"], "gated": False,
                         "disabled": False, "tags": [], "downloads": 0, "likes": 0, "siblings": files})  # fmt: skip


@route("hub", "POST", REPO + r"/branch/(?P<branch>.+)")
def branch(request: Any, hub: Any, name: str, branch: str) -> None:
    request.need_write()
    repo = hub.store.repo(name, request.user)
    if branch in repo["refs"]:
        raise ApiError(409, f"Reference already exists: refs/heads/{branch}")
    repo["refs"][branch] = hub.store.at(repo, request.json().get("startingPoint") or "main")["oid"]
    request.reply(201, {})


@route("hub", "GET", REPO + r"/refs")
def refs(request: Any, hub: Any, name: str) -> None:
    repo = hub.store.repo(name, request.user)
    branches = [{"name": ref, "ref": f"refs/heads/{ref}", "targetCommit": oid} for ref, oid in repo["refs"].items()]
    request.reply(value={"branches": branches, "tags": [], "converts": []})


@route("hub", "GET", REPO + r"/tree/(?P<revision>[^/]+)(?:/(?P<folder>.+))?")
def tree(request: Any, hub: Any, name: str, revision: str, folder: str = "") -> None:
    commit = hub.store.at(hub.store.repo(name, request.user), revision)
    out = listing(commit["files"], folder, request.flag("recursive"))
    if folder and not out:
        raise ApiError(404, f"{folder} does not exist on {revision!r}", "EntryNotFound")
    at = int(request.query.get("cursor", ["0"])[0])
    headers = {}
    if at + hub.page < len(out):
        kept = "&".join(f"{key}={values[0]}" for key, values in request.query.items() if key != "cursor")
        path = request.path.partition("?")[0]
        headers["Link"] = f'<{hub.url}{path}?{kept}&cursor={at + hub.page}>; rel="next"'
    request.reply(value=out[at : at + hub.page], headers=headers)


@route("hub", "POST", REPO + r"/paths-info/(?P<revision>[^/]+)")
def paths_info(request: Any, hub: Any, name: str, revision: str) -> None:
    files = hub.store.at(hub.store.repo(name, request.user), revision)["files"]
    form = "json" in request.headers.get("Content-Type", "")
    paths = request.json()["paths"] if form else parse_qs(request.body().decode()).get("paths", [])
    out = [tree_entry(path.strip("/"), files[path.strip("/")]) for path in paths if path.strip("/") in files]
    request.reply(value=out)


@route("hub", "POST", REPO + r"/preupload/(?P<revision>[^/]+)")
def preupload(request: Any, hub: Any, name: str, revision: str) -> None:
    request.need_write()
    commit = hub.store.at(hub.store.repo(name, request.user), revision)
    out = []
    for file in request.json()["files"]:
        path, existing = file["path"], commit["files"].get(file["path"])
        large = path.endswith(LFS) or file["size"] > _REGULAR or b"\0" in base64.b64decode(file["sample"])
        entry = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        if existing:
            entry["oid"] = existing.get("lfs") or existing["oid"]
        out.append(entry)
    request.reply(value={"files": out, "commitOid": commit["oid"]})


@route("hub", "POST", REPO + r"/commit/(?P<revision>[^/]+)")
def commit(request: Any, hub: Any, name: str, revision: str) -> None:
    request.need_write()
    store = hub.store
    repo = store.repo(name, request.user)
    body = request.body()
    with store.lock:
        head = store.at(repo, revision)
        files, title = dict(head["files"]), ""
        for line in body.splitlines():
            operation = json.loads(line)
            key, value = operation["key"], operation["value"]
            if key == "header":
                title = value["summary"]
                if value.get("parentCommit") not in (None, head["oid"]):
                    raise ApiError(412, "A commit has happened since. Please refresh and try again.")
            elif key == "file":
                files[value["path"]] = store.regular(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                if not os.path.exists(store.blob(value["oid"])):
                    raise ApiError(400, f"LFS object {value['oid']} was never uploaded")
                files[value["path"]] = store.large(value["oid"])
            elif key == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise ApiError(404, "A file with this name doesn't exist", "EntryNotFound")
            else:
                raise ApiError(400, f"unknown operation {key}")
        if COMMIT.fullmatch(revision):
            raise ApiError(400, "cannot commit to a detached revision")
        oid = store.commit(name, revision, files, title, request.user, head["oid"])
    url = f"{hub.url}/datasets/{name}/commit/{oid}"
    request.reply(value={"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})


@route("hub", "POST", REPO + r"/discussions")
def discuss(request: Any, hub: Any, name: str) -> None:
    request.need_write()
    repo = hub.store.repo(name, request.user)
    repo["prs"].append({"title": request.json()["title"], "status": "draft", "author": request.user})
    number = len(repo["prs"])
    repo["refs"][f"refs/pr/{number}"] = repo["refs"]["main"]
    request.reply(value={"num": number, "url": f"{hub.url}/datasets/{name}/discussions/{number}"})


@route("hub", "GET", REPO + r"/discussions")
def discussions(request: Any, hub: Any, name: str) -> None:
    """The pull requests, newest first, `hub.page` in a page."""
    prs = list(enumerate(hub.store.repo(name, request.user)["prs"], 1))[::-1]
    author = request.query.get("author", [None])[0]
    found = [
        {"num": number, "title": one["title"], "status": one["status"], "isPullRequest": True, "createdAt": now(),
         "author": {"name": one["author"]}, "repo": {"name": name, "type": "dataset"}}
        for number, one in prs
        if author in (None, one["author"])
    ]  # fmt: skip
    start = int(request.query.get("p", ["0"])[0]) * hub.page
    request.reply(value={"discussions": found[start : start + hub.page], "count": len(found), "start": start})


@route("hub", "GET", REPO + r"/discussions/(?P<number>\d+)")
def discussion(request: Any, hub: Any, name: str, number: str) -> None:
    pull = hub.store.repo(name, request.user)["prs"][int(number) - 1]
    request.reply(value={"num": int(number), "title": pull["title"], "status": pull["status"], "isPullRequest": True,
                         "author": {"name": request.user}, "createdAt": now(), "events": [], "diffUrl": None,
                         "repo": {"name": name, "type": "dataset"}, "filesWithConflicts": [],
                         "changes": {"base": "refs/heads/main", "mergeCommitId": None}})  # fmt: skip


@route("hub", "POST", REPO + r"/discussions/(?P<number>\d+)/status")
def status(request: Any, hub: Any, name: str, number: str) -> None:
    request.need_write()
    pull = hub.store.repo(name, request.user)["prs"][int(number) - 1]
    pull["status"] = request.json()["status"]
    event = {
        "id": "1",
        "type": "status-change",
        "createdAt": now(),
        "author": {"name": request.user},
        "data": {"status": "open"},
    }
    request.reply(value={"newStatus": event})


@route("hub", "GET", REPO + r"/xet-(?P<kind>read|write)-token/(?P<revision>.+)")
def xet_token(request: Any, hub: Any, name: str, kind: str, revision: str) -> None:
    hub.store.repo(name, request.user)
    if kind == "write":
        request.need_write()
    if not hub.xet:
        raise ApiError(404, "no Xet here")
    expires = 4_000_000_000
    request.reply(
        value={"accessToken": hub.cas_token, "casUrl": hub.cdn, "exp": expires},
        headers={"X-Xet-Access-Token": hub.cas_token, "X-Xet-Cas-Url": hub.cdn, "X-Xet-Token-Expiration": str(expires)},
    )


@route("hub", "POST", _FILE + r"\.git/info/lfs/objects/batch")
def batch(request: Any, hub: Any, name: str) -> None:
    """Where to upload blobs; none for a blob that exists, so that uploads resume."""
    request.need_write()
    hub.store.repo(name, request.user)
    objects, transfer = [], "basic"
    for one in request.json()["objects"]:
        item = {"oid": one["oid"], "size": one["size"]}
        if not os.path.exists(hub.store.blob(one["oid"])):
            upload: dict[str, Any] = {"href": f"{hub.cdn}/lfs/{one['oid']}"}
            if one["size"] > hub.part:
                transfer = "multipart"
                parts = {str(n): f"{upload['href']}/part/{n}" for n in range(1, -(-one["size"] // hub.part) + 1)}
                upload = {
                    "href": f"{hub.url}/lfs/{one['oid']}/complete",
                    "header": {"chunk_size": str(hub.part), **parts},
                }
            item.update(authenticated=True, actions={"upload": upload, "verify": {"href": f"{hub.url}/lfs/verify"}})
        objects.append(item)
    value = {"transfer": transfer, "objects": objects, "hash_algo": "sha256"}
    request.reply(value=value, kind="application/vnd.git-lfs+json")


@route("hub", "POST", r"/lfs/(?P<oid>[0-9a-f]{64})/complete")
def complete(request: Any, hub: Any, oid: str) -> None:
    """Joins the parts of a blob, which are all uploaded."""
    numbers = sorted(part["partNumber"] for part in request.json()["parts"])
    hub.store.join_parts(oid, numbers)
    request.reply(value={"success": True})


@route("hub", "POST", r"/lfs/verify")
def verify(request: Any, hub: Any) -> None:
    expected = request.json()
    path = hub.store.blob(expected["oid"])
    if not os.path.exists(path) or os.path.getsize(path) != expected["size"]:
        raise ApiError(404, "no such object, or of another size")
    request.reply(value={})


@route("hub", "GET|HEAD", _FILE + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(request: Any, hub: Any, name: str, revision: str, path: str) -> None:
    commit = hub.store.at(hub.store.repo(name, request.user), revision)
    entry = commit["files"].get(path)
    if entry is None:
        raise ApiError(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit["oid"]})
    headers = {"X-Repo-Commit": commit["oid"], "Accept-Ranges": "bytes"}
    if "lfs" in entry:
        headers.update({"X-Linked-Size": str(entry["size"]), "X-Linked-ETag": f'"{entry["lfs"]}"',
                        "Location": f"{hub.cdn}/blob/{entry['lfs']}", "Cache-Control": "no-store"})  # fmt: skip
        if entry["xet"] and hub.xet:
            token = f"{hub.url}/api/datasets/{name}/xet-read-token/{commit['oid']}"
            headers["X-Xet-Hash"] = entry["xet"]
            headers["Link"] = (
                f'<{token}>; rel="xet-auth", <{hub.cdn}/v1/reconstructions/{entry["xet"]}>; rel="xet-reconstruction-info"'
            )
        request.reply(302, headers=headers)
        return
    where = f"/api/resolve-cache/datasets/{name}/{commit['oid']}/{quote(path)}"
    headers.update({"Location": where, "X-Linked-ETag": f'"{entry["oid"]}"', "X-Linked-Size": str(entry["size"])})
    request.reply(307, headers=headers)


@route("hub", "GET|HEAD", r"/api/resolve-cache/datasets/(?P<name>[^/]+/[^/]+)/(?P<revision>[0-9a-f]{40})/(?P<path>.+)")
def resolved(request: Any, hub: Any, name: str, revision: str, path: str) -> None:
    entry = hub.store.at(hub.store.repo(name, request.user), revision)["files"][path]
    headers = {"ETag": f'"{entry["oid"]}"', "X-Repo-Commit": revision, "Content-Type": "text/plain; charset=utf-8"}
    request.send_file(hub.store.blob(entry["blob"]), entry["size"], headers)
