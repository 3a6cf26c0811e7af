"""Where the work is done: in this process, or spread over many machines."""
