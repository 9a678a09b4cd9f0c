"""The parsers meet whatever bytes there are: nothing is raised, and what is read is sound."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci.challenge import parse_challenges
from entrepot.oci.codes import ErrorCode
from entrepot.oci.conditional import etag_matches, range_applies
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.manifest import ManifestLinks, read_links
from entrepot.oci.pagination import PageRequest, next_link, paginate, parse_next_link
from entrepot.oci.range import (
    ByteRange,
    ContentRange,
    Unsatisfiable,
    parse_content_range,
    parse_range,
    range_header,
)
from entrepot.oci.reference import InvalidReference, Tag, check_hosted_name, check_name, parse_reference
from entrepot.oci.referrers import EMPTY_INDEX, InvalidIndex, filter_referrers, merge_referrers
from entrepot.oci.route import (
    BlobRoute,
    Malformed,
    ManifestRoute,
    NotRegistry,
    ReferrersRoute,
    TagsRoute,
    Unsupported,
    parse_route,
)

digests = st.binary(max_size=8).flatmap(
    lambda content: st.sampled_from([Digest.of(content), Digest.of(content, "sha512")])
)
names = st.from_regex(r"[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?(/[a-z0-9]{1,4}){0,3}", fullmatch=True)
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,9}", fullmatch=True)
hosts = st.sampled_from([None, "docker.io", "localhost", "localhost:5000", "127.0.0.1:5001", "[::1]:5000"])
pieces = st.sampled_from(
    [
        "v2",
        "manifests",
        "blobs",
        "tags",
        "list",
        "referrers",
        "uploads",
        "_catalog",
        "..",
        ".",
        "",
        "a",
        "a.b:1",
        "%2f",
        "%00",
        "%",
        "\u00e9",
        "\n",
        "sha256:",
        str(Digest.of(b"")),
        "x" * 300,
    ]
)
paths = st.one_of(
    st.binary(max_size=64), st.lists(pieces, max_size=8).map(lambda parts: ("/" + "/".join(parts)).encode())
)
headers = st.text(st.sampled_from('abz019=,;:"\\ \t-*/<>&%\x00\xffbytesW'), max_size=80)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | digests.map(str),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "config",
                    "layers",
                    "blobs",
                    "manifests",
                    "subject",
                    "fsLayers",
                    "blobSum",
                    "digest",
                    "size",
                    "mediaType",
                    "artifactType",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
documents = st.binary(max_size=64) | json_values.map(lambda value: json.dumps(value).encode())


@given(st.sampled_from(["GET", "HEAD", "PUT", "", "\x00"]), paths)
def test_every_path_has_a_route_and_every_name_in_it_is_checked(method: str, path: bytes) -> None:
    route = parse_route(method, path)
    match route:
        case ManifestRoute() | BlobRoute() | TagsRoute() | ReferrersRoute():
            assert method in {"GET", "HEAD"}
            assert check_hosted_name(route.name) == route.name
            assert ".." not in route.name.split("/")
        case Malformed(code):
            assert 400 <= code.status < 500
        case _:
            pass


@given(paths)
def test_nothing_but_get_and_head_is_ever_served(path: bytes) -> None:
    assert isinstance(parse_route("DELETE", path), Unsupported | NotRegistry)


@given(hosts, hosts, names, tags | digests, digests)
def test_a_route_written_out_reads_back(
    host: str | None, prefix: str | None, name: str, reference: str | Digest, digest: Digest
) -> None:
    root = "/v2" if host is None else f"/{host}/v2"
    full = name if prefix is None else f"{prefix}/{name}"
    read = Tag(reference) if isinstance(reference, str) else reference
    for path in (f"{root}/{full}", f"{root}/{full}".replace(":", "%3A")):
        assert parse_route("GET", f"{path}/manifests/{reference}".encode()) == ManifestRoute(full, read, host)
        assert parse_route("GET", f"{path}/blobs/{digest}".encode()) == BlobRoute(full, digest, host)
        assert parse_route("GET", f"{path}/referrers/{digest}".encode()) == ReferrersRoute(full, digest, host)
        assert parse_route("GET", f"{path}/tags/list".encode()) == TagsRoute(full, host)


@given(names, st.sampled_from(["..", ".", "", "A", "%2F", "%00", "%2e%2e", "\\", "\x7f", "\u00e9"]))
def test_one_hostile_component_spoils_any_name(name: str, hostile: str) -> None:
    for spoilt in (f"{hostile}/{name}", f"{name}/{hostile}", f"{name}/{hostile}/{name}"):
        answer = parse_route("GET", f"/v2/{spoilt}/tags/list".encode())
        assert isinstance(answer, Malformed)
        assert answer.code is ErrorCode.NAME_INVALID


@given(st.text(max_size=80) | tags | digests.map(str))
def test_a_reference_reads_back_or_is_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        assert ":" not in text
    except InvalidDigest:
        assert ":" in text
    else:
        assert str(reference) == text


@given(names)
def test_a_name_of_the_grammar_passes(name: str) -> None:
    assert check_name(name) == name


@given(headers.map("bytes={}".format) | headers, st.integers(0, 100))
def test_ranges_lie_within_the_content_and_never_overlap(header: str, size: int) -> None:
    _check_ranges(parse_range(header, size), size)


specs = st.tuples(st.none() | st.integers(0, 120), st.none() | st.integers(0, 120)).map(
    lambda spec: "-".join("" if end is None else str(end) for end in spec)
)


@given(st.lists(specs, max_size=20), st.integers(0, 100))
def test_lists_of_ranges_ask_for_the_union_of_their_parts(asked: list[str], size: int) -> None:
    answer = parse_range("bytes=" + ",".join(asked), size)
    _check_ranges(answer, size)
    singles = [parse_range(f"bytes={spec}", size) for spec in asked]
    if answer is not None:
        assert _bytes_of(answer) == {place for single in singles for place in _bytes_of(single)}


def _bytes_of(answer: tuple[ByteRange, ...] | Unsatisfiable | None) -> set[int]:
    return (
        {place for part in answer for place in range(part.start, part.stop)}
        if isinstance(answer, tuple)
        else set()
    )


def _check_ranges(answer: tuple[ByteRange, ...] | Unsatisfiable | None, size: int) -> None:
    if isinstance(answer, tuple):
        assert 0 < len(answer) <= 16
        assert all(0 <= part.start < part.stop <= size for part in answer)
        assert sum(len(part) for part in answer) == len(_bytes_of(answer))


@given(st.integers(0, 2**63), st.integers(1, 2**31))
def test_a_range_asked_for_reads_back(start: int, length: int) -> None:
    stop = start + length
    part = ByteRange(start, stop)
    assert parse_range(range_header(start, stop), stop) == (part,)
    assert parse_content_range(part.content_range(stop)) == ContentRange(start, stop, stop)


@given(headers.map("bytes {}".format) | headers)
def test_a_content_range_is_sound_or_none(header: str) -> None:
    part = parse_content_range(header)
    if part is not None:
        assert 0 <= part.start < part.stop
        assert part.size is None or part.stop <= part.size


@given(st.lists(headers | headers.map("Bearer {}".format), max_size=3))
def test_challenges_are_lower_case_whatever_comes(sent: list[str]) -> None:
    for challenge in parse_challenges(sent):
        assert challenge.scheme == challenge.scheme.lower() != ""
        assert all(name == name.lower() != "" for name in challenge.parameters)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text(max_size=20), min_size=1, max_size=4
    )
)
def test_quoted_parameters_read_back(parameters: dict[str, str]) -> None:
    written = ", ".join(f'{name}="{_quoted(value)}"' for name, value in parameters.items())
    first, second = parse_challenges([f"Bearer {written}, Basic {written}"])
    assert first.parameters == second.parameters == parameters
    assert (first.scheme, second.scheme) == ("bearer", "basic")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


@given(headers, headers)
def test_entity_tags_match_or_do_not(header: str, etag: str) -> None:
    etag_matches(header, f'"{etag}"')
    range_applies(header, f'"{etag}"')


@given(st.lists(headers), st.text("abc01:", min_size=1, max_size=9))
def test_an_entity_tag_is_found_in_any_list_of_others(others: list[str], etag: str) -> None:
    listed = ", ".join(f'"{other}"' for other in others if '"' not in other)
    assert etag_matches(f'{listed}, W/"{etag}"', f'"{etag}"')


@given(headers)
def test_a_link_has_a_target_or_none(header: str) -> None:
    target = parse_next_link(header)
    assert target is None or f"<{target}>" in header


@given(st.integers(0, 999), st.text(max_size=20), st.none() | st.text(max_size=8))
def test_a_link_written_out_reads_back_in_one_line(size: int, last: str, namespace: str | None) -> None:
    link = next_link("/v2/a/tags/list", size, last, namespace)
    assert link.isascii()
    assert link.isprintable()
    target = parse_next_link(link)
    assert target is not None
    assert f"<{target}>" in link


@given(st.lists(st.text("abc", min_size=1, max_size=3), unique=True).map(sorted), st.integers(1, 5))
def test_pages_put_together_are_the_whole_list(items: list[str], size: int) -> None:
    gathered: list[str] = []
    last: str | None = ""
    while last is not None:
        page, last = paginate(items, PageRequest(size, last))
        assert len(page) <= size
        gathered.extend(page)
    assert gathered == items


@given(documents)
def test_any_manifest_has_links_that_a_database_takes(content: bytes) -> None:
    links = read_links(content)
    for descriptor in (*links.blobs, *links.children):
        assert descriptor.size is None or 0 <= descriptor.size < 2**63
        assert descriptor.media_type is None or descriptor.media_type.isprintable()


@given(st.lists(digests, max_size=4), digests)
def test_every_descriptor_of_a_manifest_is_found(layers: list[Digest], config: Digest) -> None:
    document = {
        "config": {"digest": str(config), "size": 1},
        "layers": [{"digest": str(layer), "size": 2} for layer in layers],
    }
    links = read_links(json.dumps(document).encode())
    assert [descriptor.digest for descriptor in links.blobs] == [config, *layers]
    assert links == ManifestLinks(blobs=links.blobs)


@given(documents, st.none() | st.text(max_size=4))
def test_an_index_of_referrers_is_filtered_to_json_or_refused(
    content: bytes, artifact_type: str | None
) -> None:
    try:
        filtered = filter_referrers(content, artifact_type)
    except InvalidIndex:
        return
    assert isinstance(json.loads(filtered)["manifests"], list)
    assert filter_referrers(filtered, artifact_type) == filtered


@given(st.lists(digests, unique=True), st.integers(0, 3))
def test_pages_of_referrers_put_together_are_the_whole_list(referrers: list[Digest], cut: int) -> None:
    descriptors = [{"digest": str(digest)} for digest in referrers]
    pages = [json.dumps({"manifests": part}).encode() for part in (descriptors[:cut], descriptors[cut:])]
    merged = json.loads(merge_referrers([EMPTY_INDEX, *pages]))
    assert [manifest["digest"] for manifest in merged["manifests"]] == [str(digest) for digest in referrers]


@pytest.mark.parametrize(
    "text", ['a="', "<", "<a>; b=", "a/", "a-", "Bearer ", '"', "\\", " ", "bytes=", ";"]
)
def test_a_header_of_a_megabyte_is_read_without_going_over_it_again_and_again(text: str) -> None:
    """A parser of quadratic cost would meet the time limit of the test run."""
    header = text * (1_000_000 // len(text))
    parse_challenges([header])
    parse_next_link(header)
    parse_range(header, 10)
    parse_content_range(header)
    etag_matches(header, '"x"')
    parse_route("GET", f"/{header}".encode())
    parse_route("GET", f"/v2/{header}/tags/list".encode())
