"""What captions say of the way in which an object was shown to the model."""
