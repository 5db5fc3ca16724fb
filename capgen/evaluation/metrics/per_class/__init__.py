"""Numbers a class, averaged over classes, as TrackEval has them for YouTube-VIS, TAO and BURST."""
