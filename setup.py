"""Maps the folder ``kernels/`` to the package ``tinycnn.kernels``; everything else stands in pyproject.toml.

``find_packages()`` would install a top-level ``kernels``, which is the import name of an unrelated package.
"""

from setuptools import find_packages, setup

ENGINE = find_packages(include=["tinycnn", "tinycnn.*"])
KERNELS = ["tinycnn.kernels"] + ["tinycnn.kernels." + name for name in find_packages("kernels")]

setup(
    packages=ENGINE + KERNELS,
    package_dir={"tinycnn": "tinycnn", "tinycnn.kernels": "kernels"},
)
