"""What a browser may ask for: the page, descriptions, searches, thumbnails, duplicates.

All paths stand below the token of `guard`. Images are asked for by generation and row, see
`collection`, never by path. Errors are JSON: `{"error": "what is wrong and what to do"}`.
"""

import asyncio
import base64
import contextlib
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from darac_tf.errors import UserError, printable
from darac_tf.web.client import MOST_RESULTS, UPLOAD
from darac_tf.web.collection import GoneError
from darac_tf.web.duplicate_groups import DuplicateGroups
from darac_tf.web.guard import Guard

_HERE = Path(__file__).parent
_UPLOAD_SECONDS = 60
_MOST_JSON_BYTES = 4 << 20
_MOST_PARTS, _SHOWN_OF_GROUP = 32, 60
# A row is one content for as long as a generation lasts.
_KEPT = {"Cache-Control": "private, max-age=86400, immutable"}
_KINDS = {
    "jpg": "jpeg", "jpeg": "jpeg", "png": "png", "webp": "webp", "bmp": "bmp", "gif": "gif",
    "tif": "tiff", "tiff": "tiff", "heic": "heic", "heif": "heif", "avif": "avif", "jxl": "jxl",
}  # fmt: skip


def build_app(collection, settings, token, host="127.0.0.1"):
    """The ASGI application of a `Collection`.

    Args:
        collection: The `Collection`.
        settings: `WebSettings`.
        token: What all paths begin with, text that may stand in an address.
        host: What is listened on.
    """
    page = _Page(collection, settings)
    routes = [
        Route("/", page.page),
        Route("/state", page.state),
        Route("/take_in", page.take_in, methods=["POST"]),
        Route("/describe", page.describe_upload, methods=["POST"]),
        Route("/describe/{generation}/{row:int}", page.describe_image, methods=["POST"]),
        Route("/picture", page.picture_of_upload, methods=["POST"]),
        Route("/search", page.search, methods=["POST"]),
        Route("/duplicates", page.duplicates, methods=["POST"]),
        Route("/thumbnail/{generation}/{row:int}", page.thumbnail),
        Route("/picture/{generation}/{row:int}", page.picture),
        Route("/file/{generation}/{row:int}", page.file),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    faults = {GoneError: _gone, UserError: _mistake, HTTPException: _refusal}
    app = Starlette(routes=routes, exception_handlers=faults, lifespan=page.lifespan)
    return Guard(app, token, host, settings.max_requests)


class _Json(JSONResponse):
    """In ASCII: names of files may hold bytes that are no text, which UTF-8 can't."""

    def render(self, content):
        return json.dumps(content, separators=(",", ":")).encode()


class _Page:
    """The handlers. One thread describes, one searches, two make pictures; the loop never waits."""

    def __init__(self, collection, settings):
        self._collection, self._settings = collection, settings
        self._templates = Jinja2Templates(_HERE / "templates")
        self._describing, self._searching, self._making = map(ThreadPoolExecutor, (1, 1, 2))
        self._duplicates = None

    @contextlib.asynccontextmanager
    async def lifespan(self, app):
        yield
        if self._duplicates is not None:
            self._duplicates.stop()
        for pool in (self._describing, self._searching, self._making):
            pool.shutdown(cancel_futures=True)

    async def page(self, request):
        collection = self._collection
        facts = {
            "name": printable(collection.folder.absolute().name),
            "upload_mb": self._settings.max_upload_mb,
            "is_upright": collection.model.is_upright,
        }
        return self._templates.TemplateResponse(request, "page.html", facts)

    async def state(self, request):
        return _Json(await self._in(self._searching, self._state))

    async def take_in(self, request):
        await self._in(self._searching, self._collection.take_in)
        return await self.state(request)

    async def describe_upload(self, request):
        async with self._upload(request) as path:
            part, box = _numbers(request, "part", float), _numbers(request, "box", int)
            return await self._described(path, part, box)

    async def describe_image(self, request):
        part = _numbers(request, "part", float)
        path, _ = await self._of_image(self._making, self._collection.file, request)
        return await self._described(path, part)

    async def picture_of_upload(self, request):
        """A JPEG of what the browser itself can't show."""
        async with self._upload(request) as path:
            data = await self._in(self._making, self._collection.picture_of_upload, path)
            return Response(data, media_type="image/jpeg")

    async def search(self, request):
        query = await _json(request)
        return _Json(await self._in(self._searching, self._search, query))

    async def duplicates(self, request):
        query = await _json(request)
        return _Json(await self._in(self._searching, self._groups, query))

    async def thumbnail(self, request):
        data = await self._of_image(self._making, self._collection.thumbnail, request)
        return Response(data, headers=_KEPT, media_type="image/jpeg")

    async def picture(self, request):
        path, _ = await self._of_image(self._making, self._collection.file, request)
        data = await self._in(self._making, self._collection.picture, path)
        return Response(data, headers=_KEPT, media_type="image/jpeg")

    async def file(self, request):
        path, data = await self._of_image(self._making, self._collection.file, request)
        kind = _KINDS[Path(path).suffix[1:].lower()]
        return Response(data, headers=_KEPT, media_type=f"image/{kind}")

    async def _in(self, pool, function, *arguments):
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    async def _of_image(self, pool, function, request):
        snapshot = self._collection.at(request.path_params["generation"])
        return await self._in(pool, function, snapshot, request.path_params["row"])

    async def _described(self, path, *place):
        vector = await self._in(self._describing, self._collection.describe, path, *place)
        return _Json({"vector": base64.b64encode(vector.astype("<f4")).decode()})

    @contextlib.asynccontextmanager
    async def _upload(self, request):
        """The path of a file with the body of a request, which goes with the block."""
        with tempfile.TemporaryDirectory(prefix="darac-") as folder:
            path = Path(folder) / UPLOAD
            with path.open("wb") as file:
                limit = self._settings.max_upload_mb << 20
                async for chunk in _body(request, limit):
                    file.write(chunk)
            try:
                yield path
            except UserError as error:
                raise UserError(str(error).replace(f"{folder}/", "")) from error

    def _state(self):
        snapshot = self._collection.snapshot
        more, is_changed = snapshot.index.news()
        folders = [{"path": os.fsdecode(path), "images": n} for path, n in snapshot.folders]
        return {
            "generation": snapshot.generation,
            "images": len(snapshot.live),
            "more": more,
            "is_changed": is_changed,
            "root": snapshot.root,
            "folders": folders,
        }

    def _search(self, query):
        snapshot = self._collection.at(query.get("generation"))
        plus, minus = (self._vectors(snapshot, query.get(name, [])) for name in ("plus", "minus"))
        offset = _number(query, "offset", 0, len(snapshot.live), 0)
        count = _number(query, "count", 1, MOST_RESULTS, 60)
        folder = query.get("folder")
        if not isinstance(folder, str | None):
            raise UserError("folder: a path, or null for all")
        found, total = self._collection.search(snapshot, plus, minus, folder, offset, count)
        results = [_item(each.row, each.paths, each.similarity) for each in found if each.paths]
        return {"results": results, "total": total, "next": offset + len(found)}

    def _groups(self, query):
        snapshot = self._collection.at(query.get("generation"))
        threshold = query.get("threshold")
        if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
            raise UserError("threshold: a number above 0, up to 1")
        if self._duplicates is None or self._duplicates.snapshot is not snapshot:
            if self._duplicates is not None:
                self._duplicates.stop()
            self._duplicates = DuplicateGroups(snapshot)
        job = self._duplicates
        share = job.share  # First: what is found after it is more, and not less, than it says.
        groups = job.groups(threshold)
        offset = _number(query, "offset", 0, len(groups), 0)
        shown = groups[offset : offset + _number(query, "count", 1, MOST_RESULTS, 20)]
        return {
            "share": share,
            "fault": job.fault,
            "floor": job.floor,
            "total": len(groups),
            "groups": [
                {
                    "similarity": similarity,
                    "images": len(rows),
                    "results": [
                        _item(row, paths)
                        for row in rows[:_SHOWN_OF_GROUP]
                        if (paths := self._collection.paths(snapshot, row))
                    ],
                }
                for similarity, rows in shown
            ],
        }

    def _vectors(self, snapshot, parts):
        """Of a list of `{"row": n}` and `{"vector": base64}`: float32 `(n, dimension)`."""
        dimension = snapshot.index.settings["dimension"]
        if not isinstance(parts, list) or len(parts) > _MOST_PARTS:
            raise UserError(f"plus and minus are lists of at most {_MOST_PARTS}")
        vectors = np.empty((len(parts), dimension), np.float32)
        for place, part in enumerate(parts):
            if isinstance(part, dict) and isinstance(part.get("row"), int):
                vectors[place] = self._collection.vector(snapshot, part["row"])
            else:
                vectors[place] = _vector(part, dimension)
        return vectors


def _vector(part, dimension):
    try:
        vector = np.frombuffer(base64.b64decode(part["vector"], validate=True), "<f4")
    except (TypeError, KeyError, ValueError) as error:
        raise UserError("a part of a query is neither a row nor a vector") from error
    if len(vector) != dimension or not abs(np.linalg.norm(vector) - 1) < 0.1:
        raise UserError(f"a vector is {dimension} numbers of length 1: describe the picture again")
    return vector


def _item(row, paths, similarity=None):
    return {"row": row, "similarity": similarity, "paths": list(map(os.fsdecode, paths))}


def _number(query, name, low, high, default=None):
    value = query.get(name, default)
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"{name}: a whole number from {low} to {high}")
    return value


def _numbers(request, name, kind):
    """The four numbers of the part of a picture that `?part=` or `?box=` names, or None."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        left, top, right, bottom = map(kind, text.split(","))
    except ValueError as error:
        raise UserError(f"{name}: four numbers, left,top,right,bottom") from error
    return left, top, right, bottom


async def _body(request, limit):
    """Yields the body; refuses what is larger, or takes too long to come."""
    too_large = HTTPException(413, f"more than {limit >> 20} MB: make it smaller")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and int(announced) > limit:
        raise too_large
    size = 0
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large
                yield chunk
    except TimeoutError as error:
        raise HTTPException(408, "the upload took too long: send it again") from error


async def _json(request):
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415, "application/json is wanted")
    data = b"".join([chunk async for chunk in _body(request, _MOST_JSON_BYTES)])
    query = None
    with contextlib.suppress(ValueError, RecursionError):
        query = json.loads(data)
    if not isinstance(query, dict):
        raise UserError("the request is no JSON object")
    return query


async def _gone(request, error):
    return _Json({"error": str(error)}, 410)


async def _mistake(request, error):
    return _Json({"error": str(error)}, 400)


async def _refusal(request, error):
    return _Json({"error": error.detail}, error.status_code, error.headers)
