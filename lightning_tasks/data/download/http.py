"""An archive's bytes over HTTP: tried again after errors, and resumed with HTTP Range requests.

requests and urllib3 connect, follow redirects, find proxies, and try again to get an answer; ours is what they lack:
resuming inside a file (RFC 9110, sections 13.1.5 and 14).
"""

import re
import time
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from lightning_tasks.data.download.archives import Archive, Origin, Partial, Patience, require_space

_CHUNK = 2**18
_PROGRESS = 2**20  # a connection that brought as much before it was cut is worth as many tries again
_TRY_AGAIN = (408, 429, 500, 502, 503, 504)


class CannotFetchError(Exception):
    """An address does not give the archive. Its text is the reason."""


class _CutError(Exception):
    """The rest did not come. Its text is the reason."""


def without_secrets(address: str) -> str:
    """Return the address without what may be secret in it: a password, a signature."""
    try:
        parts = urlsplit(address)
    except ValueError:  # no address at all
        return address
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def download(archive: Archive, address: str, partial: Partial, patience: Patience) -> None:
    """Fetch what is missing of the partial file.

    It may have come from another address: the size of the whole must agree, and the caller checks what came.

    Raises:
        CannotFetchError: this address does not give it. What has come stays.
        DownloadError: there is no room for it.
        OSError: the disk is full or fails.
    """
    retries = Retry(
        total=patience.tries - 1,
        status_forcelist=_TRY_AGAIN,
        raise_on_status=False,
        backoff_factor=patience.backoff_s,
        retry_after_max=patience.longest_wait_s,
    )
    if not _fits(archive, partial):
        partial.discard()
    failures, furthest = 0, partial.size_bytes
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retries))
        while not partial.is_whole:
            try:
                _request_rest(session, archive, address, partial, patience)
            except requests.RequestException as error:
                raise CannotFetchError(_innermost(error)) from error
            except _CutError as error:
                if partial.size_bytes >= furthest + _PROGRESS:
                    failures, furthest = 0, partial.size_bytes
                failures += 1
                if failures == patience.tries:
                    raise CannotFetchError(f"{error}, {failures} times") from error
                time.sleep(patience.backoff_s * 2 ** (failures - 1))


def _fits(archive: Archive, partial: Partial) -> bool:
    origin = partial.origin
    if origin is None or origin.archive != archive.name or origin.total_bytes is None:
        return False
    return archive.size_bytes in (None, origin.total_bytes) and partial.size_bytes <= origin.total_bytes


def _request_rest(
    session: requests.Session, archive: Archive, address: str, partial: Partial, patience: Patience
) -> None:
    """Ask once, and write what comes."""
    origin, have = partial.origin, partial.size_bytes
    its_own = origin is not None and origin.address == without_secrets(address)
    headers = {"Accept-Encoding": "identity"}  # or a server may pack the archive again, and the sizes differ
    if origin is not None and have:
        headers["Range"] = f"bytes={have}-"
        if its_own and origin.validator is not None:
            headers["If-Range"] = origin.validator  # a file that has changed comes from its start
    timeouts = (patience.connect_s, patience.stall_s)
    with session.get(address, headers=headers, timeout=timeouts, stream=True) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable and its_own:
            partial.discard()
            raise _CutError("it has become shorter")
        if response.status_code not in (requests.codes.ok, requests.codes.partial_content):
            raise CannotFetchError(f"the server answers {response.status_code} {response.reason}")
        if "html" in response.headers.get("Content-Type", ""):
            raise CannotFetchError("the server answers with a web page")  # where one signs in, say
        total = _total_bytes(response, have)
        if archive.size_bytes is not None and total not in (None, archive.size_bytes):
            raise CannotFetchError(f"it has {total:,} bytes there, not {archive.size_bytes:,}")
        total = archive.size_bytes if total is None else total
        if response.status_code == requests.codes.ok:
            have = 0
            partial.start(Origin(archive.name, without_secrets(address), _validator(response), total))
        elif origin is not None and total != origin.total_bytes:
            partial.discard()
            raise _CutError("it is not the file that had begun to come")
        if total is not None:
            require_space(partial.path.parent, total, total - have)
        _write(response, archive, partial, have, total)


def _write(response: requests.Response, archive: Archive, partial: Partial, have: int, total: int | None) -> None:
    bar = tqdm(total=total, initial=have, desc=f"fetching {archive.name}", unit="B", unit_scale=True, disable=None)
    with bar, partial.path.open("ab") as file:
        try:
            # As it comes, so that a cut loses nothing; and not unpacked, whatever the server says of its encoding.
            while block := response.raw.read1(_CHUNK, decode_content=False):
                have += len(block)
                if total is not None and have > total:
                    raise CannotFetchError(f"it sends more than the {total:,} bytes it should have")
                file.write(block)
                bar.update(len(block))
        except urllib3.exceptions.HTTPError as error:
            raise _CutError(_innermost(error)) from error
    if total is None:  # it has ended, and that is all that tells
        assert partial.origin is not None
        partial.note(partial.origin._replace(total_bytes=have))
    elif have < total:
        raise _CutError(f"it ends after {have:,} of {total:,} bytes")


def _total_bytes(response: requests.Response, have: int) -> int | None:
    """Return the size of the whole file by the answer's headers, if they tell."""
    if response.status_code == requests.codes.ok:
        length = response.headers.get("Content-Length", "")
        return int(length) if re.fullmatch("[0-9]+", length) else None
    found = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+)", response.headers.get("Content-Range", "").strip())
    if found is None or not have or int(found[1]) != have:
        raise CannotFetchError("the server answers with another part than it was asked for")
    return int(found[2])


def _validator(response: requests.Response) -> str | None:
    tag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag  # weak ones promise no same bytes


def _innermost(error: BaseException) -> str:
    """Return the reason at the bottom of the libraries' errors, which wrap each other in their arguments."""
    while True:
        candidates = (getattr(error, "reason", None), *reversed(error.args))
        inner = next((candidate for candidate in candidates if isinstance(candidate, BaseException)), None)
        if inner is None:
            return re.sub(r"^\w*\(host=[^)]*\): ", "", str(error)).rstrip(".") or type(error).__name__
        error = inner
