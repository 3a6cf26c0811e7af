"""Objects in a store, named by URLs: `s3://bucket/key`, `gs://bucket/key`, `hdfs://host:port/path`.

pyarrow's file systems do the work, and find credentials where their users expect them: `AWS_ACCESS_KEY_ID`,
`AWS_PROFILE`, `AWS_ENDPOINT_URL` and so on. What may follow `?` is what `pyarrow.fs.FileSystem.from_uri` takes.

Objects are read again whenever their records are needed, by ranges, never copied as a whole: a corpus in a store is
often larger than the disk at hand. Names of buckets and keys come from strangers: they are shown with everything
escaped that is not plain text, and never become names of local files.

A request is made again for about a minute at most where a store refuses connections, falls silent or answers with
errors; then the run ends with a line. What is read is compared with the size that the store told: Arrow's reader takes
memory that no answer has filled for content.
"""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pyarrow as pa
from pyarrow import fs

from tithe.selection.errors import TitheError, UsageError, first_line, printable

_SCHEMES = ("s3", "gs", "hdfs")

# Parts of a query that say where a store is. Whatever else there may be could be a secret, and is not shown.
_SHOWN = frozenset(
    (
        "endpoint_override", "scheme", "region", "allow_bucket_creation", "allow_bucket_deletion",
        "allow_delayed_open", "project_id", "retry_limit_seconds", "replication", "buffer_size", "default_block_size",
    )
)  # fmt: skip

# An endpoint that does not answer is given up after half a minute, one that refuses connections after seconds;
# pyarrow's own settings take 99 s for the one, 15 minutes with gs:// for the other.
_ATTEMPTS, _SILENCE = 5, 5
_GS_SECONDS = 20

# Bytes that one request asks for.
_RANGE = 4 << 20

PART = 10 << 20
"""Bytes, about, from which on pyarrow uploads an object in parts."""

# Where it is no other, stores at an endpoint of their own are addressed by the second name: signatures are the same,
# and only so does AWS's library not follow where a store sends it elsewhere, with the session's token.
_REGION, _REGION_WITHOUT_REDIRECTS = "us-east-1", "aws-global"

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?]*)(?:/([^?]*))?(?:\?(.*))?", re.DOTALL)

# What may stand in a URL as it is. Glob characters may not: a name that is shown stands for one object.
_PLAIN = "/!$&'()+,;=:@-._~"


@dataclass(frozen=True)
class Status:
    """A file as it is at the moment; two that are equal have the same bytes, as far as that can be seen."""

    size: int
    """Bytes."""
    modified: int
    """Time of modification in nanoseconds, as the file system or the store says; 0 where it does not."""


@dataclass(frozen=True)
class ObjectUrl:
    """An object or a folder of a store. `str` of it has no credentials; with those of the environment it is a URL."""

    scheme: str
    host: str
    """The bucket; with hdfs:// the machine."""
    key: str
    """Decoded, without a slash at either end; may be a glob."""
    user: str = field(default="", repr=False)
    """User or access key, and secret, as in the URL that was given: still encoded."""
    query: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> ObjectUrl:
        """Raises UsageError for what is no URL of an object. `?` begins the query; `%3F` is the character itself."""
        match = _URL.fullmatch(url)
        if match is None:
            raise UsageError(f"{printable(url.partition('://')[0])}://: is no URL")
        scheme, place, key, query = match[1].lower(), match[2], match[3] or "", match[4] or ""
        if scheme not in _SCHEMES:
            known = ", ".join(f"{name}://" for name in (*_SCHEMES, "file"))
            raise UsageError(f"{_guarded(url)}: unknown scheme; there are {known}")
        user, _, host = place.rpartition("@")
        if ":" in host and scheme != "hdfs":
            # Nothing of it is shown: a secret was cut where it holds a slash.
            raise UsageError(
                f"{scheme}://: a secret in a URL needs %2F for / and %3F for ?; better leave it out, and set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if not host and scheme != "hdfs":
            raise UsageError(f"{scheme}://: names no bucket, as {scheme}://bucket/key does")
        return cls(scheme, host, unquote(key).strip("/"), user, query)

    def __str__(self) -> str:
        return self._shown(_escaped(self.key))

    def _shown(self, key: str) -> str:
        user = f"{self.user}@" if self.scheme != "s3" and self.user and ":" not in self.user else ""
        query = urlencode([item for item in parse_qsl(self.query) if item[0] in _SHOWN], safe=":/")
        return f"{self.scheme}://{user}{_escaped(self.host)}/{key}{'?' if query else ''}{query}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """As of a Path."""
        return PurePosixPath(self.name).suffix

    @property
    def suffixes(self) -> list[str]:
        """As of a Path."""
        return PurePosixPath(self.name).suffixes

    @property
    def store(self) -> tuple[str, ...]:
        """Who is asked, as whom and how: the same for two URLs whose requests go to one place with one credential."""
        return (self.scheme, self.user, self.host, *(f"{k}={v}" for k, v in sorted(parse_qsl(self.query, True))))

    @property
    def identity(self) -> tuple[str, ...]:
        """The same for two URLs of one object; that of a folder is the beginning of those of its objects."""
        endpoint = dict(parse_qsl(self.query)).get("endpoint_override", "")
        return (self.scheme, endpoint, self.host, *(self.key.split("/") if self.key else ()))

    def with_name(self, name: str) -> ObjectUrl:
        """The object of another name in the same folder; the name may go into a folder there."""
        folder = self.key.rpartition("/")[0]
        return self.with_key(f"{folder}/{name}" if folder else name)

    def with_key(self, key: str) -> ObjectUrl:
        """Another object of the same store."""
        return replace(self, key=key)

    def status(self) -> Status:
        """Size and time; raises FileNotFoundError where there is no such object, OSError where that cannot be told."""
        info = self.info()
        if info.type != fs.FileType.File:
            raise self.missing()
        return status_of_info(info)

    def check_bucket(self) -> None:
        """Raise FileNotFoundError where there is no such bucket. Who may read a part of it only need not be told."""
        try:
            there = self.with_key("").info().type != fs.FileType.NotFound
        except OSError:
            return
        if not there:
            raise FileNotFoundError(errno.ENOENT, f"there is no bucket {self.host!r}", str(self))

    def info(self) -> fs.FileInfo:
        """What pyarrow knows of it."""
        system, path = self._system()
        with self._translated():
            return system.get_file_info(path)

    def open_for_arrow(self) -> pa.NativeFile:
        """The object for Arrow's readers; opening and reading raise OSError with a reason."""
        return pa.PythonFile(self._ranges(), "r")

    def open(self) -> BinaryIO:
        """The object as Python's own file, read by ranges; raises OSError with a reason."""
        return cast(BinaryIO, io.BufferedReader(self._ranges(), _RANGE))

    def _ranges(self) -> _Ranges:
        system, path = self._system()
        with self._translated():
            source = system.open_input_file(path)
            return _Ranges(self, source, source.size())

    def children(self, *, deep: bool) -> Iterator[tuple[ObjectUrl, fs.FileInfo]]:
        """What is in a folder, or anywhere below it."""
        system, path = self._system()
        with self._translated():
            infos = system.get_file_info(fs.FileSelector(path, allow_not_found=True, recursive=deep))
        for info in infos:
            # As it is, but for the slash at the end of a folder: `a//b` is another object than `a/b`.
            below = info.path[len(path) :].removeprefix("/").removesuffix("/")
            if below:
                yield self.with_key(f"{self.key}/{below}" if self.key else below), info

    def write(self, source: BinaryIO) -> None:
        """Write the object: it is there as a whole when this returns.

        Where it raises, some of it may be there; of what is larger than PART an unfinished upload, which pyarrow does
        not abort.
        """
        system, path = self._system()
        with self._translated():
            out = system.open_output_stream(path)
            try:
                while chunk := source.read(_RANGE):
                    out.write(chunk)
            finally:
                out.close()

    def delete(self) -> None:
        """Remove the object, if it is there."""
        system, path = self._system()
        with self._translated():
            if system.get_file_info(path).type == fs.FileType.File:
                system.delete_file(path)

    def delete_empty_folder(self) -> None:
        """Remove the empty object by which pyarrow keeps a folder alive whose last object it deleted."""
        system, path = self._system()
        with self._translated():
            if not system.get_file_info(fs.FileSelector(path, allow_not_found=True)):
                system.delete_dir(path)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise self.missing() from None
        except (OSError, pa.ArrowException) as error:
            if "NO_SUCH_KEY" in str(error):  # it was there a moment ago
                raise self.missing() from None
            raise OSError(errno.EIO, reason(error) or first_line(error), str(self)) from error

    def check_name(self) -> None:
        """Raise OSError for a name that no request brings to the store as it is: another object would be meant."""
        if self.key and not {"", ".", ".."}.isdisjoint(self.key.split("/")):
            raise OSError(errno.EINVAL, "its name has an empty part, or one that is . or ..; rename it", str(self))

    def missing(self) -> FileNotFoundError:
        """What to raise where it is not there."""
        return FileNotFoundError(errno.ENOENT, "no such object", str(self))

    def _system(self) -> tuple[fs.FileSystem, str]:
        self.check_name()
        root = f"{self.scheme}://{self.user}{'@' if self.user else ''}{self.host}"
        try:
            system, base = _file_system(root, self.query)
        except (OSError, pa.ArrowException, ValueError) as error:
            # Neither its text nor `from error`: pyarrow repeats the URL, with what is secret in it.
            if isinstance(error, ValueError):
                settings = "after ? only what pyarrow.fs.FileSystem.from_uri knows can stand"
                raise TitheError(f"{self}: is no URL of a store; {settings}") from None
            raise OSError(errno.EIO, reason(error) or first_line(error), str(self)) from None
        return system, "/".join(part for part in (base.rstrip("/"), self.key) if part) or "/"


@lru_cache(maxsize=64)
def _file_system(root: str, query: str) -> tuple[fs.FileSystem, str]:
    """The file system of a store, and the path of its bucket there."""
    if root.startswith("gs:") and "retry_limit_seconds" not in query:
        query = "&".join(part for part in (query, f"retry_limit_seconds={_GS_SECONDS}") if part)
    system, base = fs.FileSystem.from_uri(f"{root}?{query}" if query else root)
    if isinstance(system, fs.S3FileSystem):
        # The same, patient in another way, of which a URL cannot speak.
        settings: dict[str, Any] = system.__reduce__()[1][0]
        retries = fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS)
        settings |= {"retry_strategy": retries, "request_timeout": _SILENCE, "connect_timeout": _SILENCE}
        # What fits into one request is sent in one, and leaves no unfinished upload in the store where that fails.
        settings["allow_delayed_open"] = True
        if settings["endpoint_override"] and system.region == _REGION:
            settings["region"] = _REGION_WITHOUT_REDIRECTS
        system = fs.S3FileSystem(**settings)
    return system, base


class _Ranges(io.RawIOBase):
    """An object that Arrow opened, for Python's buffers."""

    def __init__(self, url: ObjectUrl, source: pa.NativeFile, size: int) -> None:
        self._url, self._source, self._size = url, source, size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        start = self._source.tell()
        wanted = min(len(buffer), max(self._size - start, 0))
        if not wanted:
            return 0
        here = memoryview(buffer)[:wanted]
        with self._url._translated():
            here[-1] = _UNFILLED
            count = self._source.readinto(here)
            if count < wanted or (here[-1] == _UNFILLED and not self._is_filled(start + wanted - 1)):
                raise OSError("the store sends fewer bytes than it says the object has; upload it again")
        return count

    def _is_filled(self, at: int) -> bool:
        """Whether the last byte read is what the object has there, and not what was in memory before."""
        byte = bytearray([_UNFILLED ^ 0xFF])
        self._source.seek(at)
        self._source.readinto(byte)
        return byte[0] == _UNFILLED

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def close(self) -> None:
        self._source.close()
        super().close()


# In the last byte of memory to read into. No UTF-8 ends so: of a text it need not be asked for again.
_UNFILLED = 0xC1

_DENIED = re.compile(
    # 400 without a word of the store: its answer was read in part, and tells of tokens or regions in most cases.
    r"ACCESS_DENIED|PERMISSION_DENIED|UNAUTHENTICATED|UNKNOWN \(HTTP status 400|HTTP status 40[13]"
    "|ACCESS_KEY|SIGNATURE|TOKEN"
    "|(Expired|Invalid)Token|RequestTimeTooSkewed|REQUEST_TIME_TOO_SKEWED"
)
_BUSY = re.compile("SLOW_DOWN|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|THROTTLING|HTTP status 5")


def is_url(name: str) -> bool:
    """Whether a name is meant as a URL."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name) is not None


def shown(name: str) -> str:
    """A name as it may be shown and recorded: of a URL without credentials."""
    if not is_url(name):
        return name
    try:
        url = ObjectUrl.parse(name)
    except UsageError:
        return _guarded(name)
    key = name.partition("://")[2].partition("?")[0].partition("/")[2]
    return url._shown(printable(key))


def _guarded(url: str) -> str:
    """What may be shown of a URL that is not understood: not what is before the last @, nor what is after ?."""
    scheme, _, rest = url.partition("://")
    return printable(f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}")


def reason(error: BaseException) -> str | None:
    """What a store says, and what to do; None for an error of another origin, such as a damaged file."""
    text = str(error)
    if not re.search(r"AWS Error|google::cloud::Status|curlCode|libjvm|libhdfs|HDFS|Azure", text):
        return None
    if re.search(r"libjvm|libhdfs", text):
        return f"hdfs:// needs Java and Hadoop's libhdfs: set JAVA_HOME and ARROW_LIBHDFS_DIR ({first_line(error)})"
    if _DENIED.search(text):
        return f"access denied; check the credentials, such as AWS_ACCESS_KEY_ID or AWS_PROFILE ({_short(error)})"
    if "NO_SUCH_BUCKET" in text:
        return "there is no such bucket"
    if re.search("RESOURCE_NOT_FOUND|NO_SUCH_KEY|HTTP status 404", text):
        return "no such object"
    if re.search(r"HTTP status 3\d\d", text):
        return f"the store sends to another place, which is not followed; name its endpoint or region ({_short(error)})"
    if "Failed to flush response stream" in text:
        return "the store sends other bytes than it was asked for"
    if _BUSY.search(text):
        return f"the store fails or is too busy; try again later ({_short(error)})"
    if re.search(r"HTTP status -1|XML_ERROR", text):
        return f"what the store answers cannot be read; is that the endpoint of a store? ({_short(error)})"
    if re.search(r"NETWORK_CONNECTION|curlCode|CURL error|UNAVAILABLE", text):
        return f"the store cannot be reached, or the connection was lost ({_short(error)}); try again later"
    return _short(error)


def _short(error: BaseException) -> str:
    """What an error says, without where in the store it happened: the URL says that."""
    text = re.sub(r"^When .*?: (?=AWS Error)", "", first_line(error))
    of_curl = re.search(r"curlCode: \d+, ([^;]*)|CURL error \[\d+\]=(.{1,60}?)(?= error_info|$)", text)
    return (of_curl[1] or of_curl[2] if of_curl else text)[:200]


def status_of_info(info: fs.FileInfo) -> Status:
    """From what pyarrow knows of an object."""
    return Status(int(info.size or 0), int(info.mtime_ns or 0))


def _escaped(text: str) -> str:
    return "".join(c if ord(c) > 127 and c.isprintable() else quote(c, safe=_PLAIN, errors="replace") for c in text)
