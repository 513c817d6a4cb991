"""Install the folder ``kernels/`` as the package ``tinycnn.kernels``; pyproject.toml contains everything else.

The packages are listed here because ``find_packages()`` alone would also install a top-level package ``kernels``, which
is the import name of an unrelated project.
"""

from setuptools import find_packages, setup

ENGINE = find_packages(include=["tinycnn", "tinycnn.*"])
KERNELS = ["tinycnn.kernels"] + ["tinycnn.kernels." + name for name in find_packages("kernels")]

setup(
    packages=ENGINE + KERNELS,
    package_dir={"tinycnn": "tinycnn", "tinycnn.kernels": "kernels"},
)
