"""capgen captions every object of LVIS images and LV-VIS videos, learns from the captions, and scores them."""

__version__ = "0.1.0"
