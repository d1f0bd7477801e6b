"""Where labelled texts come from: files here, objects of Python, NSMC, or the Hub."""
