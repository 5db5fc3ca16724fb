"""The sample world (procedural scenes in the LVIS and LV-VIS formats) and the embedded captioner."""
