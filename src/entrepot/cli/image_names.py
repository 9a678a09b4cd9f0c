"""Names of images and repositories on the command line, as people name them in a pull."""

from __future__ import annotations

import re

import click

from entrepot.cli.completion import complete_repositories
from entrepot.oci.digest import DIGEST
from entrepot.oci.image_reference import ImageReference, InvalidImage, parse_image
from entrepot.oci.reference import InvalidName, check_hosted_name
from entrepot.policy.wanted import is_pattern

__all__ = ["image_argument", "images_argument", "reference_of", "repository_argument"]


class _Image(click.ParamType[ImageReference]):
    name = "image"

    def convert(
        self, value: str | ImageReference, param: click.Parameter | None, ctx: click.Context | None
    ) -> ImageReference:
        if isinstance(value, ImageReference):
            return value
        if re.fullmatch(DIGEST, value):  # Else it would be a tag of a repository called sha256.
            self.fail(f"expected its repository as well, as in NAME@{value}", param, ctx)
        try:
            image = parse_image(value)
        except InvalidImage as invalid:
            self.fail(str(invalid), param, ctx)
        if image.digest is None and is_pattern(image.tag):
            self.fail(f"expected one tag or digest, found the pattern {image.tag!r}", param, ctx)
        return image


class _Repository(click.ParamType[str]):
    name = "repository"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            check_hosted_name(value)
        except InvalidName:
            self.fail(f"expected a repository, as in docker.io/library/alpine, found {value!r}", param, ctx)
        return value


repository_argument = click.argument("repository", type=_Repository(), shell_complete=complete_repositories)
image_argument = click.argument("image", type=_Image(), shell_complete=complete_repositories)
images_argument = click.argument(
    "images",
    nargs=-1,
    required=True,
    type=_Image(),
    metavar="IMAGE...",
    shell_complete=complete_repositories,
)


def reference_of(image: ImageReference) -> str:
    """Return what names a manifest of its repository: the digest, if there is one, else the tag."""
    return image.tag if image.digest is None else str(image.digest)
