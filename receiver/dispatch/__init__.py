"""From complete series to jobs, and the messages that tell the workers."""
