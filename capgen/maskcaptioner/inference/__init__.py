"""From a video to tracks: frames, clips, tracker."""
