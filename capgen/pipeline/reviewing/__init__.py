"""Reviews of captions that people make in other tools: objects out to Label Studio and CVAT, judgements back in."""
