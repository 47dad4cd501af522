"""Splitting and counting, as a package so that the example shows an import inside a zip."""
