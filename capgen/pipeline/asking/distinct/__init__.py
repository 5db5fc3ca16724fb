"""Captions that tell the objects of one category apart: by their words, and where wanted by what fits whom."""
