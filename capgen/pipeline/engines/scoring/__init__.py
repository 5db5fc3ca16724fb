"""How probable an engine finds a given sentence, or the first word of an answer: what a judge needs beside answers."""
