#!/usr/bin/env bash
# Pins every requirement with hashes, for all platforms, naming no package host.   usage: requirements/lock.sh UV
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${1:-uv}
pin() { "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate "$@"; }
echo 'setuptools>=77' | cat - > requirements/build.in
pin pyproject.toml requirements/build.in -o requirements/base.txt
pin pyproject.toml requirements/build.in --all-extras --group dev -c requirements/base.txt -o requirements/dev.txt
rm requirements/build.in
