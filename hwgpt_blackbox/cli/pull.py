"""``hwgpt-blackbox pull``: fetch an artifact from a hub, a bucket, any URL, or a folder."""

from __future__ import annotations

import argparse

_EXAMPLES = """\
examples:
  hwgpt-blackbox pull hwgpt-s-tabular --from owner/repo
  hwgpt-blackbox pull hf://datasets/owner/repo/hwgpt-s-tabular --revision v1
  hwgpt-blackbox pull s3://bucket/hwgpt-s-tabular --endpoint-url http://localhost:9000
  hwgpt-blackbox pull hwgpt-s-tabular --revision 1f0c3a94 --offline    one pulled before
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog, parser.formatter_class = _EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "what", metavar="NAME|URL", help="an artifact's name, or the address of its folder"
    )
    parser.add_argument(
        "--from",
        dest="repository",
        metavar="REPOSITORY",
        help="with a name: the address that holds it (default: $HWGPT_BLACKBOX_REPOSITORY, or Syne "
        "Tune's own repository)",
    )
    parser.add_argument(
        "--revision",
        metavar="REV",
        help="branch, tag or commit on the hub; anywhere the sha256 of the manifest or its start",
    )
    add_home(parser)
    add_access(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace an artifact that was converted here, which is then gone",
    )
    parser.add_argument(
        "--jobs", type=int, default=4, metavar="N", help="files at once (default: %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def add_home(parser: argparse.ArgumentParser) -> None:
    """Declare ``--home``."""
    parser.add_argument(
        "--home",
        metavar="DIR",
        help="folder of the artifacts (default: $HWGPT_BLACKBOX_HOME, or Syne Tune's own)",
    )


def add_access(parser: argparse.ArgumentParser) -> None:
    """Declare how a host is reached."""
    parser.add_argument(
        "--endpoint-url",
        metavar="URL",
        help="of the hub or an S3-compatible store (default: $HF_ENDPOINT, $AWS_ENDPOINT_URL)",
    )
    parser.add_argument(
        "--anonymous",
        action="store_true",
        help="send no credentials: a public bucket or repository",
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        default=None,
        help="never touch the network (default: as $HWGPT_BLACKBOX_OFFLINE, $HF_HUB_OFFLINE say)",
    )


def run(args: argparse.Namespace) -> int:
    """Pull, and say where the artifact is."""
    from pathlib import Path
    from shlex import quote

    from hwgpt_blackbox.hosting import pull
    from hwgpt_blackbox.storage.locations import HOME_VARIABLE, home

    version = pull(
        args.what,
        repository=args.repository,
        revision=args.revision,
        home=args.home,
        endpoint=args.endpoint_url,
        anonymous=args.anonymous,
        offline=args.offline,
        overwrite=args.overwrite,
        jobs=args.jobs,
        progress=not args.quiet,
    )
    print(f"{version.name} is in use at version {version.digest}")
    origin = version.origins[-1]
    print(f"from {origin['source']}" + (f" at {origin['revision']}" if origin["revision"] else ""))
    print(f"in {version.path}")
    if args.home and Path(args.home).expanduser().resolve() != home().resolve():
        folder = quote(str(Path(args.home).expanduser().resolve()))
        print(f"to load it, first: export {HOME_VARIABLE}={folder}")
    return 0
