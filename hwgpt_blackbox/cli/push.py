"""``hwgpt-blackbox push``: publish an artifact to a hub, a bucket, any URL, or a folder."""

from __future__ import annotations

import argparse

from hwgpt_blackbox.cli.pull import add_access

_EXAMPLES = """\
examples:
  hwgpt-blackbox push hwgpt-s-tabular owner/repo --create
  hwgpt-blackbox push ./results/hwgpt-s s3://bucket/prefix --endpoint-url http://localhost:9000
The artifact gets the folder of its name there, unless the address is a folder of that name.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog, parser.formatter_class = _EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument("artifact", metavar="ARTIFACT", help="a name (the one in use) or a folder")
    parser.add_argument("url", metavar="URL", help="address of the repository: what holds it")
    add_access(parser)
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace another version where earlier ones are not kept (everywhere but on the hub), "
        "remove files of others from the artifact's folder, and send everything again",
    )
    parser.add_argument(
        "--create", action="store_true", help="make the repository on the hub, private"
    )
    parser.add_argument("--branch", metavar="NAME", help="on the hub (default: its default branch)")
    parser.add_argument("--message", metavar="TEXT", help="of the commit on the hub")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Push, and print the revision."""
    from hwgpt_blackbox.hosting import push
    from hwgpt_blackbox.storage.remote import redact

    revision = push(
        args.artifact,
        args.url,
        endpoint=args.endpoint_url,
        anonymous=args.anonymous,
        offline=args.offline,
        overwrite=args.overwrite,
        create=args.create,
        branch=args.branch,
        message=args.message,
        progress=not args.quiet,
    )
    print(f"pushed {args.artifact} to {redact(args.url)}")
    print(f"pin it with: --revision {revision}")
    return 0
