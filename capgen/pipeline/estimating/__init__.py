"""What a run will take, before it is started: requests, tokens, time, disk and price."""
