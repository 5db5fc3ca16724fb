"""What a release's card says of its captions' quality: checks, tries, distinct captions, confidence, calibration."""
