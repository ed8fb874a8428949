#!/usr/bin/env python3
"""scripts/test.d/libraries.py [--flags]: can other packages take the libraries, by a version?

Puts the sources as they are into a repository of their own under .build/consumer, with a tag; there it looks whether
what the libraries are made of has flags that a program which imports them did not ask for, and builds and runs a package
that depends on the tag and uses each library. Status 0: all is well.

  --flags   looks at the flags only, which takes a moment"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / ".build" / "consumer"
REPOSITORY = PLACE / "sdlab"
EXPECTED = """breaker 1
retry 1
limiter true false
ring cache-1
pool 7
cache true
flags false
metrics true
"""


def run(*command, at):
    done = subprocess.run(command, cwd=at, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"libraries: {' '.join(map(str, command))} failed\n{done.stdout[-4000:]}")
    return done.stdout


def make_repository():
    shutil.rmtree(REPOSITORY, ignore_errors=True)
    REPOSITORY.mkdir(parents=True)
    shutil.copy(ROOT / "Package.swift", REPOSITORY)
    shutil.copytree(ROOT / "Sources", REPOSITORY / "Sources")
    # The rows of the tests need their folders; nobody who depends on the package builds them.
    shutil.copytree(ROOT / "Tests", REPOSITORY / "Tests")
    name = ["-c", "user.name=sdlab", "-c", "user.email=sdlab@localhost", "-c", "commit.gpgsign=false"]
    run("git", "init", "--quiet", at=REPOSITORY)
    run("git", "add", "--all", at=REPOSITORY)
    run("git", *name, "commit", "--quiet", "--message", "As it is", at=REPOSITORY)
    run("git", "tag", "1.0.0", at=REPOSITORY)


def flagged():
    """Rooms that libraries are made of and that have flags which only a program of one's own may have."""
    dump = subprocess.run(["swift", "package", "dump-package"], cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
    package = json.loads(dump.stdout)
    targets = {target["name"]: target for target in package["targets"]}
    libraries = [product for product in package["products"] if "library" in product["type"]]
    wanted = [name for product in libraries for name in product["targets"]]
    seen = set()
    while wanted:
        name = wanted.pop()
        if name in seen or name not in targets:
            continue
        seen.add(name)
        for dependency in targets[name]["dependencies"]:
            wanted += [word for part in dependency.values() for word in part[:1] if isinstance(word, str)]
    return len(libraries), sorted(name for name in seen if "unsafeFlags" in json.dumps(targets[name]["settings"]))


def consume():
    package = PLACE / "package"
    package.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "scripts" / "test.d" / "consumer", package, dirs_exist_ok=True)
    manifest = package / "Package.swift"
    manifest.write_text(manifest.read_text().replace("REPOSITORY", str(REPOSITORY)))
    # The tag stands for something else than it did the last time.
    for stale in [package / "Package.resolved", package / ".build" / "repositories", package / ".build" / "checkouts"]:
        shutil.rmtree(stale, ignore_errors=True) if stale.is_dir() else stale.unlink(missing_ok=True)
    cache = ["--cache-path", str(PLACE / "cache")]
    shutil.rmtree(PLACE / "cache", ignore_errors=True)
    run("swift", "build", *cache, at=package)
    return run(package / ".build" / "debug" / "consumer", at=package)


def main():
    os.environ.pop("SDLAB_TESTS", None)
    make_repository()
    count, names = flagged()
    if count < 8 or names:
        sys.exit(f"libraries: {count} products; {', '.join(names) or 'none'} of their rooms have flags of their own: not isHot")
    if "--flags" in sys.argv[1:]:
        return
    printed = consume()
    if printed != EXPECTED:
        sys.exit(f"libraries: the program that uses them printed\n{printed}")
    print(f"{count} libraries by version 1.0.0")


main()
